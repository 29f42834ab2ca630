"""Values: what a cleaned cell may be, and attribute values as DynamoDB writes them, from JSON and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from orjson import Fragment

from engine.decimal_text import canonical_number
from engine.exact_json import NumberText
from engine.text import is_text

Attribute = dict[str, Any]
"""An attribute value as DynamoDB writes it: ``{"L": [{"S": "a"}]}``."""

Encoded = Fragment
"""An attribute value that is JSON already. A column of them takes a tenth of the time that as many objects take."""

Value = str | bool | Attribute | Encoded | None
"""A cleaned value: text, a number in canonical decimal text, binary as Base64, a boolean, an attribute value as it is
or encoded, or None where there is nothing."""

NULL: Final[Attribute] = {"NULL": True}

MAX_DEPTH = 32
"""DynamoDB quota: levels of lists and maps inside one another, the attribute itself included."""

MAX_NESTED_CHARACTERS = 409_600
"""Limit for the lists, sets and JSON of one row, as text. DynamoDB quota: an item has at most 400 KB. An element takes
a hundred times the memory of its text ``1,``: a record of 1 MiB could take all that the producer has."""

_PLAIN_BELOW = 10**18
"""Whole numbers below that are held as they are."""

TYPED = ("S", "N", "B", "BOOL")
"""DynamoDB types whose values messages carry as text or booleans; values of other types are attribute values."""

NESTED = ("L", "SS", "NS", "any")
"""Types of columns whose values have elements."""

VARIES = "any"
"""Stands for a type where each value has its own: columns of type json."""


class Conversion(Protocol):
    """How the values of a column become values of its type, a whole column at a time."""

    @property
    def type(self) -> str:
        """The DynamoDB type of the values, or `VARIES`."""

    @property
    def strict(self) -> bool:
        """Whether texts with blanks around them are refused, so that those that are converted need not be trimmed."""

    def convert(self, texts: Sequence[str]) -> Sequence[Value]:
        """Return the value of each text, None for one that is refused. No text is empty."""

    def nested(self, value: Any) -> Value:
        """Return the value of a JSON list, object, number or boolean; None if it is refused."""

    def reason(self, value: Any) -> str:
        """Return what is wrong with a refused value, without any content: ``is not a number``."""


def attribute_of(value: Any) -> Attribute | None:
    """Return any JSON value as an attribute value; None if DynamoDB rejects it.

    `value` is what `engine.exact_json.loads` returns; a number may also be an int, or a float that prints as its
    text did.
    """
    try:
        return _attribute(value, MAX_DEPTH)
    except ValueError:
        return None


def _attribute(value: Any, depth: int) -> Attribute:
    kind = type(value)
    if kind is str and is_text(value):
        return {"S": value}
    if value is None:
        return NULL
    if kind is bool:
        return {"BOOL": value}
    if kind is dict and depth and "" not in value and is_text("".join(value)):
        # Most values are simple: a call for each would take most of the time.
        return {
            "M": {
                name: {"S": each} if type(each) is str and each.isascii() else _attribute(each, depth - 1)
                for name, each in value.items()
            }
        }
    if kind is list and depth:
        return {
            "L": [
                {"S": each} if type(each) is str and each.isascii() else _attribute(each, depth - 1) for each in value
            ]
        }
    if kind is int and -_PLAIN_BELOW < value < _PLAIN_BELOW:
        return {"N": str(value)}
    if kind in (NumberText, int, float) and (number := canonical_number(str(value))) is not None:
        return {"N": number}
    raise ValueError("nothing that DynamoDB can hold")


def is_attribute(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Return whether a JSON value has the shape of an attribute value."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((type_, content),) = value.items()
    match type_:
        case "S" | "N" | "B":
            return isinstance(content, str)
        case "BOOL":
            return isinstance(content, bool)
        case "NULL":
            return content is True
        case "SS" | "NS" | "BS":
            return isinstance(content, list) and bool(content) and set(map(type, content)) == {str}
        case "L":
            return isinstance(content, list) and depth >= 1 and all(is_attribute(each, depth - 1) for each in content)
        case "M":
            return (
                isinstance(content, dict)
                and depth >= 1
                and "" not in content
                and all(is_attribute(each, depth - 1) for each in content.values())
            )
        case _:
            return False
