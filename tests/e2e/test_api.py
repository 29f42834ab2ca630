"""The query API over HTTP: what it answers when it cannot give what was asked for."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import LocalStack
from tests.e2e.http import get


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/users/nobody@nowhere.test", 404, "no such email"),
        ("/users/nobody@nowhere.test/history", 404, "no such email"),
        ("/users?limit=0", 400, "limit"),
        ("/users?limit=1001", 400, "limit"),
        ("/users?limit=ten", 400, "limit"),
        ("/users?startKey=nonsense", 400, "startKey"),
        ("/users/a@b.test/history?startKey=e30", 400, "startKey"),
        ("/nothing/here", 404, "no such route"),
        ("/", 404, "no such route"),
        ("/users/a@b.test/other", 404, "no such route"),
    ],
)
async def test_a_bad_request_is_told_what_is_wrong(local_stack: LocalStack, path: str, status: int, says: str) -> None:
    got, headers, document = await get(local_stack, path)
    assert got == status
    assert headers["Content-Type"] == "application/json"
    assert list(document) == ["error"]
    assert says in document["error"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_another_method_is_not_allowed(local_stack: LocalStack, method: str) -> None:
    got, headers, document = await get(local_stack, "/users", method)
    assert got == 405
    assert headers["Allow"] == "GET"
    assert method in document["error"]
