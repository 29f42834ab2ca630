"""From the start of the process to the first answer."""

from __future__ import annotations

from typing import Any

from benchmarks import rivals
from benchmarks.model import Contender, Entry, Figures, Options, Question, Run
from benchmarks.questions.common import producer, worker
from benchmarks.questions.query import EVENT


def _first(entry: Entry, label: str) -> Entry:
    entry.label, entry.warmup, entry.repeat = label, 1, 0
    return entry


def _worker(contender: Contender, label: str, **more: Any) -> Entry:
    return _first(worker(contender, messages=1, per_message=25, **more), label)


def entries(options: Options) -> list[Entry]:
    """Return workers with 25 rows, and Millpond's producer and query function."""
    query = Entry(contender=rivals.MILLPOND, label="", spec={"task": "query"}, event=EVENT)
    return [
        _worker(rivals.MILLPOND, "Millpond, worker"),
        _first(producer(rivals.MILLPOND, 25), "Millpond, producer"),
        _first(query, "Millpond, query"),
        _worker(rivals.BATCH_WRITER, "boto3 batch_writer, worker", spec={"way": "batch_writer"}),
        _worker(rivals.POWERTOOLS, "Powertools, worker", spec={"way": "powertools"}),
        _worker(rivals.AIOBOTO3, "aioboto3, worker"),
        _worker(rivals.NODE, "Node.js, worker"),
        _worker(rivals.GO, "Go, worker", env=rivals.GO_ENV),
    ]


def figures(entry: Entry, run: Run) -> Figures:
    """Return milliseconds since the process was started."""
    result = run.results[0]
    return {
        "imported_ms": (result["imported_at"] - run.began) * 1000,
        "first_answer_ms": (result["first_answer_at"] - run.began) * 1000,
    }


QUESTION = Question(
    name="coldstart",
    title="Cold start: process start to first answer",
    about="A fresh process each time, everything in the file cache. Imported: the handler's module is loaded, and for "
    "rivals also their clients made. The first answer is that to 25 rows (or one request).",
    unit="starts",
    entries=entries,
    figures=figures,
    columns=(("first_answer_ms", "first answer, ms"), ("imported_ms", "imported, ms"), ("peak_mb", "peak MB")),
    chart="first_answer_ms",
)
