"""Events of ours -> EventBridge, until each one is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from engine.aws.types import Caller
from engine.errors import ServiceError, verdict_of
from engine.flow.attempts import Attempts
from engine.flow.backoff import Deadline

SOURCE = "millpond"

MAX_ATTEMPTS = 6


class Announcer:
    """Puts events on the account's default bus through the lane of PutEvents."""

    def __init__(self, lane: Caller) -> None:
        self._lane = lane

    async def announce(self, kind: str, detail: Mapping[str, Any], deadline: Deadline) -> None:
        """Put one event. It may arrive twice. Raises `ServiceError` and `DeadlineExceeded`."""
        entry = {"Source": SOURCE, "DetailType": kind, "Detail": orjson.dumps(detail).decode()}
        body = orjson.dumps({"Entries": [entry]})
        attempts = Attempts(self._lane.pause, deadline, MAX_ATTEMPTS)
        while True:
            try:
                _check(await self._lane.call(body, deadline))
                return
            except ServiceError as error:
                attempts.failed(error)
            await attempts.wait()


def _check(reply: bytes) -> None:
    """Raise `ServiceError` unless the reply says that the event was accepted."""
    try:
        (entry,) = orjson.loads(reply)["Entries"]
        code = entry.get("ErrorCode")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ServiceError("PutEvents", "UnreadableReply", 0) from None
    if code is not None:
        raise ServiceError("PutEvents", str(code), 400, verdict=verdict_of(str(code), 500))
