"""How the query function reads a partition, over a table that pages as DynamoDB does.

DynamoDB returns a LastEvaluatedKey whenever `Limit` ends a page, also when nothing comes after it.
"""

import asyncio
import json
import time
from collections.abc import Iterator

import pytest

from engine.handlers import query
from tests.builders.invocations import Context, Json, api_event
from tests.fakeaws.listener import Listener, Reply, Request, in_thread
from tests.fakeaws.protocol import json_reply

EXPIRED, UNEXPIRED = int(time.time()) - 60, int(time.time()) + 3_600


class Partition(Listener):
    """The versions of one user, newest first, for Query; `limits` are those of the requests."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Json] = []
        self.limits: list[int] = []

    def hold(self, *expiries: int) -> None:
        """Hold a version for each time of expiry, the newest first."""
        self.items = [
            {
                "email": {"S": "a@x.org"},
                "createdAt": {"N": f"1775260800.{len(expiries) - index:012d}"},
                "expirationTime": {"N": str(expiry)},
            }
            for index, expiry in enumerate(expiries)
        ]
        self.limits.clear()

    async def answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        asked = json.loads(request.body)
        assert asked["ScanIndexForward"] is False
        keys = [{name: item[name] for name in ("email", "createdAt")} for item in self.items]
        start = keys.index(asked["ExclusiveStartKey"]) + 1 if "ExclusiveStartKey" in asked else 0
        page = self.items[start : start + asked["Limit"]]
        self.limits.append(asked["Limit"])
        found: Json = {"Items": page, "Count": len(page), "ScannedCount": len(page)}
        if len(page) == asked["Limit"]:
            found["LastEvaluatedKey"] = keys[start + len(page) - 1]
        reply = json_reply(request.headers["x-amz-target"], 200, found)
        writer.write(Reply(reply.status, reply.body, reply.headers).head() + reply.body)
        await writer.drain()
        return True


@pytest.fixture
def partition(env: pytest.MonkeyPatch) -> Iterator[Partition]:
    with in_thread(Partition()) as server:
        env.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.endpoint)
        yield server


def get(path: str, **parameters: str) -> tuple[int, Json]:
    response = query.handler(api_event(path, **parameters), Context())
    return response["statusCode"], json.loads(response["body"])


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("older", [[], [EXPIRED], [EXPIRED] * 20])
def test_history_page_with_nothing_after_it_has_no_token(partition: Partition, limit: int, older: list[int]) -> None:
    partition.hold(*[UNEXPIRED] * limit, *older)
    status, page = get("/users/a@x.org/history", limit=str(limit))
    assert (status, page["count"], page["nextToken"]) == (200, limit, None)
    partition.hold(*[UNEXPIRED] * limit, *older, UNEXPIRED)
    status, page = get("/users/a@x.org/history", limit=str(limit))
    assert (page["count"], page["nextToken"] is None) == (limit, False)
    status, page = get("/users/a@x.org/history", limit=str(limit), nextToken=page["nextToken"])
    assert ([item["rowNumber"] for item in page["items"]], page["nextToken"]) == ([1], None)


def test_latest_version_is_one_read_of_one_item(partition: Partition) -> None:
    partition.hold(UNEXPIRED, UNEXPIRED, EXPIRED)
    assert get("/users/a@x.org")[1]["rowNumber"] == 3
    assert partition.limits == [1]


def test_expired_versions_cost_few_reads(partition: Partition) -> None:
    partition.hold(*[EXPIRED] * 5_000, UNEXPIRED, UNEXPIRED)
    assert get("/users/a@x.org")[1]["rowNumber"] == 2
    assert len(partition.limits) <= 8
    partition.limits.clear()
    page = get("/users/a@x.org/history", limit="1")[1]
    assert [item["rowNumber"] for item in page["items"]] == [2]
    assert len(partition.limits) <= 16


def test_reads_for_the_latest_version_are_bounded(partition: Partition) -> None:
    partition.hold(*[EXPIRED] * 20_000, UNEXPIRED)
    status, body = get("/users/a@x.org")
    assert (status, list(body)) == (503, ["error"])
    assert len(partition.limits) == 8


def test_user_whose_versions_have_all_expired_is_not_found(partition: Partition) -> None:
    for count in (1, 2, 11, 111, 300):
        partition.hold(*[EXPIRED] * count)
        for path in ("/users/a@x.org", "/users/a@x.org/history"):
            assert get(path) == (404, {"error": "no such email"})
