"""Columns of a file that may be columns of the schema under another name. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

LIKELY = 0.71
"""Share of letters that two names must have in common, in the same order: `telephone` and `phone` have 0.714, `e-mail`
and `mail` 0.89; `first name` and `last name` 0.706, `city` and `county` 0.6."""

MAX_COMPARED = 50
"""Ignored and absent columns that are compared, each with each: nobody reads more questions."""


def near_misses(ignored: Sequence[str | int], absent: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each absent column that has one, with the ignored column whose name is the most like it, before it."""
    names = [name for name in ignored[:MAX_COMPARED] if isinstance(name, str)]
    for column in absent[:MAX_COMPARED]:
        likeness, name = max(((_likeness(name, column), name) for name in names), default=(0.0, ""))
        if likeness >= LIKELY:
            yield name, column


def _likeness(name: str, column: str) -> float:
    one, other = _letters(name), _letters(column)
    return 1.0 if one == other else SequenceMatcher(None, one, other, autojunk=False).ratio()


def _letters(name: str) -> str:
    """Return what of a name is not a matter of style: `Phone_Number` and `phone number` are alike."""
    return "".join(filter(str.isalnum, name.casefold()))[:100]
