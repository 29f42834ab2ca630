"""Cleaned values as messages carry them."""

from collections.abc import Sequence
from typing import Any

import orjson

from engine.schema.values import Value


def decoded(values: Sequence[Value]) -> list[Any]:
    """Return values with each attribute value as an object, also those that are encoded already."""
    decoded: list[Any] = orjson.loads(orjson.dumps(values))
    return decoded
