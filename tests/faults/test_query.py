"""The query function before a table that does not answer, or not to these credentials."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from engine.handlers import query
from tests.faults.listener import Listener, Reply, Request, in_thread
from tests.faults.server import error_reply, json_reply
from tests.functions import Context, Json, api_event

USER = {"email": {"S": "a@x.org"}, "createdAt": {"N": "1775260800.000000000001"}}


class QueryServer(Listener):
    """A table with one user, for Query and Scan; deaf to whoever asks while `deaf`, and to `expired` access keys."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.deaf = False
        self.expired: set[str] = set()

    async def answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.requests.append(request)
        if self.deaf:
            await reader.read()
            return False
        target = request.headers["x-amz-target"]
        reply: Reply = json_reply(target, 200, {"Items": [USER], "Count": 1, "ScannedCount": 1})
        if access_key(request) in self.expired:
            reply = error_reply(target, "ExpiredTokenException", "The security token is expired", 400)
        writer.write(reply.head() + reply.body)
        await writer.drain()
        return True


def access_key(request: Request) -> str:
    return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]


@pytest.fixture
def table(env: pytest.MonkeyPatch) -> Iterator[QueryServer]:
    with in_thread(QueryServer()) as server:
        env.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.endpoint)
        yield server


def get(path: str, seconds: float = 10.0) -> tuple[int, Json]:
    answer: dict[str, Any] = query.handler(api_event(path), Context(seconds))
    return answer["statusCode"], json.loads(answer["body"])


FAULT = (500, {"error": "internal error", "requestId": "request-1"})


def test_a_table_that_says_nothing_is_a_500_in_time(table: QueryServer) -> None:
    assert get("/users/a@x.org")[0] == 200
    table.deaf = True
    began = time.monotonic()
    for path in ("/users/a@x.org", "/users/a@x.org/history", "/users"):
        assert get(path, seconds=1.0) == FAULT
    assert time.monotonic() - began < 10
    table.deaf = False
    assert get("/users/a@x.org")[0] == 200


def test_one_loop_and_one_client_for_all_invocations(table: QueryServer) -> None:
    get("/users")
    process = query._process
    loop, state = process._loop, process._state
    for path in ("/users", "/users/a@x.org", "/users/a@x.org/history", "/nothing", "/users?limit=x") * 3:
        get(path)
    assert (process._loop, process._state) == (loop, state)
    assert table.connections == 1


def test_connections_gone_stale_in_a_freeze_are_replaced(table: QueryServer) -> None:
    for wait in (0.0, 0.0, 0.1):
        assert get("/users")[0] == 200
        table.drop_connections()
        time.sleep(wait)
    assert get("/users")[0] == 200


def test_credentials_that_expire_are_replaced_at_once(table: QueryServer, env: pytest.MonkeyPatch) -> None:
    env.setenv("AWS_ACCESS_KEY_ID", "OLD")
    assert get("/users")[0] == 200
    table.expired = {"OLD"}
    env.setenv("AWS_ACCESS_KEY_ID", "NEW")
    assert get("/users")[0] == 200
    assert [access_key(request) for request in table.requests][-2:] == ["OLD", "NEW"]
