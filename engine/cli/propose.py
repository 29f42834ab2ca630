"""`millpond schema FILE`: print a schema for a file, found from a sample of its rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.cli.errors import CliError
from engine.reading.block import Block
from engine.reading.reader import Found, ObjectReader
from engine.schema.proposal import Sample, propose

SAMPLE_BYTES = 64 * 1_048_576
"""Bytes of the file that are read at the most: the values are kept in memory until all columns are guessed."""

_CHUNK_BYTES = 1 << 20


def run_schema(path: Path, *, rows: int) -> int:
    """Print a schema for the file at `path`, found from its first `rows` rows; return the exit code.

    Raises `CliError` for what is no file, and `BadFile` for what cannot be read.
    """
    if not path.is_file():
        raise CliError(f"{path} is not a file")
    sys.stdout.write(propose(sample_of(path, rows)))
    return 0


def sample_of(path: Path, most: int) -> Sample:
    """Return the first `most` rows of a file, and what its format is. Raises `BadFile`."""
    reader = ObjectReader()
    taken: list[list[str]] = []
    rejected = 0
    whole = True
    for block in _blocks(reader, path):
        width = len(reader.header or ())
        fitting = [row for row in block.rows if len(row) == width]
        rejected += len(block.rejects) + len(block.rows) - len(fitting)
        taken += fitting[: most - len(taken)]
        if len(taken) == most:
            whole = False  # perhaps it is, but that would take another row to know
            break
    found = reader.found
    if found is None or reader.header is None:
        raise CliError(f"{path} has no header line within its first {SAMPLE_BYTES:,} bytes")
    read_all = whole and path.stat().st_size <= SAMPLE_BYTES
    return Sample(path.name, _format_of(found), reader.header, taken, rejected, read_all)


def _blocks(reader: ObjectReader, path: Path) -> Iterator[Block]:
    with path.open("rb") as file:
        for _ in range(0, SAMPLE_BYTES, _CHUNK_BYTES):
            data = file.read(_CHUNK_BYTES)
            if not data:
                yield from reader.finish()
                return
            yield from reader.feed(data)


def _format_of(found: Found) -> dict[str, Any]:
    """Return what was found as settings of ``[format]``; compression and encoding only where they are not the usual."""
    settings: dict[str, Any] = {"type": found.type}
    if found.type == "csv":
        settings |= {"delimiter": found.delimiter, "quote": found.quote, "escape": found.escape}
    if found.encoding != "utf-8":
        settings["encoding"] = found.encoding
    return settings
