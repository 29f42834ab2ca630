"""Runs the entries of a question, round by round and interleaved, and holds each run against the stand-in's counts.

Before the rounds each entry is run once with everything checked (each signature, limit and key): that run also tells
how many calls last for the time wanted. A run whose counts are not exactly what was expected is void, and void runs are
reported, never averaged.
"""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Summary, summarise
from benchmarks.model import Entry, Figures, Json, Options, Question, Run, Usual
from benchmarks.prices import Usage, dollars_per_million
from benchmarks.processes import RunFailed, StandInProcess, environment, run, stand_in
from tests.fakeaws.signatures import ACCESS_KEY

MAX_REPEAT = 1_000_000
MAX_CHECKED = 1_000_000
"""Records of one call that are checked in full: the stand-in remembers the key of each."""

START_DELAY = 3.0
"""Seconds within which several processes have started and warmed up."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Line:
    """What became of an entry: figures, or why there are none."""

    label: str
    contender: str
    settings: str
    summary: dict[str, Summary] = field(default_factory=dict)
    rounds: list[Figures] = field(default_factory=list)
    void: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    """Runs that were stopped at their time limit."""
    missing: str = ""


class StandIns:
    """The stand-ins, started when they are first wanted."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[bool, StandInProcess] = {}

    def at(self, *, tls: bool) -> StandInProcess:
        """Return the stand-in with or without TLS."""
        if tls not in self._running:
            self._running[tls] = self._stack.enter_context(stand_in(tls=tls))
        return self._running[tls]


@contextlib.contextmanager
def stand_ins() -> Iterator[StandIns]:
    """Open the stand-ins; they end with the context."""
    with ExitStack() as stack:
        yield StandIns(stack)


def ask(question: Question, options: Options, running: StandIns, say: Say) -> list[Line]:
    """Run a question to its end and return one line for each entry."""
    entries = question.entries(options)
    lines = []
    ready: list[tuple[Entry, Line, Json]] = []
    with tempfile.TemporaryDirectory(prefix="millpond-bench-") as folder:
        for index, entry in enumerate(entries):
            line = Line(entry.label, entry.contender.name, entry.contender.settings)
            lines.append(line)
            if reason := entry.contender.missing():
                line.missing = reason
                say(f"  {entry.label}: missing, {reason}")
                continue
            try:
                ready.append((entry, line, _prepare(entry, Path(folder) / str(index), options, running)))
            except RunFailed as error:
                line.void.append(str(error))
                say(f"  {entry.label}: {error}")
        for number in range(options.rounds):
            for entry, line, spec in ready:
                if entry.rounds is not None and number >= entry.rounds:
                    continue
                _round(question, entry, line, spec, running, say)
    for line in lines:
        line.summary = summarise(line.rounds)
    return lines


def _prepare(entry: Entry, folder: Path, options: Options, running: StandIns) -> Json:
    """Write the files of an entry, check it in full, and return the specification of a measured run."""
    folder.mkdir()
    spec = dict(entry.spec, warmup=entry.warmup, records_per_call=entry.records_per_call)
    if entry.event is not None:
        spec["event"] = str(folder / "event.json")
        Path(spec["event"]).write_text(json.dumps(entry.event), encoding="utf-8")
    if entry.content is not None:
        spec["content"] = str(folder / "content.csv")
        Path(spec["content"]).write_bytes(entry.content)
    if "seconds" in spec:
        return spec
    if entry.repeat is not None and (options.quick or not entry.counted or entry.records_per_call > MAX_CHECKED):
        return {**spec, "repeat": entry.repeat}
    checked = dict(entry.stand_in, sample=1, keys=True) if entry.counted else entry.stand_in
    result = _run(entry, {**spec, "repeat": 1}, checked, running)
    _hold(entry, result)
    if entry.distinct and result.counts["keys"] != entry.distinct:
        raise RunFailed(f"void: {result.counts['keys']:,} different keys, not {entry.distinct:,}")
    if entry.repeat is not None:
        return {**spec, "repeat": entry.repeat}
    # The checks take longer than the work, on the other core: the processor time tells more than the clock.
    once = max(result.results[0]["cpu"], 1e-6) if entry.counted else max(result.results[0]["wall"], 1e-6)
    wanted = options.seconds * entry.share
    if not entry.counted or entry.stand_in.get("latency_median_ms"):
        once = max(once, result.results[0]["wall"] / 4)
    return {**spec, "repeat": min(MAX_REPEAT, max(1, math.ceil(wanted / once)))}


