"""A line in a function's log -> what is shown of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from engine.accounts import iso

_FAULTS = ("[ERROR]", "Task timed out", "Runtime exited", "Runtime.", "Traceback")
"""Lines of Lambda itself that say that an invocation failed."""

_LEVELS = ("WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of `function` at `time` (ms since the epoch): the event that it logged, or text by Lambda itself."""

    time: int
    function: str
    level: str
    fields: Mapping[str, Any]

    @property
    def document(self) -> dict[str, Any]:
        """The line with time and function."""
        return {"time": iso(self.time), "function": self.function, "level": self.level, **self.fields}

    @property
    def text(self) -> str:
        """The line for people: the event, then what is known of it."""
        event, *others = (_shown(name, value) for name, value in self.fields.items() if _is_worth_it(value))
        return "  ".join([iso(self.time)[11:23], f"{self.function:<8}", f"{self.level:<7}", event, " ".join(others)])


def read_line(time: int, function: str, message: str) -> LogLine | None:
    """Return a line that a function logged, or None for those that say nothing: starts, ends, reports and metrics."""
    before, brace, rest = message.partition("{")
    level = next((each for each in _LEVELS if each in before), "INFO")
    try:
        document = orjson.loads(brace + rest)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict) and "event" in document:
        return LogLine(time, function, level, document)
    if any(fault in message for fault in _FAULTS):
        return LogLine(time, function, "ERROR", {"event": "fault", "text": message.strip()})
    return None


def _is_worth_it(value: Any) -> bool:
    return value not in (None, "", [], {})


def _shown(name: str, value: Any) -> str:
    if name == "event":
        return str(value)
    return f"{name}={value if isinstance(value, str) else orjson.dumps(value).decode()}"
