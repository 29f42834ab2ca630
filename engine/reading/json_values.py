"""Lines of JSON -> objects, with exact numbers and no key twice. Pure.

orjson reads a line five times as fast as Python's `json`, but numbers that a 64-bit integer or float cannot hold lose
digits in it, and of two members with one key it keeps the last. Both are looked for in the bytes of many lines at
once, and only the lines where they may be are read again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import orjson

from engine import exact_json
from engine.reading.layout import Fault
from engine.reading.records import NOT_UTF8

NOT_AN_OBJECT = "the line is not a JSON object"

NOT_A_NUMBER = "the line is not JSON: it has NaN or Infinity"

KEY_TWICE = "an object of the line has a key twice"

TOO_LARGE = "a number of the line is too large"

TOO_DEEP = "the objects and lists of the line are nested too deeply"

Object = dict[str, Any]


# What a float cannot hold has 16 digits or more, with or without a point in between, or an exponent of three.
# Digits become 0 and E becomes e, points and signs are deleted: then it holds one of two short texts.
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG, _FAR = b"0" * 16, b"0e000"
# The same, where a number may begin. Integers are exact up to 18 digits.
_MAYBE_INEXACT = re.compile(
    rb"[:,\[][ \t\r]*-?(?:[0-9]{19}|[0-9]+\.[0-9]+(?<=[0-9.]{17})|[0-9.]{16,}[eE]|[0-9.]+[eE][-+]?[0-9]{3})"
)
# Each member has a colon after its key; texts may have more of them, which may be escaped.
_COLON, _ESCAPED_COLON = b":", re.compile(rb"\\u003a", re.IGNORECASE)
_NAN = re.compile(rb"[:,\[]\s*[-+]?(?:nan|inf)", re.IGNORECASE)


def read_objects(data: bytes, lines: Sequence[bytes]) -> list[Object | Fault]:
    """Return the object of each line, or its fault; `data` has the lines, which are not blank.

    Values are str, bool, None, dict, list, and numbers: int, float, or `NumberText`, whose `str` is exact in any case.
    """
    try:
        objects = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        objects = list(map(_read, lines))
    if set(map(type, objects)) <= {dict}:
        return _checked(data, lines, objects)
    read: list[Object | Fault] = [each if isinstance(each, dict | Fault) else Fault(NOT_AN_OBJECT) for each in objects]
    good = [i for i, each in enumerate(read) if isinstance(each, dict)]
    own = [lines[i] for i in good]
    for i, each in zip(good, _checked(b"\n".join(own), own, [objects[i] for i in good]), strict=True):
        read[i] = each
    return read


def _read(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Fault(_why_not(line, error))


def _why_not(line: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return NOT_UTF8
    if error.msg.startswith("number is infinity"):
        return TOO_LARGE
    if error.msg.startswith("depth limit"):
        return TOO_DEEP
    return NOT_A_NUMBER if _NAN.search(line) else f"the line is not JSON: see its character {error.pos + 1:,}"


def _checked(data: bytes, lines: Sequence[bytes], objects: list[Object]) -> list[Object | Fault]:
    """Return the objects with exact numbers, and a fault for each that has a key twice or is nested too deeply."""
    checked: list[Object | Fault] = [*objects]
    types = set(map(type, chain.from_iterable(map(dict.values, objects))))
    nested = not types.isdisjoint({dict, list})
    if not _has_unique_keys(data, objects, nested=nested):
        checked = [_with_unique_keys(line, each) for line, each in zip(lines, objects, strict=True)]
    if nested or float in types:
        digits = data.translate(_DIGITS, b".+-")
        if _LONG in digits or _FAR in digits:
            for i, line in enumerate(lines):
                if _MAYBE_INEXACT.search(line) and not isinstance(checked[i], Fault):
                    checked[i] = _exactly(line)
    return checked


def _has_unique_keys(data: bytes, objects: list[Object], *, nested: bool) -> bool:
    """Return whether certainly no object has a key twice, and none is nested too deeply.

    The bytes have a colon for each key and for those within texts. If there are only as many as keys were kept, none
    was dropped. With nested objects, or colons in texts, the objects are written to count the colons that were kept.
    """
    colons = data.count(_COLON)
    if not nested and colons == sum(map(len, objects)):
        return True
    return colons == _colons_kept(objects) and not _ESCAPED_COLON.search(data)


def _with_unique_keys(line: bytes, value: Object) -> Object | Fault:
    kept = _colons_kept(value)
    if kept is None:
        return Fault(TOO_DEEP)
    if line.count(_COLON) == kept and not _ESCAPED_COLON.search(line):
        return value
    return _exactly(line)


def _exactly(line: bytes) -> Object | Fault:
    """Read a line of which it is known that it is an object, and not nested too deeply."""
    try:
        return cast("Object", exact_json.loads(line.decode()))
    except ValueError:
        return Fault(KEY_TWICE)


def _colons_kept(value: Any) -> int | None:
    """Return how many colons a value has when it is written; None if it is nested too deeply for that."""
    try:
        return orjson.dumps(value).count(_COLON)
    except orjson.JSONEncodeError:
        return None
