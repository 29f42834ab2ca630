"""A sample of a file's values -> what its columns are. Pure.

Each guess is proved by the engine itself: a type is only proposed if `Schema.plan` accepts every value of the sample.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from engine.errors import SchemaError
from engine.schema.model import MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES
from engine.schema.parse import parse_schema
from engine.schema.toml import setting

NO_VALUE = ("\\N", "N/A", "n/a", "#N/A", "<NA>", "NULL")
"""Texts that mean "no value" wherever they occur."""

PERHAPS_NO_VALUE = ("NA", "NaN", "nan", "null", "None", "none", "nil", "-", "--", "?", ".", "..", "NIL", "missing")
"""Texts that mean "no value" among numbers, dates and booleans. In text, NA can be Namibia."""

_BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
# Not numbers: codes whose zeros count, and telephone numbers.
_CODE = re.compile(r"[+-]?0[0-9].*|\+.*", re.DOTALL)
_LABEL = re.compile(r"(.*[^a-z])?((tele)?phone|tel|fax|mobile|zip|plz|(zip|post|postal).?code)([^a-z].*)?", re.I)
"""Names of columns whose digits are no quantity."""
_FEW = 200
"""Values that a type is tried on before it is tried on all."""

_NUMBERS: tuple[dict[str, Any], ...] = (
    {"type": "N"},
    {"type": "N", "thousands": ","},
    {"type": "N", "thousands": ".", "decimal": ","},
    {"type": "N", "thousands": " ", "decimal": ","},
    {"type": "N", "decimal": ","},
)
_CURRENCIES = ("$", "€", "£", "¥", "%")
_DATES = ("%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d-%m-%Y", "%b %d %Y", "%b %d, %Y", "%d %b %Y", "%d-%b-%Y", "%B %d, %Y")
_TIMES = ("%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M")
# Read in two ways where no day is above 12.
_SLASHED = ("%m/%d/%Y", "%d/%m/%Y")
_SLASHED_TIMES = ("%H:%M", "%H:%M:%S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a column of the sample looks like: its settings in a schema, and notes for the person who reads them."""

    name: str
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    filled: bool
    """Whether each row has a value."""
    longest: int
    """Characters of the longest value."""
    values: Sequence[str] = field(repr=False)
    """The values of the sample, as the schema reads them as text."""

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(set(self.values))

    @property
    def type(self) -> str:
        """The column's type in the schema."""
        return str(self.settings.get("type", "S"))


def guess_column(name: str, values: Sequence[str], settings: Mapping[str, Any]) -> Guess:
    """Guess what a column is from its `values`; `settings` say where it is in the file."""
    trimmed = sum(value != value.strip() for value in values)
    values = list(map(str.strip, values))
    present = [value for value in values if value]
    nulls, rest = _without_nulls(present, (*NO_VALUE, *PERHAPS_NO_VALUE))
    type_settings, notes = _type_of(rest)
    if type_settings.get("type") == "N" and _LABEL.fullmatch(name):
        type_settings = {}
    if not type_settings and nulls:
        # Text: only what cannot be a value is no value.
        doubtful = [text for text in nulls if text not in NO_VALUE]
        nulls, rest = _without_nulls(present, NO_VALUE)
        notes += tuple(
            f"{text} comes {present.count(text):,} times; if that means no value: null_values = [{setting(text)}]"
            for text in doubtful
        )
    found: dict[str, Any] = {**settings, **type_settings}
    if not type_settings:
        found["trim"] = True
        if trimmed:
            which = "1 value begins or ends" if trimmed == 1 else f"{trimmed:,} values begin or end"
            notes += (f"{which} with a blank, which trim drops",)
    if nulls:
        found["null_values"] = nulls
    longest = max(map(len, rest), default=0)
    return Guess(
        name=name, settings=found, notes=notes, filled=len(rest) == len(values), longest=longest, values=rest
    )  # fmt: skip


def is_like_a_value(name: str) -> bool:
    """Return whether a column's name is a number or a date, so that it may be data."""
    settings, notes = _type_of([name.strip()]) if name.strip() else ({}, ())
    return bool(notes) or settings.get("type") in ("N", "date", "datetime")


