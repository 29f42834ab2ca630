"""Packing: CSV bytes to message bodies."""

from __future__ import annotations

from benchmarks.model import Entry, Options, Question
from benchmarks.questions.parts import parts


def entries(options: Options) -> list[Entry]:
    """Return the ways to do it."""
    return parts("pack", options)


QUESTION = Question(
    name="pack",
    title="Packing: CSV bytes to message bodies",
    about="10 MB of CSV: parsed, checked against the schema, packed; the last way neither checks nor packs.",
    unit="rows",
    entries=entries,
    columns=(("per_cpu_second", "rows per CPU-second"), ("peak_mb", "peak MB")),
    chart="per_cpu_second",
    compare="per_cpu_second",
    quick=False,
)
