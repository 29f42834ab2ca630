"""How the query function reads a partition, over a table that pages as DynamoDB does.

DynamoDB returns a LastEvaluatedKey whenever `Limit` ends a page, also when nothing comes after it.
"""

import json
import time

import pytest

from engine.handlers import query
from tests.builders.invocations import Context, Json, api_event
from tests.fakeaws.fault_server import FaultServer

EXPIRED, UNEXPIRED = int(time.time()) - 60, int(time.time()) + 3_600


class Partition:
    """The versions of one user in a table."""

    def __init__(self, server: FaultServer) -> None:
        self._server, self._users = server, server.tables["users"]

    def hold(self, *expiries: int) -> None:
        """Hold a version for each time of expiry, the newest first."""
        self._users.items.clear()
        for index, expiry in enumerate(expiries):
            item = {
                "email": {"S": "a@x.org"},
                "createdAt": {"N": f"1775260800.{len(expiries) - index:012d}"},
                "expirationTime": {"N": str(expiry)},
            }
            self._users.items[self._users.key_of(item)] = item
        self._server.calls.clear()

    @property
    def limits(self) -> list[int]:
        """The limits of the requests since then."""
        return [call.body["Limit"] for call in self._server.calls]


@pytest.fixture
def partition(env: pytest.MonkeyPatch, fault_server: FaultServer) -> Partition:
    return Partition(fault_server)


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
    before = len(partition.limits)
    assert before <= 8
    page = get("/users/a@x.org/history", limit="1")[1]
    assert [item["rowNumber"] for item in page["items"]] == [2]
    assert len(partition.limits) - before <= 16


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