def _without_nulls(present: Sequence[str], tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    found = set(present)
    nulls = [token for token in tokens if token in found]
    return nulls, [value for value in present if value not in nulls] if nulls else list(present)


def _type_of(values: Sequence[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the settings of the type of these values (none for text), and notes."""
    if not values:
        return {}, ("no value in the sample",)
    if any({value.lower() for value in values} <= pair for pair in _BOOLEANS):
        return {"type": "BOOL"}, ()
    if not any(map(_CODE.fullmatch, values)):
        for settings in _numbers_for(values):
            if accepts(settings, values):
                return settings, ()
    return _moments(values)


def _numbers_for(values: Sequence[str]) -> list[dict[str, Any]]:
    signs = [sign for sign in _CURRENCIES if any(sign in value for value in values)]
    return [{**settings, "currency": signs} if signs else settings for settings in _NUMBERS]


def _moments(values: Sequence[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the settings of a column of dates or times."""
    if not any(map(str.isdigit, values[0])):
        return {}, ()
    settings: dict[str, Any]
    for type_, formats in (("date", _DATES), ("datetime", _TIMES)):
        for form in (None, *formats):
            settings = {"type": type_} if form is None else {"type": type_, "input": [form]}
            if accepts(settings, values):
                return settings, ()
    for type_, ends in (("date", ("",)), ("datetime", tuple(f" {time}" for time in _SLASHED_TIMES))):
        for end in ends:
            fitting = [form + end for form in _SLASHED if accepts({"type": type_, "input": [form + end]}, values)]
            if len(fitting) == 1:
                return {"type": type_, "input": fitting}, ()
            if fitting:
                either = " or ".join(setting([form]) for form in fitting)
                return {}, (f"dates that read in two ways; as dates: type = {setting(type_)}, input = {either}",)
    return {}, ()


def accepts(settings: Mapping[str, Any], values: Sequence[str]) -> bool:
    """Return whether a column with these settings takes all of `values`."""
    lines = "".join(f"{key} = {setting(value)}\n" for key, value in settings.items())
    text = (
        'version = 1\ncollection = "x"\n[key]\npartition = "n"\n[columns.value]\n'
        f'{lines}[generated]\nn = "row_number"\n'
    )
    try:
        plan = parse_schema(text, "a guess").plan(["value"])
    except SchemaError:
        return False
    for part in (values[:_FEW], values[_FEW:]):
        _, bad = plan.clean(range(1, len(part) + 1), [[value] for value in part])
        if bad:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Key:
    """A key: one column, two, or one with a generated sort key. `distinct` counts its values in the sample."""

    columns: tuple[Guess, ...]
    distinct: int


_MOST_PAIRED = 12
"""Columns that are tried in pairs."""

_NAME_OF_A_KEY = re.compile(r"(.*[^a-z])?(id|key|code|uuid|guid|sku|isbn|ean|number|no|nr|(e-?)?mail|symbol)", re.I)


def key_candidates(guesses: Sequence[Guess], rows: int) -> list[Key]:
    """Return what can be the table's key, the best first: columns and pairs whose values are all different.

    Where there are none, the columns that are always filled, those with the most values first; `Key.distinct` is below
    `rows` then.
    """
    usable = [each for each in guesses if each.filled and each.type in ("S", "N", "date", "datetime") and _fits(each)]
    single = [Key((each,), each.distinct) for each in sorted(usable, key=_rank)]
    unique = [key for key in single if key.distinct == rows]
    if unique:
        return unique
    paired = [each for each in sorted(usable, key=_rank) if each.distinct > 1][:_MOST_PAIRED]
    pairs = [Key(pair, len(set(zip(*(each.values for each in pair), strict=True)))) for pair in combinations(paired, 2)]
    return [key for key in pairs if key.distinct == rows] or sorted(single, key=lambda key: -key.distinct)


def _fits(guess: Guess) -> bool:
    return max((len(value.encode()) for value in guess.values), default=0) <= min(
        MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES
    )


def _rank(guess: Guess) -> tuple[bool, bool]:
    """Order columns by how much they look like a key; measures with a fraction come last."""
    fraction = guess.type == "N" and not all(value.lstrip("-").isdigit() for value in guess.values[:_FEW])
    return fraction, not _NAME_OF_A_KEY.fullmatch(guess.name.strip())
