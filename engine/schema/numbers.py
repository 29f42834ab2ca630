"""Columns of numbers, also as people write them: with a sign of money, and other marks in and between digits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.decimal_text import PLAIN_WHOLE, canonical_decimals, canonical_numbers

_BLANKS = (" ", "\xa0", "\u202f")
"""What may stand between a number and its currency: a blank, or one of those at which lines are not broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Conversion of numbers.

    `thousands` is the separator of groups of three digits (None: there are none), `decimal` that of the fraction, and
    one of the `currency` texts may stand at either end.
    """

    thousands: str | None = None
    decimal: str = "."
    currency: tuple[str, ...] = ()
    type: str = "N"
    strict: bool = True

    @property
    def is_plain(self) -> bool:
        """Return whether numbers are written as programs write them."""
        return self == Numbers()

    def convert(self, texts: Sequence[str]) -> Sequence[str | None]:
        """Return the canonical text of each number, None for one that is refused."""
        if self.is_plain:
            return canonical_numbers(texts)
        whole = self._convert_whole(texts)
        if whole is not None:
            return whole
        pattern = self._pattern()
        return canonical_numbers([self._plain(text, pattern) for text in texts])

    def _convert_whole(self, texts: Sequence[str]) -> Sequence[str] | None:
        """Convert numbers that are all in their most usual form; None if one is not."""
        lines = "\n".join([*texts, ""])
        if lines.count("\n") != len(texts) or not re.fullmatch(self._lines(), lines):
            return None
        for mark in (*self._signs(), *(_BLANKS if self.currency else ()), self.thousands or ""):
            lines = lines.replace(mark, "") if mark else lines
        lines = lines.replace(self.decimal, ".")
        return canonical_decimals(lines.split("\n")[:-1], lines)

    def nested(self, value: Any) -> None:
        """Refuse lists and objects."""

    def reason(self, value: Any) -> str:
        """Return what is wrong with a refused value."""
        if self.is_plain:
            return "is not a number that DynamoDB can hold"
        return "is not a number in the declared form that DynamoDB can hold"

    def _signs(self) -> list[str]:
        """Return the currency signs, longer ones first: one may be the beginning of another."""
        return sorted(self.currency, key=len, reverse=True)

    def _whole(self, digits: str) -> str:
        """Return the expression of what is before the fraction: `digits`, or groups of them."""
        if self.thousands is None:
            return digits
        # A group may not begin with 0: "0.123" is no whole number.
        return rf"(?:[1-9][0-9]{{0,2}}(?:{re.escape(self.thousands)}[0-9]{{3}})++(?![0-9])|{digits})"

    def _lines(self) -> str:
        """Return the expression of numbers one a line, in their most usual form only."""
        number = rf"{self._whole(PLAIN_WHOLE)}(?:{re.escape(self.decimal)}[0-9]++)?+"
        if not self.currency:
            return rf"(?:-?+{number}\n)*+"
        sign, blank = "|".join(map(re.escape, self._signs())), f"[{''.join(_BLANKS)}]?+"
        return rf"(?:-?+(?:(?:{sign}){blank}{number}|{number}(?:{blank}(?:{sign}))?+)\n)*+"

    def _pattern(self) -> re.Pattern[str]:
        """Return the expression of a number in any of its forms."""
        sign, blank = "|".join(map(re.escape, self._signs())), f"[{''.join(_BLANKS)}]?"
        before = rf"(?:(?P<before>{sign}){blank}(?P<inner>[+-]?))?" if sign else ""
        after = rf"(?:{blank}(?P<after>{sign}))?" if sign else ""
        fraction = rf"(?:{re.escape(self.decimal)}(?P<fraction>[0-9]++))?"
        exponent = "(?P<exponent>[eE][+-]?[0-9]{1,4})?"
        return re.compile(f"(?P<sign>[+-]?){before}(?P<whole>{self._whole('[0-9]++')})?{fraction}{exponent}{after}")

    def _plain(self, text: str, pattern: re.Pattern[str]) -> str:
        """Return a number as programs write it; empty if it has another form."""
        found = pattern.fullmatch(text)
        if found is None:
            return ""
        parts = found.groupdict(default="")
        whole, fraction, exponent = parts["whole"], parts["fraction"], parts["exponent"]
        twice = (parts.get("before") and parts.get("after")) or (parts["sign"] and parts.get("inner"))
        # With a sign before it, ".5" has a point that may belong to the sign: Rs.500 is 500 rupees.
        unclear = parts.get("before") and not whole
        if twice or unclear or not (whole or fraction) or (exponent and self.thousands and self.thousands in whole):
            return ""
        if self.thousands is not None:
            whole = whole.replace(self.thousands, "")
        return f"{parts['sign'] or parts.get('inner', '')}{whole}.{fraction}{exponent}"
