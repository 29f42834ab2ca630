"""Each line of a function's log is shown once; a log that cannot be read is named."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from engine.cli.logs import LogGroup

Json = dict[str, Any]


class Logs:
    """CloudWatch Logs, as a client: one event a page."""

    def __init__(self, events: list[Json] | None = None, error: str = "") -> None:
        self.events, self.error = events or [], error
        self.requests: list[Json] = []

    def get_paginator(self, _operation: str) -> "Logs":
        return self

    async def paginate(self, **request: Any) -> AsyncIterator[Json]:
        self.requests.append(request)
        if self.error:
            raise ClientError({"Error": {"Code": self.error}}, "FilterLogEvents")
        for event in self.events:
            if event["timestamp"] >= request["startTime"]:
                yield {"events": [event]}


def event(time: int, text: str, **more: str) -> Json:
    return {"timestamp": time, "message": f'{{"event":"{text}"}}', **more}


def group(logs: Logs, text: str = "") -> LogGroup:
    return LogGroup(logs, "worker", "/aws/lambda/x-worker", text)


@pytest.mark.parametrize("ids", [True, False])
async def test_line_is_returned_once(ids: bool) -> None:
    about = {"eventId": "1"} if ids else {}
    logs = Logs([event(10, "first", **about)])
    worker = group(logs)
    assert [line.fields["event"] for line in await worker.new(0)] == ["first"]
    logs.events.append(event(10, "late"))
    assert [line.fields["event"] for line in await worker.new(5)] == ["late"]
    assert await worker.new(5) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ResourceNotFoundException", "There is no log group /aws/lambda/x-worker: "),
        ("AccessDeniedException", "Reading /aws/lambda/x-worker is denied: allow logs:FilterLogEvents."),
    ],
)
async def test_log_that_cannot_be_read_is_named(code: str, said: str) -> None:
    worker = group(Logs(error=code))
    assert await worker.new(0) == []
    assert (worker.problem or "").startswith(said)


async def test_other_faults_are_raised() -> None:
    with pytest.raises(ClientError):
        await group(Logs(error="ThrottlingException")).new(0)


@pytest.mark.parametrize(("text", "pattern"), [("abc", '"abc"'), ('a"b', None), ("", None), ("x" * 1_001, None)])
async def test_text_is_looked_for_by_the_service_where_it_fits_a_pattern(text: str, pattern: str | None) -> None:
    logs = Logs([event(1, "other"), event(1, text.replace('"', "'"))])
    await group(logs, text).new(0)
    assert logs.requests[0].get("filterPattern") == pattern
