"""Log lines and metrics: one JSON object a line. They hold counts, names and ids; never a row's content."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import orjson

from engine.metrics import embedded_metrics

_logger = logging.getLogger("millpond")
_logger.setLevel(logging.INFO)  # Lambda's root logger lets only warnings through


def log(level: int, event: str, **fields: Any) -> None:
    """Write one JSON line. Fields are counts, names and ids; never a row's content."""
    _logger.log(level, "%s", orjson.dumps({"event": event, **fields}).decode())


def measure(function: str, counts: Mapping[str, int]) -> None:
    """Write the metrics of one invocation of `function`.

    By print, since CloudWatch only reads lines that are JSON from their first character on: Lambda's log handler puts
    level and request id before a message.
    """
    print(embedded_metrics(function, counts, int(time.time() * 1000)), flush=True)
