"""Parsing: CSV bytes to rows."""

from __future__ import annotations

from benchmarks.model import Entry, Options, Question
from benchmarks.questions.parts import parts


def entries(options: Options) -> list[Entry]:
    """Return the ways to do it."""
    return parts("parse", options)


QUESTION = Question(
    name="parse",
    title="Parsing: CSV bytes to rows",
    about="10 MB of CSV in chunks of 256 KiB; Millpond also numbers the rows and knows their offsets.",
    unit="rows",
    entries=entries,
    columns=(("per_cpu_second", "rows per CPU-second"), ("peak_mb", "peak MB")),
    chart="per_cpu_second",
    compare="per_cpu_second",
    quick=True,
)
