"""What writing an item costs at least: one write unit for each KiB that DynamoDB counts for it. Pure.

Indexes cost more, and so does an item that replaces a larger one; no arithmetic on the new item could know that.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

UNIT_BYTES = 1024
"""One write unit pays for each KiB of an item begun."""


def write_units(item: str) -> int:
    """Return the write units of an item, given as JSON with attribute values."""
    size = utf8_bytes(item)
    # No item is larger than its JSON, and most are smaller than a unit even so: those are not parsed.
    if size > UNIT_BYTES:
        with suppress(AttributeError, TypeError, ValueError):  # DynamoDB refuses it, whatever it would have cost
            size = item_bytes(item)
    return -(-size // UNIT_BYTES)


def item_bytes(item: str) -> int:
    """Return how many bytes DynamoDB counts for an item, given as JSON with attribute values."""
    return _item_bytes(orjson.loads(item))


def _item_bytes(item: Mapping[str, Any]) -> int:
    size = sum(map(utf8_bytes, item))
    values = list(item.values())
    while values:
        ((kind, content),) = values.pop().items()
        match kind:
            case "S":
                size += utf8_bytes(content)
            case "N":
                size += _number_bytes(content)
            case "B":
                size += len(content) * 3 // 4 - content.count("=")
            case "L":
                size += 3 + len(content)
                values += content
            case "M":
                size += 3 + len(content) + sum(map(utf8_bytes, content))
                values += content.values()
            case "SS" | "NS" | "BS":
                size += 3
                values += [{kind[0]: each} for each in content]
            case _:  # BOOL, NULL
                size += 1
    return size


def _number_bytes(text: str) -> int:
    """Return a byte for two significant digits, and one more."""
    digits = text.upper().partition("E")[0].replace(".", "").strip("+-0")
    return (len(digits) + 1) // 2 + 1


def utf8_bytes(text: str) -> int:
    """Return the length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
