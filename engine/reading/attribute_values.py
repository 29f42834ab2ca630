"""DynamoDB's attribute values, as JSON has them: what DynamoDB would refuse of them. Pure."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from engine.decimal_text import canonical_number

MAX_LEVELS = 32
"""DynamoDB quota: lists and maps may be nested up to 32 levels deep."""

# Certainly a number: most are.
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,19}(?:\.[0-9]{1,19})?")


def column_faults(name: str, values: Sequence[Any]) -> dict[int, str]:
    """Return why values of one attribute are refused, by index; None is no value."""
    present = values if None not in values else [value for value in values if value is not None]
    kinds = set(map(tuple, present))
    if len(kinds) <= 1 and all(len(kind) == 1 and _all_plain(kind[0], present) for kind in kinds):
        return {}
    return {
        i: f"{name} {reason}"
        for i, value in enumerate(values)
        if value is not None and (reason := fault_of(value)) is not None
    }


def is_item(value: Any, keys: Mapping[str, str]) -> bool:
    """Return whether a value is an item as DynamoDB writes it, with these key attributes, by name with their types."""
    return (
        isinstance(value, dict)
        and all(isinstance(each := value.get(name), dict) and type_ in each for name, type_ in keys.items())
        and not any(map(fault_of, value.values()))
    )


def fault_of(value: Any, level: int = 1) -> str | None:
    """Return why DynamoDB would refuse an attribute value, or None. It is at that level of lists and maps."""
    if not isinstance(value, dict) or len(value) != 1:
        return "is not an attribute value"
    ((kind, content),) = value.items()
    if kind in _SCALARS:
        return None if _SCALARS[kind](content) else f"is not a valid {kind}"
    if kind in _SETS:
        return _set_fault(kind, content)
    if kind not in ("L", "M"):
        return "is of no type that DynamoDB has"
    if level > MAX_LEVELS:
        return f"is nested more than {MAX_LEVELS} levels deep"
    if not isinstance(content, list if kind == "L" else dict):
        return f"is not a valid {kind}"
    if "" in content and kind == "M":
        return "has an attribute without a name"
    inner: Iterable[Any] = content.values() if isinstance(content, dict) else content
    return next((reason for each in inner if (reason := fault_of(each, level + 1))), None)


def _all_plain(kind: str, values: Sequence[Any]) -> bool:
    """Return whether all values of that type are certainly valid, looking at them all at once."""
    contents = list(map(itemgetter(kind), values))
    types = set(map(type, contents))
    if kind == "N":
        return types == {str} and all(map(_PLAIN_NUMBER.fullmatch, contents))
    return (kind, types) in (("S", {str}), ("BOOL", {bool}))


def _set_fault(kind: str, content: Any) -> str | None:
    is_valid, canonical = _SETS[kind]
    if not isinstance(content, list) or not content or not all(map(is_valid, content)):
        return f"is not a valid {kind}"
    return None if len(set(map(canonical, content))) == len(content) else "is a set that has one value twice"


def _is_text(content: Any) -> bool:
    return isinstance(content, str)


def _is_number(content: Any) -> bool:
    return isinstance(content, str) and canonical_number(content) is not None


def _is_binary(content: Any) -> bool:
    if not isinstance(content, str):
        return False
    try:
        a2b_base64(content, strict_mode=True)
    except (Error, ValueError):
        return False
    return True


def _is_true(content: Any) -> bool:
    return content is True


def _is_bool(content: Any) -> bool:
    return isinstance(content, bool)


_SCALARS: dict[str, Callable[[Any], bool]] = {
    "S": _is_text,
    "N": _is_number,
    "B": _is_binary,
    "BOOL": _is_bool,
    "NULL": _is_true,
}
# What each member of a set must be, and what is equal for equal members.
_SETS: dict[str, tuple[Callable[[Any], bool], Callable[[str], Any]]] = {
    "SS": (_is_text, str),
    "NS": (_is_number, canonical_number),
    "BS": (_is_binary, a2b_base64),
}
