"""Booleans, written in any of the usual ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
_SPELLINGS = {
    spelling: value for text, value in _BOOLEANS.items() for spelling in (text, text.upper(), text.capitalize())
}


@dataclass(frozen=True, slots=True)
class Booleans:
    """Conversion of booleans."""

    type: str = "BOOL"
    strict: bool = True

    def convert(self, texts: Sequence[str]) -> Sequence[bool | None]:
        """Return each boolean, None for a text that is none."""
        values = list(map(_SPELLINGS.get, texts))
        if None in values:  # another spelling, as tRUE
            return [_BOOLEANS.get(text.lower()) for text in texts]
        return values

    def nested(self, value: Any) -> None:
        """Refuse lists and objects."""

    def reason(self, value: Any) -> str:
        """Return what is wrong with a refused value."""
        return "is not a boolean (true or false)"
