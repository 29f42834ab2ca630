"""``python -m benchmarks.huge``: one huge file through the producers that split, scan and read it, each row checked.

The file is generated, never stored. The producers are processes with the real handler; this process is S3, SQS, the
ledger's table, and Lambda, which hands them the messages of the span queue. See the README beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import orjson
import uvloop

from benchmarks import data, quoted
from benchmarks.contenders.invoked import ANSWER
from benchmarks.contenders.window import peak_kb
from benchmarks.contents import CONTENTS
from benchmarks.figures import short
from benchmarks.processes import ROOT, cores, environment
from engine.accounts import Account
from engine.config import DEFAULT_SPAN_BYTES
from tests.fakeaws.fast.server import Connection, StandIn
from tests.fakeaws.fast.sqs import PassingQueue
from tests.fakeaws.queues import Message, Queue

SPAN_QUEUE = "bench-spans"
LINE_BYTES = 1_000_000
"""The longest line that a producer may print."""


class Wrong(Exception):
    """A row that is missing, comes twice, or has another number than its own; says which."""


class CheckingQueue(PassingQueue):
    """The record queue: reads each row of each message, and keeps only which rows a message has."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[tuple[int, int], tuple[int, int]] = {}
        """First row and the one after the last of each message, by span and number of the message."""
        self.problem = ""

    def send(
        self, body: str, attributes: dict[str, Any], now: float, delay: float | None = None, group: str | None = None
    ) -> Message:
        """Take a message."""
        document = orjson.loads(body)
        rows, name = document["rows"], (document["span"], document["message"])
        first, after = rows[0][0], rows[-1][0] + 1
        numbers = [row[0] for row in rows]
        if numbers != [*range(first, after)] or not quoted.is_right(numbers, [row[2] for row in rows]):
            self.problem = f"message {name} has other rows than {first:,} to {after - 1:,}"
        if self.rows.setdefault(name, (first, after)) != (first, after):
            self.problem = f"message {name} has come with other rows"
        return super().send(body, attributes, now, delay, group)

    def check(self, rows: int) -> None:
        """Raise `Wrong` unless the messages hold each row from 1 to `rows` once."""
        if self.problem:
            raise Wrong(self.problem)
        parts = [(1, 1), *sorted(self.rows.values()), (rows + 1, rows + 1)]
        for (_, after), (first, _) in pairwise(parts):
            if after != first:
                raise Wrong(f"after row {after - 1:,} comes row {first:,}")


@dataclass(slots=True)
class Work:
    """What the producers did of one kind."""

    runs: int = 0
    cpu: float = 0.0
    longest: float = 0.0


@dataclass(slots=True)
class Report:
    """What came of it."""

    size: int
    rows: int
    messages: int = 0
    spans: int = 0
    seconds: float = 0.0
    work: dict[str, Work] = field(default_factory=lambda: defaultdict(Work))
    peaks_kb: dict[int, int] = field(default_factory=dict)
    """By producer."""

    def lines(self) -> list[str]:
        """Return it as lines of a table."""
        mb = self.size / 1e6
        lines = [
            "| what | figure |",
            "| --- | ---: |",
            f"| file | {short(mb)} MB, {self.rows:,} rows |",
            f"| rows in messages, each with its number, each once | {self.rows:,} in {self.messages:,} messages |",
            f"| spans | {self.spans:,} |",
            f"| time | {self.seconds:.0f} s |",
        ]
        for kind, work in self.work.items():
            rate = "" if kind == "event" else f", {short(mb / work.cpu)} MB per CPU-second"
            lines.append(f"| {kind}s | {work.runs}: {work.cpu:.1f} CPU-s{rate}, the longest {work.longest:.1f} s |")
        rate = short(self.rows / self.work["span"].cpu)
        lines.append(f"| rows per CPU-second, reading spans | {rate} |")
        peaks = ", ".join(f"{peak / 1024:.0f}" for _, peak in sorted(self.peaks_kb.items()))
        lines.append(f"| peak MB of each producer | {peaks} |")
        lines.append(f"| peak MB of the stand-in | {peak_kb() / 1024:.0f} |")
        return lines


