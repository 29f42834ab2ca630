"""Formats: files of each kind, beside the users file."""

from __future__ import annotations

from benchmarks.model import Entry, Options, Question
from benchmarks.questions.parts import parts


def entries(options: Options) -> list[Entry]:
    """Return the kinds of files."""
    return parts("formats", options)


QUESTION = Question(
    name="formats",
    title="Formats: files of each kind to messages",
    about=(
        "Files of 4 MB, uncompressed, in chunks of 256 KiB, converted to packed messages. Bytes are those before "
        "compression. The users repeat after 10,000 rows, so they are compressed more than usual; a row of them has "
        "100 bytes as CSV."
    ),
    unit="bytes",
    entries=entries,
    columns=(("per_cpu_second", "bytes per CPU-second"), ("peak_mb", "peak MB")),
    chart="per_cpu_second",
    compare="per_cpu_second",
)
