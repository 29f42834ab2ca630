"""Formats: the same rows from files of each format."""

from __future__ import annotations

from benchmarks.model import Entry, Options, Question
from benchmarks.questions.parts import parts


def entries(options: Options) -> list[Entry]:
    """Return the formats."""
    return parts("formats", options)


QUESTION = Question(
    name="formats",
    title="Formats: files of each format to rows",
    about="The same 100,000 rows in chunks of 256 KiB. The rows repeat, so they are compressed more than usual.",
    unit="rows",
    entries=entries,
    columns=(("per_cpu_second", "rows per CPU-second"), ("peak_mb", "peak MB")),
    chart="per_cpu_second",
    compare="per_cpu_second",
)
