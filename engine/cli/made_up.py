"""A CSV file of any length, written as the schema declares, whose rows fit it apart from some broken ones. Pure.

Values are tried: the first shape that a column accepts, for the numbers of several rows, is the one that it gets.
"""

from __future__ import annotations

import base64
import codecs
import csv
import io
import uuid
from collections.abc import Callable, Iterator

from engine.errors import MillpondError
from engine.reading.format import NO_QUOTE, Format
from engine.schema.columns import Column
from engine.schema.model import Schema

ROWS_PER_CHUNK = 1_000

_BROKEN_EACH = 400

Shape = Callable[[int], str]

_SHAPES: tuple[Shape, ...] = (
    lambda n: f"A{n:06d}",
    lambda n: f"{n}.{n % 100:02d}",
    lambda n: f"a{n}",
    lambda n: f"{n}",
    lambda n: f"{1_000 + n % 9_000}",
    lambda n: f"person{n}@example.com",
    lambda n: f"{2_000 + n % 30}-{1 + n % 12:02d}-{1 + n % 28:02d}",
    lambda n: f"{2_000 + n % 30}-{1 + n % 12:02d}-{1 + n % 28:02d}T12:00:00Z",
    lambda n: f"{1 + n % 28:02d}.{1 + n % 12:02d}.{2_000 + n % 30}",
    lambda n: f"{1 + n % 12:02d}/{1 + n % 28:02d}/{2_000 + n % 30}",
    lambda n: f"https://example.com/{n}",
    lambda n: str(uuid.UUID(int=n)),
    lambda n: f"{n:08d}",
    lambda n: ("yes", "no")[n % 2],
    lambda n: f'{{"n": {n}}}',
    lambda n: base64.b64encode(str(n).encode()).decode(),
    lambda n: f"{n:x}",
    lambda n: "abcdefghijklmnopqrstuvwxyz"[n % 26],
    lambda n: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[n % 26],
    lambda n: f"{n % 10}",
    lambda n: "",
)
"""Row number -> value. Those that differ in every row come first; the last one leaves an optional column empty."""

_TRIED = 200
"""Neighbouring rows that a shape must fit, and the last one."""


class NoShapeError(MillpondError):
    """No value that a column accepts is known, or no file of the declared format; the message says which."""


def made_up(schema: Schema, rows: int, *, seed: int = 1) -> Iterator[tuple[bytes, int]]:
    """Yield the file as pieces of bytes, each with the number of valid rows in it; `rows` counts broken rows too.

    Each `seed` has other keys, as long as the columns' rules leave a choice. Raises `NoShapeError`.
    """
    form = schema.format
    if form.type not in (None, "csv") or form.compression not in (None, "none"):
        raise NoShapeError(
            "The demo makes plain CSV files only, and the schema declares another format. Use `millpond local --schema "
            "FILE`, and load a file of your own."
        )
    names, columns = _layout(schema)
    start = abs(seed - 1) * rows
    tried = [*range(start + 1, start + _TRIED), start + rows]
    shapes = [_shape(column, tried) if column else _nothing for column in columns]
    encode = codecs.getincrementalencoder(form.encoding or "utf-8")().encode
    header = [names, *([[""] * len(names)] * (form.header_lines - 1))] if form.header_lines else []
    yield encode("-\n" * form.skip_lines + "".join(_line(line, form) for line in header)), 0
    # Every schema rejects a row with a field too many, and one that lacks a required value.
    required = next((place for place, column in enumerate(columns) if column and column.required), None)
    piece: list[str] = []
    valid = 0
    for n in range(1, rows + 1):
        fields = [shape(start + n) for shape in shapes]
        if n % _BROKEN_EACH == 0 and n < rows:
            if required is None or n // _BROKEN_EACH % 2:
                fields.append("")
            else:
                fields[required] = ""
        else:
            valid += 1
        piece.append(_line(fields, form))
        if len(piece) == ROWS_PER_CHUNK:
            yield encode("".join(piece)), valid
            piece, valid = [], 0
    if piece:
        yield encode("".join(piece)), valid


def _shape(column: Column, tried: list[int]) -> Shape:
    for shape in _SHAPES:
        bad: dict[int, str] = {}
        column.clean([shape(n) for n in tried], bad)
        if not bad:
            return shape
    raise NoShapeError(
        f"The demo can make no values for the column {column.name}: its rules are too special. Use `millpond local "
        "--schema FILE`, and load a file of your own."
    )


def _layout(schema: Schema) -> tuple[list[str], list[Column | None]]:
    """Return the names of the file's columns, and which of the schema each is."""
    placed = {column.place: column for column in schema.columns if column.place is not None}
    others = [column for column in schema.columns if column.place is None]
    if schema.format.names is not None:
        names = list(schema.format.names)
        by_name = {name: column for column in others for name in column.header_names}
        return names, [placed.get(place) or by_name.get(name.strip().casefold()) for place, name in enumerate(names, 1)]
    free = iter(others)
    width = max(len(schema.columns), *placed, 0)
    columns = [placed.get(place) or next(free, None) for place in range(1, width + 1)]
    return [f"column_{place}" if column is None else column.name for place, column in enumerate(columns, 1)], columns


def _nothing(_: int) -> str:
    return ""


def _line(fields: list[str], form: Format) -> str:
    delimiter = form.delimiter or ","
    if form.quote == NO_QUOTE:
        return delimiter.join(fields) + "\n"
    text = io.StringIO()
    escape = "\\" if form.escape == "backslash" else None
    csv.writer(
        text,
        delimiter=delimiter,
        quotechar=form.quote or '"',
        escapechar=escape,
        doublequote=not escape,
        lineterminator="\n",
    ).writerow(fields)
    return text.getvalue()
