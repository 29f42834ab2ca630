"""Log lines: one JSON object each. Fields are counts, names and ids; never a row's content."""

from __future__ import annotations

import logging
from typing import Any

import orjson

_logger = logging.getLogger("millpond")
_logger.setLevel(logging.INFO)  # Lambda's root logger lets only warnings through


def log(level: int, event: str, **fields: Any) -> None:
    """Write one JSON line. Fields are counts, names and ids; never a row's content."""
    _logger.log(level, "%s", orjson.dumps({"event": event, **fields}).decode())
