"""A CSV file of any length whose rows fit a schema, apart from some broken ones, for the demo. Pure.

Values are tried: the first shape that a column accepts, for the numbers of several rows, is the one that it gets.
"""

from __future__ import annotations

import base64
import csv
import io
import uuid
from collections.abc import Callable, Iterator

from engine.errors import MillpondError
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
    """No value that a column accepts is known; the message names the column."""


def made_up(schema: Schema, rows: int, *, seed: int = 1) -> Iterator[tuple[bytes, int]]:
    """Yield the file as pieces of bytes, each with the number of valid rows in it; `rows` counts broken rows too.

    Each `seed` has other keys, as long as the columns' rules leave a choice. Raises `NoShapeError`.
    """
    columns = list(schema.columns)
    start = abs(seed - 1) * rows
    tried = [*range(start + 1, start + _TRIED), start + rows]
    shapes = [_shape(column, tried) for column in columns]
    yield _line([column.name for column in columns]), 0
    # Every schema rejects a row with a field too many, and one that lacks a required value.
    required = next((place for place, column in enumerate(columns) if column.required), None)
    piece: list[bytes] = []
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
        piece.append(_line(fields))
        if len(piece) == ROWS_PER_CHUNK:
            yield b"".join(piece), valid
            piece, valid = [], 0
    if piece:
        yield b"".join(piece), valid


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


def _line(fields: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue().encode()
