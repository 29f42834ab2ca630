"""Does memory grow with the object?"""

from __future__ import annotations

from typing import Any

from benchmarks import rivals
from benchmarks.model import Entry, Options, Question
from benchmarks.questions.common import producer


def entries(options: Options) -> list[Entry]:
    """Return Millpond for 10 MB, 100 MB and 1 GB, and the others as far as they get in reasonable time."""
    size = options.row_bytes
    once: dict[str, Any] = {"warmup": 0, "repeat": 1, "row_bytes": size}
    return [
        producer(rivals.MILLPOND, 100_000, "Millpond, 10 MB", **once),
        producer(rivals.MILLPOND, 1_000_000, "Millpond, 100 MB", **once),
        producer(rivals.MILLPOND, 10_000_000, "Millpond, 1 GB", **once, rounds=1),
        producer(rivals.BATCH_WRITER, 100_000, "boto3, one message a row, 10 MB", **once, rounds=1),
        producer(rivals.NODE, 20_000, "Node.js, one message a row, 2 MB", **once, rounds=1),
        producer(rivals.NODE, 100_000, "Node.js, one message a row, 10 MB", **once, rounds=1),
    ]


QUESTION = Question(
    name="memory",
    title="Producer's memory against the size of the object",
    about="The most memory that the process has had (VmHWM), one object in a fresh process.",
    unit="records",
    entries=entries,
    columns=(("peak_mb", "peak MB"), ("per_second", "records/s")),
    chart="peak_mb",
)
