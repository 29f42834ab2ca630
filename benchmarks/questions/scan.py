"""Scanning: a range of a huge object to the places of its records."""

from __future__ import annotations

from benchmarks.model import Entry, Options, Question
from benchmarks.questions.parts import parts


def entries(options: Options) -> list[Entry]:
    """Return the kinds of files."""
    return parts("scan", options)


QUESTION = Question(
    name="scan",
    title="Scanning: a range of a huge object to the places of its records",
    about=(
        "16 MB of users in chunks of 256 KiB, from a place that may be anywhere in the file: where records begin, and "
        "how many there are. Producers that read one object together begin with that."
    ),
    unit="bytes",
    entries=entries,
    columns=(("per_cpu_second", "bytes per CPU-second"),),
    chart="per_cpu_second",
    compare="per_cpu_second",
)