async def load(size: int, span_bytes: int, producers: int) -> Report:
    """Load a file of about `size` bytes; raises `Wrong`."""
    stored, records, spans = quoted.of_size(size), CheckingQueue(), Queue(visibility_timeout=5_400.0)
    queues: dict[str, Queue] = {data.QUEUE: records, SPAN_QUEUE: spans}
    stand_in = StandIn(replace(CONTENTS, generated=quoted.quoted, queues=tuple(queues), queue=queues.__getitem__))
    stand_in.settings.sample = 0
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stand_in), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    more = {
        "SPAN_QUEUE_URL": f"{url}/{data.ACCOUNT}/{SPAN_QUEUE}",
        "LEDGER_TABLE": data.LEDGER_TABLE,
        "SPAN_BYTES": str(span_bytes),
    }
    report, began = Report(stored.size, stored.rows), time.monotonic()
    spans.send(json.dumps(data.s3_event(stored.key)), {}, time.time())
    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(producers):
                tasks.create_task(_invoke(number, environment(url, "", more), spans, report))
    finally:
        server.close()
    report.seconds, report.messages = time.monotonic() - began, len(records.rows)
    records.check(stored.rows)
    account = Account()
    for item in stand_in.tables.model.tables[data.LEDGER_TABLE].items.values():
        account.add(item)
    report.spans = account.entry["spans"]
    if (read := account.counts()["read"]) != stored.rows or report.spans != len(account.spans):
        raise Wrong(f"the ledger has {read:,} rows in {len(account.spans)} of {report.spans} spans")
    return report


async def _invoke(number: int, env: dict[str, str], spans: Queue, report: Report) -> None:
    """Hand messages of the span queue to one producer until there are no more."""
    command = (sys.executable, "-m", "benchmarks.contenders.invoked")
    producer = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, limit=LINE_BYTES
    )
    os.sched_setaffinity(producer.pid, cores()[1])
    try:
        while spans.held:
            received = spans.receive(1, time.time())
            if not received:
                await asyncio.sleep(0.02)
                continue
            (message,) = received
            result = await _answer(producer, {"Records": [message.lambda_record()]})
            if result["answer"]["batchItemFailures"]:
                raise Wrong(f"a producer has failed on {message.body}")
            kind = json.loads(message.body).get("kind", "event")
            print(f"{kind}: {result['wall']:.1f} s, {result['cpu']:.1f} CPU-s", file=sys.stderr, flush=True)
            work = report.work[kind]
            work.runs, work.cpu = work.runs + 1, work.cpu + result["cpu"]
            work.longest = max(work.longest, result["wall"])
            report.peaks_kb[number] = result["peak_kb"]
            spans.delete(message.receipt)
    finally:
        if producer.returncode is None:
            producer.kill()
        await producer.wait()


async def _answer(producer: Process, event: Any) -> Any:
    assert producer.stdin is not None  # noqa: S101 - both are pipes
    assert producer.stdout is not None  # noqa: S101
    producer.stdin.write(json.dumps(event).encode() + b"\n")
    async for line in producer.stdout:
        if line.startswith(ANSWER.encode()):
            return json.loads(line.removeprefix(ANSWER.encode()))
    raise Wrong("a producer has ended")


def main() -> None:
    """Read the command line, load the file and print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.huge", description="one huge file, each row checked")
    parser.add_argument("--gb", type=float, default=1.0, help="size of the file in GB (1)")
    parser.add_argument("--span-bytes", type=int, default=DEFAULT_SPAN_BYTES, help="SPAN_BYTES (1 GiB)")
    parser.add_argument("--producers", type=int, default=2, help="processes that read at once (2)")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, cores()[0])
    try:
        report = uvloop.run(load(round(chosen.gb * 1e9), chosen.span_bytes, chosen.producers))
    except* Wrong as wrong:
        sys.exit("; ".join(map(str, wrong.exceptions)))
    print("\n".join(report.lines()))


if __name__ == "__main__":
    main()
