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
        ("/users?nextToken=nonsense", 400, "startKey"),
        ("/users?page=2", 400, "page"),
        ("/users/a@b.test?limit=1", 400, "limit"),
        ("/users/a@b.test/history?startKey=e30", 400, "startKey"),
        ("/nothing/here", 404, "no such route"),
        ("/", 404, "no such route"),
        ("/users/a@b.test/other", 404, "no such route"),
    ],
)
async def test_invalid_request_is_answered_with_reason(
    local_stack: LocalStack, path: str, status: int, says: str
) -> None:
    got, headers, document = await get(local_stack, path)
    assert got == status
    assert headers["Content-Type"] == "application/json"
    assert list(document) == ["error"]
    assert says in document["error"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed(local_stack: LocalStack, method: str) -> None:
    got, headers, document = await get(local_stack, "/users", method)
    assert got == 405
    assert headers["Allow"] == "GET, HEAD, OPTIONS"
    assert method in document["error"]


@pytest.mark.parametrize(
    ("path", "status"), [("/users", 200), ("/users/nobody@nowhere.test", 404), ("/elsewhere", 404)]
)
async def test_head_has_status_of_get_and_no_body(local_stack: LocalStack, path: str, status: int) -> None:
    got, headers, document = await get(local_stack, path, "HEAD")
    assert (got, document) == (status, None)
    assert headers["Content-Type"] == "application/json"


async def test_options_lists_allowed_methods(local_stack: LocalStack) -> None:
    got, headers, document = await get(local_stack, "/users", "OPTIONS")
    assert (got, headers["Allow"], document) == (204, "GET, HEAD, OPTIONS", None)


async def test_client_following_next_token_reaches_the_end(local_stack: LocalStack) -> None:
    emails = [f"page{number}@pages.test" for number in range(5)]
    async with local_stack.client("dynamodb") as dynamodb:
        for email in emails:
            item = {"email": {"S": email}, "createdAt": {"N": "1775260800.000000000001"}}
            await dynamodb.put_item(TableName=local_stack.outputs.table, Item=item)
    seen: list[str] = []
    token: str | None = None
    for _ in range(1_000):
        _, _, page = await get(local_stack, "/users?limit=2" + (f"&nextToken={token}" if token else ""))
        seen += [item["email"] for item in page["items"]]
        token = page["nextToken"]
        if token is None:
            break
    assert token is None
    assert len(seen) == len(set(seen))
    assert set(emails) <= set(seen)
