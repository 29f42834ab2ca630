"""Cleaning rows, a whole column of values at a time.

Each column of a block is trimmed, checked and converted by functions that run in C over all its values. Only a check
that fails looks at the values one by one, to find the rows. Working row by row costs three times as much.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Value = str | bool | None
"""A cleaned value: text, a number in canonical decimal text, a boolean, or None where there is nothing."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,37}")
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
# DynamoDB: up to 38 significant digits, magnitudes from 1E-130 to 9.99…E+125.
_MAX_DIGITS = 38
_MIN_EXPONENT, _MAX_EXPONENT = -130, 125
# Measured, generously: a row with its number, its message or its reject, and a cell with its short text.
_ROW_BYTES, _CELL_BYTES = 1_536, 64


def is_number(text: str) -> str | None:
    """Return the canonical text of a number (one text for each value, as keys need), or None if DynamoDB rejects it."""
    if _PLAIN_INTEGER.fullmatch(text):
        return text
    if len(text) > 400 or not _NUMBER.fullmatch(text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:  # pragma: no cover - Decimal accepts all that the pattern allows
        return None
    if not number:
        return "0"
    digits = number.as_tuple().digits
    significant = "".join(map(str, digits)).strip("0")
    if len(significant) > _MAX_DIGITS or not _MIN_EXPONENT <= number.adjusted() <= _MAX_EXPONENT:
        return None
    # Not normalize(): that rounds to the context's 28 digits. Plain digits, without an exponent, in one form only.
    plain = f"{number:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: where its values come from, what they must be, and the attribute that they become.

    `max_length` counts characters, `max_bytes` UTF-8 bytes (the quota of a key).
    """

    name: str
    attribute: str
    aliases: tuple[str, ...] = ()
    required: bool = False
    trim: bool = False
    lower: bool = False
    type: str = "S"
    default: Value = None
    max_length: int | None = None
    max_bytes: int | None = None
    pattern: re.Pattern[str] | None = None

    @property
    def header_names(self) -> tuple[str, ...]:
        """The names that a header may use for it, case-folded for comparison; its attribute is always one of them."""
        return tuple(dict.fromkeys(name.strip().casefold() for name in (self.name, self.attribute, *self.aliases)))

    def clean(self, values: Sequence[str], bad: dict[int, str]) -> Sequence[Value]:
        """Return the cleaned values; add ``index: reason`` to `bad` for each that is rejected."""
        if self.trim or self.type != "S":
            values = list(map(str.strip, values))
        if self.lower:
            values = list(map(str.lower, values))
        if not all(values):
            if self.required:
                bad.update((i, f"{self.name} is required, but empty") for i, value in enumerate(values) if not value)
            return self._with_gaps(values, bad)
        return self._full(values, bad)

    def _with_gaps(self, values: Sequence[str], bad: dict[int, str]) -> Sequence[Value]:
        present = [i for i, value in enumerate(values) if value]
        found: dict[int, str] = {}
        cleaned = self._full([values[i] for i in present], found)
        bad.update((present[i], reason) for i, reason in found.items())
        result: list[Value] = [self.default] * len(values)
        for i, value in zip(present, cleaned, strict=True):
            result[i] = value
        return result

    def _full(self, values: Sequence[str], bad: dict[int, str]) -> Sequence[Value]:
        if self.max_length is not None and max(map(len, values), default=0) > self.max_length:
            reason = f"{self.name} is longer than {self.max_length:,} characters"
            bad.update((i, reason) for i, value in enumerate(values) if len(value) > self.max_length)
        # A character has at most 4 bytes, so only values near the limit have to be encoded to be measured.
        if self.max_bytes is not None and max(map(len, values), default=0) * 4 > self.max_bytes:
            reason = f"{self.name} is longer than {self.max_bytes:,} bytes, the limit for a key"
            too_long = [i for i, value in enumerate(values) if len(value.encode()) > self.max_bytes]
            bad.update((i, reason) for i in too_long if i not in bad)
        if self.pattern is not None and not all(map(self.pattern.fullmatch, values)):
            reason = f"{self.name} does not match the pattern"
            misfits = [i for i, value in enumerate(values) if not self.pattern.fullmatch(value)]
            bad.update((i, reason) for i in misfits if i not in bad)
        if self.type == "N":
            return self._converted(list(map(is_number, values)), bad, "is not a number that DynamoDB can hold")
        if self.type == "BOOL":
            return self._converted(
                [_BOOLEANS.get(value.lower()) for value in values], bad, "is not a boolean (true or false)"
            )
        return values

    def _converted(self, values: Sequence[Any], bad: dict[int, str], reason: str) -> Sequence[Any]:
        if None in values:
            misfits = [i for i, value in enumerate(values) if value is None]
            bad.update((i, f"{self.name} {reason}") for i in misfits if i not in bad)
        return values


@dataclass(frozen=True, slots=True)
class RowPlan:
    """How to clean the rows of one header: `columns` in order, each with its index in a row (None: it has none).

    `ignored` are the columns of the header that are not used, by name where that is certainly a name, or else by place
    from 1; `absent` are the schema's columns that the header lacks.
    """

    width: int
    columns: tuple[tuple[Column, int | None], ...]
    ignored: tuple[str | int, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes of a cleaned row's values, in order."""
        return tuple(column.attribute for column, _ in self.columns)

    @property
    def row_bytes(self) -> int:
        """About how much memory a row takes on its way into a message, apart from the text of its own values.

        That is its cells, defaults and names. For most plans it is little, but many columns that a file does not
        have, or a long default, turn a row of two bytes into kilobytes.
        """
        texts = (text for column, _ in self.columns for text in (column.name, column.default) if isinstance(text, str))
        return _ROW_BYTES + _CELL_BYTES * len(self.columns) + sum(map(len, texts))

    def clean(self, numbers: Sequence[int], rows: list[list[str]]) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
        """Clean `rows`, whose row numbers are `numbers`.

        Returns the good rows as tuples ``(number, value, …)`` in the order of `attributes`, and the bad ones as
        ``{index in rows: reason}``.
        """
        misfits = {width: self._misfit(width) for width in set(map(len, rows)) - {self.width}}
        if not misfits:
            return self._clean(numbers, rows)
        bad = {i: misfits[len(row)] for i, row in enumerate(rows) if len(row) in misfits}
        # Only the other rows are cleaned: padding the short ones would take the header's width for each of them.
        fitting = [i for i in range(len(rows)) if i not in bad]
        good, found = self._clean([numbers[i] for i in fitting], [rows[i] for i in fitting])
        return good, bad | {fitting[i]: reason for i, reason in found.items()}

    def _clean(self, numbers: Sequence[int], rows: list[list[str]]) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
        bad: dict[int, str] = {}
        cleaned: list[Sequence[Value]] = []
        for column, index in self.columns:
            if index is None:
                cleaned.append([column.default] * len(rows))
                continue
            found: dict[int, str] = {}
            cleaned.append(column.clean([row[index] for row in rows], found))
            for i, reason in found.items():
                bad.setdefault(i, reason)  # the first thing wrong with a row is its reason
        good = list(zip(numbers, *cleaned, strict=True))
        if bad:
            good = [row for i, row in enumerate(good) if i not in bad]
        return good, bad

    def _misfit(self, width: int) -> str:
        return f"the row has {width} field{'s' * (width != 1)}, the header has {self.width}"
