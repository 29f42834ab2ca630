"""`millpond logs`: what the functions of a stack have logged, merged by time."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from botocore.exceptions import ClientError

from engine.cli.account import Target, missing_access
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.log_lines import LogLine, read_line
from engine.cli.words import listed
from engine.deployment import stack as stacks

_POLL_SECONDS = 2.0

_LATE_MS = 10_000
"""A line may appear in CloudWatch so long after newer ones; each look goes back by this much."""

_MAX_EVENTS = 50_000
"""Events of one function that are read in one look; an invocation logs about five."""

_MAX_PATTERN = 1_000
"""CloudWatch Logs quota: a filter pattern has at most 1,024 characters."""

_UNREADABLE = {
    "ResourceNotFoundException": "There is no log group {group}: the function has never run, or logs elsewhere.",
    "AccessDeniedException": "Reading {group} is denied: allow logs:FilterLogEvents.",
}


_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


def run_logs(display: Display, target: Target, *, text: str | None, hours: int, follow: bool, as_json: bool) -> int:
    """Print the lines of the last `hours` that contain `text` (None: all), and with `follow` those to come.

    Raises `CliError` if no function's log can be read.
    """
    if missing := missing_access(target):
        raise CliError(listed(missing))

    def show(line: LogLine) -> None:
        if as_json:
            print(orjson.dumps(line.document).decode(), flush=True)
        else:
            display.data(line.text, style=_STYLES.get(line.level, ""))

    asyncio.run(_show(target, text or "", hours, follow, show))
    return 0


async def _show(target: Target, text: str, hours: int, follow: bool, show: Callable[[LogLine], None]) -> None:
    stack = await stacks.find(target.stack, endpoint_url=target.endpoint_url, region=target.region)
    functions = {"producer": stack.producer, "worker": stack.worker, "query": stack.query}
    async with target.client("logs") as logs:
        groups = [LogGroup(logs, short, f"/aws/lambda/{name}", text) for short, name in functions.items()]
        since = int((time.time() - hours * 3_600) * 1_000)
        lines = await _new(groups, since)
        problems = [each.problem for each in groups if each.problem]
        if len(problems) == len(groups):
            raise CliError(listed(problems))
        for problem in problems:
            print(f"millpond: {problem}", file=sys.stderr)
        while True:
            for line in lines:
                show(line)
            if not follow:
                return
            since = max(since, int(time.time() * 1_000) - _LATE_MS)
            await asyncio.sleep(_POLL_SECONDS)
            lines = await _new(groups, since)


async def _new(groups: Sequence[LogGroup], since: int) -> list[LogLine]:
    found = await asyncio.gather(*(each.new(since) for each in groups))
    return sorted((line for lines in found for line in lines), key=lambda line: line.time)


class LogGroup:
    """The log of one function. `problem` says why the last look could not read it."""

    def __init__(self, logs: Any, function: str, group: str, text: str) -> None:
        self.problem: str | None = None
        self._logs, self._function, self._group, self._text = logs, function, group, text
        self._seen: dict[str, int] = {}

    async def new(self, since: int) -> list[LogLine]:
        """Return the lines since a time in ms that were not returned before."""
        request: dict[str, Any] = {"logGroupName": self._group, "startTime": since}
        if self._text and _fits_pattern(self._text):
            request["filterPattern"] = f'"{self._text}"'
        pages = self._logs.get_paginator("filter_log_events").paginate(
            **request, PaginationConfig={"MaxItems": _MAX_EVENTS}
        )
        lines = []
        seen = {each: when for each, when in self._seen.items() if when >= since}
        try:
            async for page in pages:
                for event in page["events"]:
                    # Not every endpoint gives events an id.
                    identity = event.get("eventId") or f"{event['timestamp']} {event['message']}"
                    if identity not in seen:
                        seen[identity] = event["timestamp"]
                        if line := self._line(event):
                            lines.append(line)
        except ClientError as error:
            code = error.response["Error"].get("Code")
            if code not in _UNREADABLE:
                raise
            self.problem = _UNREADABLE[code].format(group=self._group)
        self._seen = seen
        return lines

    def _line(self, event: dict[str, Any]) -> LogLine | None:
        return (
            read_line(event["timestamp"], self._function, event["message"]) if self._text in event["message"] else None
        )


def _fits_pattern(text: str) -> bool:
    """Return whether a filter pattern can hold the text; a quote in it could not be written."""
    return text.isprintable() and not {'"', "\\"} & set(text) and len(text) < _MAX_PATTERN
