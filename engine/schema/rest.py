"""What JSON objects and DynamoDB items have besides the schema's columns -> attributes under their own names. Pure.

A reader brings it as one field of each row, whose name is `REST`: an object, or None where there is nothing more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from engine.exact_json import NumberText
from engine.schema.values import Attribute, Value, attribute_of

MAX_NAME_BYTES = 65_535
"""DynamoDB quota: the name of an attribute that is not a key has at most 64 KB, here one byte less."""

_NUMBERS = (NumberText, int, float)

NO_NAME = "a value that the schema does not know has no name, so it cannot be stored"

LONG_NAME = (
    "a value that the schema does not know cannot be stored: its name is longer than "
    f"{MAX_NAME_BYTES:,} bytes, the limit for an attribute's name"
)

NO_ATTRIBUTE = (
    "a value that the schema does not know is nothing that DynamoDB can hold: a number beyond its limits, more than 32 "
    "levels, or a name without a character"
)


def are_names(names: Collection[str]) -> bool:
    """Return whether DynamoDB would take these as names of attributes."""
    # A character has at most 4 bytes, so only long names have to be encoded to be measured.
    return "" not in names and (
        max(map(len, names), default=0) * 4 <= MAX_NAME_BYTES
        or all(len(name.encode()) <= MAX_NAME_BYTES for name in names)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """The last field of each row, at `index`.

    `null_values` are texts that mean "no value", also as a number's text; `empty` is what such a value becomes.
    Inside lists and objects values stay as they are.
    """

    index: int
    null_values: frozenset[str]
    empty: Value

    def clean_json(self, values: Sequence[dict[str, Any] | None], bad: dict[int, str]) -> Sequence[Value]:
        """Return objects of attribute values; add ``index: reason`` to `bad` for each that is rejected."""
        if not any(values):
            return [None] * len(values)
        return [None if not value else self._stored(value, i, bad) for i, value in enumerate(values)]

    def clean_attributes(self, values: Sequence[dict[str, Any] | None], bad: dict[int, str]) -> Sequence[Value]:
        """Take objects of attribute values that DynamoDB wrote, which stay as they are."""
        for i, value in enumerate(values):
            if value and not are_names(value):
                bad[i] = _wrong_name(value)
        return [value or None for value in values]

    def _stored(self, members: dict[str, Any], index: int, bad: dict[int, str]) -> Value:
        if not are_names(members):
            bad[index] = _wrong_name(members)
            return None
        stored: dict[str, Any] = {}
        for name, value in members.items():
            kind = type(value)
            if kind is str and value and value.isascii() and value not in self.null_values:
                stored[name] = {"S": value}
                continue
            if kind is int and not self.null_values:
                stored[name] = {"N": str(value)}  # of at most 64 bits
                continue
            if self._is_empty(value):
                if self.empty is not None:
                    stored[name] = self._gap
                continue
            attribute = attribute_of(value)
            if attribute is None:
                bad[index] = NO_ATTRIBUTE
                return None
            stored[name] = attribute
        return stored or None

    def _is_empty(self, value: Any) -> bool:
        if value is None or value == "":
            return True
        if not self.null_values:
            return False
        return (type(value) is str or type(value) in _NUMBERS) and str(value) in self.null_values

    @property
    def _gap(self) -> Attribute:
        return self.empty if isinstance(self.empty, dict) else {"S": self.empty}


def _wrong_name(members: Collection[str]) -> str:
    return NO_NAME if "" in members else LONG_NAME
