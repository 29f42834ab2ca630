"""Worker and producer against an emulator, or AWS itself, instead of the stand-in: ``--endpoint URL`` or ``aws``.

There the server is the bottleneck, and nobody knows its ceiling: `cores used` shows how much of the time a contender
worked rather than waited. Each contender gets a table and a queue of its own; what is in them at the end is counted,
and all of it is deleted again. On AWS this costs money: some cents, by the number of rows.

A contender's run has a time limit. When the server stops answering, what was measured until then is the result.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import data, machine, plots, report, rivals
from benchmarks.figures import summarise
from benchmarks.harness import Line, Say, usual_figures
from benchmarks.model import Entry, Options, Question, Run
from benchmarks.place import REFUSALS, NoCredentials, Place
from benchmarks.processes import RunFailed, TimeLimit, run
from benchmarks.questions.common import PER_MESSAGE, producer, worker

NAMES = ("work", "produce")
"""The questions that an endpoint is asked."""

ROWS, QUICK_ROWS = 20_000, 5_000
LIMIT, QUICK_LIMIT = 120.0, 30.0
"""Seconds: a server that takes 20,000 rows twice in them takes 333 a second, less than any emulator measured here."""


class Asked(NamedTuple):
    """What an endpoint is asked."""

    url: str
    only: Sequence[str]
    """Some of `NAMES`."""
    rows: int
    """Rows of one call, a multiple of `PER_MESSAGE`; each contender makes two."""
    limit: float
    """Seconds that one run of a contender may take at most."""


class Gone(Exception):
    """The endpoint stopped answering; says how that was noticed."""


@dataclass(frozen=True, slots=True)
class _Task:
    question: Question
    measure: Callable[[Place, Entry, float, Path], Run]
    entries: list[Entry]
    lines: list[Line]


def _work(place: Place, entry: Entry, limit: float, folder: Path) -> Run:
    with place.table() as table:
        try:
            result = _run(place, entry, limit, folder, {"TABLE_NAME": table, **entry.env}, entry.event)
        except TimeLimit as error:
            raise TimeLimit(f"{error}, {place.items(table):,} of {entry.distinct:,} rows in the table") from None
        if (found := place.items(table)) != entry.distinct:
            raise RunFailed(f"void: {found:,} items in the table, not {entry.distinct:,}")
    return result


def _produce(place: Place, entry: Entry, limit: float, folder: Path) -> Run:
    rows = entry.records_per_call
    key = data.key_of(rows)
    body = data.HEADER + (data.block() * -(-rows // data.BLOCK_ROWS))[: rows * data.DEFAULT_ROW_BYTES]
    with place.queue() as queue, place.bucket(key, body) as bucket:
        event = data.s3_event(key, bucket=bucket)
        try:
            result = _run(place, entry, limit, folder, {"QUEUE_URL": queue, **entry.env}, event)
        except TimeLimit as error:
            raise TimeLimit(f"{error}, {place.messages(queue):,} messages in the queue") from None
        found, most = place.messages(queue), result.total_records
        # Packed messages hold up to 500 rows; only the stand-in looks inside them.
        if not most / PER_MESSAGE <= found <= most:
            raise RunFailed(f"void: {found:,} messages in the queue for {most:,} records")
    return result


def _run(place: Place, entry: Entry, limit: float, folder: Path, env: dict[str, str], event: Any) -> Run:
    path = folder / "event.json"
    path.write_text(json.dumps(event), encoding="utf-8")
    spec = {**entry.spec, "event": str(path), "warmup": 1, "repeat": 1, "records_per_call": entry.records_per_call}
    return run(entry.contender, [spec], [place.env(env)], place, limit)


def _tasks(asked: Asked, *, quick: bool) -> list[_Task]:
    messages = asked.rows // PER_MESSAGE
    workers = [
        worker(rivals.MILLPOND, messages=messages),
        worker(rivals.BATCH_WRITER, messages=messages, spec={"way": "batch_writer"}),
    ]
    if not quick:
        workers += [
            worker(rivals.GO, messages=messages, env=rivals.GO_ENV),
            worker(rivals.AIOBOTO3, messages=messages),
        ]
    producers = [
        producer(rivals.MILLPOND, asked.rows),
        producer(rivals.BATCH_WRITER, asked.rows, "boto3, one message a row"),
    ]
    known = {
        "work": _task("work", f"Worker: {asked.rows:,} rows into a new table", _work, workers),
        "produce": _task("produce", f"Producer: {asked.rows:,} rows into a new queue", _produce, producers),
    }
    return [known[name] for name in NAMES if name in asked.only]


def _task(name: str, title: str, measure: Callable[[Place, Entry, float, Path], Run], entries: list[Entry]) -> _Task:
    question = Question(
        name=name,
        title=title,
        about="One call, after one that opened the connections and did the same. "
        "Cores used are the contender's: what is missing to 1 is time that it waited for the server.",
        unit="records",
        entries=lambda _: entries,
        columns=(
            ("per_second", "records/s"),
            ("cores", "cores used"),
            ("per_cpu_second", "records per CPU-second"),
            ("peak_mb", "peak MB"),
        ),
        chart="per_second",
    )
    # What the server bills is not counted here, so there are no dollars.
    entries = [replace(entry, cost=False) for entry in entries]
    lines = [Line(entry.label, entry.contender.name, entry.contender.settings) for entry in entries]
    return _Task(question, measure, entries, lines)


def main(asked: Asked, options: Options, out: Path, say: Say) -> str:
    """Measure (``aws``: AWS itself, with the person's own credentials) and write the results.

    Returns what went wrong in one line, or nothing. Ends the process with one line where nothing like AWS answers.
    """
    try:
        place = Place("" if asked.url == "aws" else asked.url.rstrip("/"))
    except NoCredentials as error:
        sys.exit(str(error))
    if refusal := place.refusal():
        sys.exit(f"{asked.url} does not answer like AWS: {refusal}")
    tasks = _tasks(asked, quick=options.quick)
    wrong = ""
    try:
        with tempfile.TemporaryDirectory(prefix="millpond-bench-") as folder:
            for task in tasks:
                say(f"{task.question.name}: {task.question.title}")
                _answer(place, task, asked.limit, options.rounds, Path(folder), say)
    except Gone as error:
        wrong = f"{asked.url} stopped answering: {error}; the results above are what was measured until then"
    answers = [(task.question, task.lines) for task in tasks]
    _write(answers, {**machine.describe(options), "placement": f"The server is {asked.url}."}, out, say)
    if not wrong and any(line.void or line.unfinished for _, lines in answers for line in lines):
        wrong = "some runs were void or unfinished, see above"
    return wrong


def _answer(place: Place, task: _Task, limit: float, rounds: int, folder: Path, say: Say) -> None:
    """Fill the lines of a task, round by round. Raises `Gone`; the lines then hold what there was until then."""
    for _ in range(rounds):
        for entry, line in zip(task.entries, task.lines, strict=True):
            line.missing = entry.contender.missing() or ""
            if line.missing or line.unfinished:  # a second try would take as long
                continue
            try:
                figures = usual_figures(entry, task.measure(place, entry, limit, folder))
            except TimeLimit as error:
                line.unfinished.append(str(error))
                say(f"  {entry.label}: {error}")
            except (RunFailed, *REFUSALS) as error:
                line.void.append(str(error))
                say(f"  {entry.label}: {report.last_line(str(error))}")
            else:
                line.rounds.append(figures)
                line.summary = summarise(line.rounds)
                say(f"  {entry.label}: {figures['per_second']:,.0f} {task.question.unit}/s")
                continue
            if refusal := place.refusal():
                raise Gone(refusal)


def _write(answers: Sequence[report.Answered], about: dict[str, Any], out: Path, say: Say) -> None:
    markdown = report.as_markdown(answers, about, {})
    print(markdown, flush=True)
    document = report.as_json(answers, about, {})
    (out / "endpoint.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (out / "endpoint.md").write_text(markdown, encoding="utf-8")
    plots.draw(answers, out, "endpoint")
    say(f"written to {out}/endpoint.json, .md, .png and .svg")
