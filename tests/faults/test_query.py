"""The query function before a table that does not answer, or not to these credentials."""

import json
import time
from typing import Any

import pytest

from engine.handlers import query
from tests.builders.invocations import Context, Json, api_event
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import EXPIRED_TOKEN, Silent, always

USER = {"email": {"S": "a@x.org"}, "createdAt": {"N": "1775260800.000000000001"}}


@pytest.fixture
def table(env: pytest.MonkeyPatch, fault_server: FaultServer) -> FaultServer:
    """A table with one user."""
    users = fault_server.tables["users"]
    users.items[users.key_of(USER)] = USER
    return fault_server


def get(path: str, seconds: float = 10.0) -> tuple[int, Json]:
    answer: dict[str, Any] = query.handler(api_event(path), Context(seconds))
    return answer["statusCode"], json.loads(answer["body"])


FAULT = (500, {"error": "internal error", "requestId": "request-1"})


def test_silent_table_is_500_before_the_timeout(table: FaultServer) -> None:
    assert get("/users/a@x.org")[0] == 200
    table.plan = always(Silent())
    began = time.monotonic()
    for path in ("/users/a@x.org", "/users/a@x.org/history", "/users"):
        assert get(path, seconds=1.0) == FAULT
    assert time.monotonic() - began < 10
    table.plan = []
    assert get("/users/a@x.org")[0] == 200


def test_invocations_share_loop_and_client(table: FaultServer) -> None:
    get("/users")
    for path in ("/users", "/users/a@x.org", "/users/a@x.org/history", "/nothing", "/users?limit=x") * 3:
        get(path)
    assert table.connections == 1  # another loop or client would have one of its own


def test_connections_stale_after_freeze_are_replaced(table: FaultServer) -> None:
    for wait in (0.0, 0.0, 0.1):
        assert get("/users")[0] == 200
        table.drop_connections()
        time.sleep(wait)
    assert get("/users")[0] == 200


def test_expired_credentials_are_renewed_at_once(table: FaultServer, env: pytest.MonkeyPatch) -> None:
    env.setenv("AWS_ACCESS_KEY_ID", "OLD")
    assert get("/users")[0] == 200
    table.plan = lambda call: EXPIRED_TOKEN if call.access_key == "OLD" else None
    env.setenv("AWS_ACCESS_KEY_ID", "NEW")
    assert get("/users")[0] == 200
    assert [call.access_key for call in table.calls][-2:] == ["OLD", "NEW"]
