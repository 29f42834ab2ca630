"""JSON read without losing or guessing anything: numbers keep all their digits, and no name occurs twice. Pure."""

from __future__ import annotations

import json
from typing import Any, NoReturn


class NumberText(str):
    """The text of a JSON number, digit for digit; a JSON string is plain `str`."""

    __slots__ = ()


def loads(text: str) -> Any:
    """Return the value of a JSON text, with each number as a `NumberText`.

    Raises `ValueError` if it is not JSON, is nested too deeply to be read, has NaN or Infinity, or an object in it has
    a name twice. The error may quote the text.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has a name twice")
    return result


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=NumberText, parse_int=NumberText, parse_constant=_constant
)