def _round(question: Question, entry: Entry, line: Line, spec: Json, running: StandIns, say: Say) -> None:
    try:
        result = _run(entry, spec, entry.stand_in, running)
        _hold(entry, result)
    except RunFailed as error:
        line.void.append(str(error))
        say(f"  {entry.label}: {error}")
        return
    figures = usual_figures(entry, result)
    if question.figures is not None:
        figures |= question.figures(entry, result)
    line.rounds.append(figures)
    shown = ", ".join(f"{heading} {figures[name]:,.4g}" for name, heading in question.columns if name in figures)
    say(f"  {entry.label}: {shown}")


def _run(entry: Entry, spec: Json, settings: Json, running: StandIns) -> Run:
    at = running.at(tls=entry.tls)
    at.control("/_config", settings)
    specs: list[Json] = [spec]
    keys: list[dict[str, str]] = [{}]
    if entry.processes > 1:
        start_at = time.monotonic() + START_DELAY
        specs = [{**spec, "start_at": start_at} for _ in range(entry.processes)]
        keys = [{"AWS_ACCESS_KEY_ID": f"{ACCESS_KEY}-{i}"} for i in range(entry.processes)]
    envs = [environment(at.url, at.authority, {**entry.env, **key}) for key in keys]
    return run(entry.contender, specs, envs, at)


def _hold(entry: Entry, result: Run) -> None:
    """Hold what the contender says against what the stand-in counted. Raises `RunFailed`."""
    counts = result.counts
    if counts["violations"]:
        raise RunFailed(f"void: {counts['violations']} violations: {'; '.join(counts['notes'][:3])}")
    if entry.counted and counts[entry.counted] != result.total_records:
        raise RunFailed(
            f"void: it says {result.total_records:,} records, the stand-in counted {counts[entry.counted]:,}"
        )


def usual_figures(entry: Entry, result: Run) -> Figures:
    """Return what is told of every run: rates, processor, memory, calls, bytes billed, dollars."""
    wall = max(item["wall"] for item in result.results)
    cpu = sum(item["cpu"] for item in result.results)
    figures: Figures = {"peak_mb": result.peak_mb, "user_s": result.user, "system_s": result.system}
    if not result.records:
        return figures
    figures["per_second"] = result.records / wall
    figures["cores"] = cpu / wall
    if cpu:
        figures["per_cpu_second"] = result.records / cpu
    per_million = 1e6 / result.total_records
    counts: dict[str, Any] = result.counts
    figures["calls"] = sum(counts["calls"].values()) * per_million
    figures["mb_sent"] = counts["bytes_in"] / 1e6 * per_million
    if entry.cost and entry.usual is not None:
        figures |= _dollars(entry, entry.usual, result, wall)
    return figures


def _dollars(entry: Entry, usual: Usual, result: Run, wall: float) -> Figures:
    counts, total = result.counts, result.total_records
    calls = total / entry.records_per_call
    units = counts["sqs_units"] + usual.received_units * calls
    usage = Usage(
        records=total,
        seconds=wall * total / result.records,
        invocations=usual.invocations * calls,
        sqs_requests=units,
        s3_gets=counts["calls"].get("GetObject", 0),
        s3_puts=counts["objects_put"],
        write_units=counts["rows_written"],
    )
    dollars = dollars_per_million(usage)
    return {
        "billed_sqs": units * 1e6 / total,
        "cents": dollars["total"] * 100,
        "lambda_cents": dollars["lambda"] * 100,
        "dynamodb_cents": dollars["dynamodb_writes"] * 100,
    }
