"""Each item is deleted on its own condition, and counted whatever goes wrong."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from engine.aws.table_deleter import TableDeleter, operation_of
from engine.cli.errors import CliError
from engine.cli.proof import proof_attribute
from engine.cli.undo import Deletion
from engine.errors import MillpondError, ServiceError
from engine.flow.attempts import pause
from engine.flow.backoff import Backoff, Deadline
from engine.item_keys import Key
from engine.schema.model import Schema
from tests.builders.samples import PRODUCTS, USERS
from tests.fakeaws.virtual_time import run

Group = dict[Key, str]


class FakeLane:
    """Deletes every item, after the errors that it has for it; slow enough for deletes to overlap."""

    def __init__(self, **errors: list[str]) -> None:
        self.errors = errors
        self.requests: list[dict[str, Any]] = []
        self._at_once = 0
        self.most_at_once = 0

    async def call(self, body: bytes, deadline: Deadline, seconds: float | None = None) -> bytes:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0.01)
        self._at_once -= 1
        request = orjson.loads(body)
        self.requests.append(request)
        if "Key" in request and (errors := self.errors.get(next(iter(request["Key"].values()))["S"])):
            raise ServiceError("DeleteItem", errors.pop(0), 400)
        return b"{}" if "Key" in request else b'{"UnprocessedItems":{}}'

    async def pause(self, attempt: int, deadline: Deadline) -> None:
        await pause(Backoff(), attempt, deadline, "DeleteItem")


def deletion_in(lane: FakeLane, noted: list[int], schema: Schema) -> Deletion:
    async def note(count: int) -> None:
        noted.append(count)

    proof = proof_attribute(schema) or ""
    return Deletion(TableDeleter("things", schema, proof, lane), "things", note)


def deleted(lane: FakeLane, groups: list[Group], schema: Schema = PRODUCTS) -> tuple[int, list[int], Exception | None]:
    """Return how many items were deleted, what was noted of that, and what was raised."""
    noted: list[int] = []

    async def each() -> AsyncIterator[Group]:
        for group in groups:
            yield group

    async def delete() -> tuple[int, Exception | None]:
        deletion = deletion_in(lane, noted, schema)
        try:
            await deletion.run(each())
        except MillpondError as raised:
            return deletion.count, raised
        return deletion.count, None

    count, raised = run(delete())
    return count, noted, raised


def test_condition_is_the_rows_own_version() -> None:
    lane = FakeLane()
    assert deleted(lane, [{("A",): "17.5"}]) == (1, [0, 1], None)
    assert operation_of(PRODUCTS, "changed").name == "DeleteItem"
    (request,) = lane.requests
    assert (request["TableName"], request["Key"]) == ("things", {"sku": {"S": "A"}})
    # An item that is gone may have been deleted by an attempt whose answer was lost.
    assert request["ConditionExpression"] == "attribute_not_exists(#k) OR #p = :p"
    assert request["ExpressionAttributeNames"] == {"#k": "sku", "#p": "changed"}
    assert request["ExpressionAttributeValues"] == {":p": {"N": "17.5"}}


def test_items_with_their_version_in_the_key_are_deleted_25_at_a_time() -> None:
    lane = FakeLane()
    assert operation_of(USERS, "createdAt").name == "BatchWriteItem"
    assert deleted(lane, [{(f"u{n}@x.org", "17.5"): "" for n in range(60)}], USERS) == (60, [0, 60], None)
    requests = [request["RequestItems"]["things"] for request in lane.requests]
    assert sorted(map(len, requests)) == [10, 25, 25]
    keys = [delete["DeleteRequest"]["Key"] for request in requests for delete in request]
    assert {"email": {"S": "u7@x.org"}, "createdAt": {"N": "17.5"}} in keys


def test_many_deletes_overlap_within_bounds_and_all_are_counted() -> None:
    lane = FakeLane()
    groups: list[Group] = [{(f"K{group}-{n}",): "1.5" for n in range(500)} for group in range(3)]
    assert deleted(lane, groups) == (1_500, [0, 1_500], None)
    assert 8 <= lane.most_at_once <= 160


def test_nothing_is_noted_where_there_is_nothing_to_delete() -> None:
    assert deleted(FakeLane(), [{}, {}]) == (0, [], None)


def test_item_that_was_replaced_meanwhile_stays() -> None:
    lane = FakeLane(A=["ConditionalCheckFailedException"])
    assert deleted(lane, [{("A",): "1.5", ("B",): "1.5"}]) == (1, [0, 1], None)


def test_throttled_deletes_are_repeated_and_given_up_at_last() -> None:
    throttled = "ProvisionedThroughputExceededException"
    assert deleted(FakeLane(A=[throttled] * 10), [{("A",): "1.5"}]) == (1, [0, 1], None)
    count, noted, raised = deleted(FakeLane(A=[throttled] * 1_000), [{("A",): "1.5", ("B",): "1.5"}])
    assert (count, noted) == (1, [0, 1])
    assert "throttles writes" in str(raised)


def test_failure_is_raised_after_what_was_deleted_is_noted() -> None:
    lane = FakeLane(B=["AccessDeniedException"])
    count, noted, raised = deleted(lane, [{("A",): "1.5"}, {(name,): "1.5" for name in "BCD"}, {("E",): "1.5"}])
    assert noted == [0, count]
    assert count >= 1
    assert isinstance(raised, ServiceError)


def test_item_that_is_refused_is_an_error() -> None:
    count, noted, raised = deleted(FakeLane(A=["ItemCollectionSizeLimitExceededException"]), [{("A",): "1.5"}])
    assert (count, noted) == (0, [0, 0])
    assert isinstance(raised, CliError)


@pytest.mark.parametrize("code", ["ThrottlingException", "RequestLimitExceeded", "InternalServerError"])
def test_passing_fault_is_not_seen(code: str) -> None:
    assert deleted(FakeLane(A=[code]), [{("A",): "1.5"}]) == (1, [0, 1], None)


def test_interrupted_run_notes_what_it_has_deleted() -> None:
    noted: list[int] = []

    async def groups() -> AsyncIterator[Group]:
        for number in range(100):
            yield {(f"K{number}",): "1.5"}

    async def interrupt() -> None:
        deleting = asyncio.create_task(deletion_in(FakeLane(), noted, PRODUCTS).run(groups()))
        await asyncio.sleep(0.055)
        deleting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deleting

    run(interrupt())
    assert noted == [0, 5]
