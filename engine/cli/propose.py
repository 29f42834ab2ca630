"""`millpond schema FILE`: print a schema for a file, found from a sample of its rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.cli.errors import CliError
from engine.errors import BadFile, SchemaError
from engine.reading.block import Block
from engine.reading.format import Wanted
from engine.reading.reader import Found, ObjectReader
from engine.reading.records import NOT_UTF8
from engine.schema.format import parse_format
from engine.schema.proposal import Sample, propose

SAMPLE_BYTES = 64 * 1_048_576
"""Bytes of the file that are read at the most: the values are kept in memory until all columns are guessed."""

_CHUNK_BYTES = 1 << 20

_NOT_UTF8 = "the row is not UTF-8 text; if it has another encoding, name it, such as --encoding cp1252"


def run_schema(path: Path, *, rows: int, encoding: str | None, header: bool) -> int:
    """Print a schema for the file at `path`, found from its first `rows` rows; return the exit code.

    Raises `CliError` for what is no file, what cannot be read, and an unknown encoding.
    """
    if not path.is_file():
        raise CliError(f"{path} is not a file")
    sys.stdout.write(propose(sample_of(path, rows, encoding), header=header))
    return 0


def sample_of(path: Path, most: int, encoding: str | None = None) -> Sample:
    """Return the first `most` rows of a file, and what its format is. Raises `CliError`."""
    settings = {} if encoding is None else {"encoding": encoding}
    try:
        form = parse_format(settings, lambda key, reason: SchemaError("", key, reason))
    except SchemaError as error:
        raise CliError(f"--encoding {error.reason}") from None
    reader = ObjectReader(form, Wanted({}, (), unknown="store"))
    try:
        sample = _sample_of(reader, path, most)
    except BadFile as error:
        raise CliError(f"{path}: {_said(str(error))}") from error
    if sample.rejected and not (sample.rows or sample.objects):
        raise CliError(f"no row of {path} can be read; {sample.first_reject}")
    if sample.format["type"] != "csv" and not any(sample.objects):
        raise CliError(f"the rows of {path} have no value")
    return sample


def _sample_of(reader: ObjectReader, path: Path, most: int) -> Sample:
    taken: list[list[Any]] = []
    rejected = 0
    first_reject = ""
    whole = True
    for block in _blocks(reader, path):
        width = len(reader.header or ())
        fitting = [row for row in block.rows if len(row) == width]
        refused = len(block.rejects) + len(block.rows) - len(fitting)
        if refused and not rejected:
            first_reject = _first_reject(block, width)
        rejected += refused
        taken += fitting[: most - len(taken)]
        if len(taken) == most:
            whole = False  # perhaps it is, but that would take another row to know
            break
    found = reader.found
    if found is None or reader.header is None:
        raise CliError(f"{path} has no header line within its first {SAMPLE_BYTES:,} bytes")
    read_all = whole and path.stat().st_size <= SAMPLE_BYTES
    form = _format_of(found)
    if found.type == "csv":
        return Sample(path.name, form, reader.header, taken, rejected, read_all, first_reject)
    # Of each object there is one field, which has all its members.
    objects = [row[0] or {} for row in taken]
    return Sample(path.name, form, (), (), rejected, read_all, first_reject, objects)


def _first_reject(block: Block, width: int) -> str:
    """Return the first row that does not fit, and why: "row 2: the row is not UTF-8 text"."""
    found = [(reject.row, _said(reject.reason)) for reject in block.rejects[:1]]
    found += [
        (number, f"the row has {len(row):,} fields, the header has {width:,}")
        for number, row in zip(block.numbers, block.rows, strict=True)
        if len(row) != width
    ][:1]
    number, reason = min(found)
    return f"row {number:,}: {reason}"


def _said(reason: str) -> str:
    """Return a reason as it is said where there is no schema yet."""
    return reason.replace(NOT_UTF8, _NOT_UTF8)


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
