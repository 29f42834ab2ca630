"""Encoding: message bodies to bodies of BatchWriteItem."""

from __future__ import annotations

from benchmarks.model import Entry, Options, Question
from benchmarks.questions.parts import parts


def entries(options: Options) -> list[Entry]:
    """Return the ways to do it."""
    return parts("encode", options)


QUESTION = Question(
    name="encode",
    title="Encoding: message bodies to bodies of BatchWriteItem",
    about="10 messages of 500 rows: parsed, checked, made into items and batches; nothing sent.",
    unit="rows",
    entries=entries,
    columns=(("per_cpu_second", "rows per CPU-second"), ("peak_mb", "peak MB")),
    chart="per_cpu_second",
    compare="per_cpu_second",
    quick=False,
)
