"""Signing."""

from __future__ import annotations

from benchmarks.model import Entry, Options, Question
from benchmarks.questions.parts import parts


def entries(options: Options) -> list[Entry]:
    """Return the ways to do it."""
    return parts("sign", options)


QUESTION = Question(
    name="sign",
    title="Signing",
    about="A BatchWriteItem body of 25 rows is signed (SigV4), nothing sent.",
    unit="signatures",
    entries=entries,
    columns=(("per_cpu_second", "signatures per CPU-second"), ("peak_mb", "peak MB")),
    chart="per_cpu_second",
    compare="per_cpu_second",
    quick=True,
)
