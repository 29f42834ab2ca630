"""Regular expressions of a schema, in time that grows with the length of the text and no faster.

Python's `re` tries every way of matching: `(a+)+$` and forty characters keep it busy for hours, longer than any
invocation lasts. RE2 follows all ways at once. It has no look-around and no back-references, which cannot be matched
that way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import re2

_UNSUPPORTED: Final = (r"\C", r"\Q")
"""Syntax of RE2 that `Pattern` cannot embed in a larger expression: any one byte, and quoting without an end."""

_LITERAL_BRACE: Final = r"\{(,|\d{5})"
"""Repetitions that RE2 reads as text, without an error: `{,3}` and counts far beyond its limit of 1,000."""


class InvalidPattern(ValueError):
    """A text that is not a regular expression of RE2. The text of the error says why."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that a whole text must match. Raises `InvalidPattern`."""

    text: str
    _one: Any = field(init=False, repr=False, compare=False)
    _lines: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        escapes = re.findall(r"\\.", self.text)
        for syntax in _UNSUPPORTED:
            if syntax in escapes:
                raise InvalidPattern(f"{syntax} is not supported")
        if re.search(_LITERAL_BRACE, re.sub(r"\\.", "", self.text)):
            raise InvalidPattern(r"a repetition is {n}, {n,} or {m,n} with numbers up to 1000; a brace as text is \{")
        # A call for each value takes a hundred times as long as what it does. So all values are matched by one call, as
        # lines: `never_nl` keeps the pattern within a line, and (?m:$)\C matches nothing but the end of one.
        object.__setattr__(self, "_one", _compiled(self.text))
        object.__setattr__(self, "_lines", _compiled(f"(?:(?m:{self.text})(?m:$)\\C)*", never_nl=True))

    def misfits(self, values: Sequence[str]) -> list[int]:
        """Return the indexes of the values that do not match."""
        data = "".join(f"{value}\n" for value in values).encode()
        if data.count(b"\n") != len(values):
            return [i for i, value in enumerate(values) if not self._one.fullmatch(value)]
        found: list[int] = []
        start = index = 0
        while start < len(data):
            end = self._lines.match(data, start).end()
            index += data.count(b"\n", start, end)
            if end == len(data):
                break
            # \A matches in the first line only, so the value is matched alone before it counts as a misfit.
            if not self._one.fullmatch(values[index]):
                found.append(index)
            index += 1
            start = data.index(b"\n", end) + 1
        return found


def _compiled(text: str, *, never_nl: bool = False) -> Any:
    options = re2.Options()
    options.never_capture, options.never_nl, options.log_errors = True, never_nl, False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise InvalidPattern(error.args[0].decode("utf-8", "replace")) from None
