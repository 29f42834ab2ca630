"""How the rows of one header are cleaned: each column's place in them, and what to compute from the cleaned values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import orjson

from engine.reading.format import REST
from engine.schema.columns import Column
from engine.schema.computed import Computed
from engine.schema.rest import Rest
from engine.schema.values import MAX_NESTED_CHARACTERS, Value

# Measured, generously: a row with its number, its message or its reject, and a cell with its short text.
_ROW_BYTES, _CELL_BYTES = 1_536, 64


Cleaning = Literal["text", "lines", "message", "attributes"]
"""What the fields of a row are: text, values of JSON lines or of a message, or attribute values of DynamoDB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlan:
    """How to clean the rows of one header: `columns` in order, each with its index in a row (None: it has none).

    `cleaning`: what the fields are. `rest`: the field with what has no column, which becomes the last value. `pad`:
    fields that are missing at the end of a row are empty; without it such a row is rejected. `ignored` are the columns
    of the header that are not used, by name where that is certainly a name, or else by place from 1; `absent` are the
    schema's columns that the header lacks.
    """

    width: int
    columns: tuple[tuple[Column, int | None], ...]
    computed: tuple[Computed, ...] = ()
    rest: Rest | None = None
    cleaning: Cleaning = "text"
    pad: bool = False
    ignored: tuple[str | int, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes of a cleaned row's values, in order."""
        return (
            *(column.attribute for column, _ in self.columns),
            *(computed.attribute.attribute for computed in self.computed),
            *([REST] if self.rest else []),
        )

    @property
    def row_bytes(self) -> int:
        """About how much memory a row takes on its way into a message, apart from the text of its own values.

        That is its cells, defaults and names. For most plans it is little, but many columns that a file does not
        have, or a long default, turn a row of two bytes into kilobytes.
        """
        texts = (str(text) for column, _ in self.columns for text in (column.name, column.attribute, column.default))
        templates = sum(len(computed.format) for computed in self.computed)
        cells = len(self.columns) + len(self.computed)
        return _ROW_BYTES + _CELL_BYTES * cells + sum(map(len, texts)) + templates

    def clean(self, numbers: Sequence[int], rows: list[list[Any]]) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
        """Clean `rows`, whose row numbers are `numbers`.

        Returns the good rows as tuples ``(number, value, …)`` in the order of `attributes`, and the bad ones as
        ``{index in rows: reason}``.
        """
        widths = set(map(len, rows))
        bad = self._misfits(rows, widths) | self._too_large(rows) | self._unknown(rows)
        if not bad:
            return self._clean(numbers, rows, min(widths, default=self.width))
        # Only the other rows are cleaned: padding the short ones would take the header's width for each of them.
        fitting = [i for i in range(len(rows)) if i not in bad]
        shortest = min(self.width, *widths)
        good, found = self._clean([numbers[i] for i in fitting], [rows[i] for i in fitting], shortest)
        return good, bad | {fitting[i]: reason for i, reason in found.items()}

    def _misfits(self, rows: list[list[Any]], widths: set[int]) -> dict[int, str]:
        """Return ``index: reason`` for each row whose width is not the header's."""
        misfits = {
            width: f"the row has {width} field{'s' * (width != 1)}, the header has {self.width}"
            for width in widths
            if width > self.width or (width < self.width and not self.pad)
        }
        return {i: misfits[len(row)] for i, row in enumerate(rows) if len(row) in misfits} if misfits else {}

    def _unknown(self, rows: list[list[Any]]) -> dict[int, str]:
        """Return ``index: reason`` for each JSON row that has nothing for any column, and so would be an empty item."""
        if self.cleaning == "text" or any(column.required for column, _ in self.columns):
            return {}
        nothing = "the line has no key that the schema knows"
        return {i: nothing for i, row in enumerate(rows) if all(value is None for value in row)}

    def _too_large(self, rows: list[list[Any]]) -> dict[int, str]:
        """Return ``index: reason`` for each row whose lists, sets and JSON are too long to be converted."""
        places = [index for column, index in self.columns if column.is_nested and index is not None]
        if self.rest and any(row[self.rest.index] for row in rows):
            places.append(self.rest.index)
        if not places:
            return {}
        if self.cleaning == "text":
            # Mostly no row can be too long, whichever fields it has.
            longest = max(map(len, chain.from_iterable(rows)), default=0)
            if longest * len(places) <= MAX_NESTED_CHARACTERS:
                return {}
        reason = (
            f"its lists, sets and JSON are longer than {MAX_NESTED_CHARACTERS:,} characters, and an item has at most "
            "400 KB"
        )
        return {
            i: reason
            for i, row in enumerate(rows)
            if sum(_characters(row[place]) for place in places if place < len(row)) > MAX_NESTED_CHARACTERS
        }

    def _clean(
        self, numbers: Sequence[int], rows: list[list[Any]], shortest: int
    ) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
        """Clean rows of at least `shortest` fields, which is less than the header's width only if they are padded."""
        bad: dict[int, str] = {}
        cleaned: list[Sequence[Value]] = []
        # All columns at once take as long as a third of them one by one.
        wanted = sum(index is not None for _, index in self.columns)
        every = list(zip(*rows, strict=False)) if shortest == self.width <= 3 * wanted else []
        for column, index in self.columns:
            if index is None:
                cleaned.append([column.default] * len(rows))
                continue
            found: dict[int, str] = {}
            fields: Sequence[Any]
            if every:
                fields = every[index]
            elif index < shortest:
                fields = [row[index] for row in rows]
            else:
                # No row is built anew where fields are missing: there may be millions of them.
                fields = [row[index] if index < len(row) else "" for row in rows]
            cleaned.append(self._clean_column(column, fields, found))
            for i, reason in found.items():
                bad.setdefault(i, reason)  # the first thing wrong with a row is its reason
        places = {column.name: place for place, (column, _) in enumerate(self.columns)} if self.computed else {}
        for computed in self.computed:
            cleaned.append(computed.values([cleaned[places[name]] for name in computed.columns], bad))
        if self.rest:
            cleaned.append(self._clean_rest(self.rest, rows, bad))
        good = list(zip(numbers, *cleaned, strict=True))
        if bad:
            good = [row for i, row in enumerate(good) if i not in bad]
        return good, bad

    def _clean_rest(self, rest: Rest, rows: list[list[Any]], bad: dict[int, str]) -> Sequence[Value]:
        fields = [row[rest.index] for row in rows]
        found: dict[int, str] = {}
        values = rest.clean_json(fields, found) if self.cleaning == "lines" else rest.clean_attributes(fields, found)
        for i, reason in found.items():
            bad.setdefault(i, reason)
        return values

    def _clean_column(self, column: Column, fields: Sequence[Any], bad: dict[int, str]) -> Sequence[Value]:
        match self.cleaning:
            case "text":
                return column.clean(fields, bad)
            case "lines":
                return column.clean_json_lines(fields, bad)
            case "message":
                return column.clean_json(fields, bad)
            case "attributes":
                return column.clean_attributes(fields, bad)


def _characters(field: Any) -> int:
    """Return the length of a field as text."""
    if field is None:
        return 0
    if isinstance(field, str):
        return len(field)
    try:
        return len(orjson.dumps(field))
    except TypeError:  # more levels than orjson writes, which are refused as more than DynamoDB allows
        return 0
