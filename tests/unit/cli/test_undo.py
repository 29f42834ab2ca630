"""Each item is deleted on its own condition, and counted whatever goes wrong."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from engine.cli.errors import CliError
from engine.cli.undo import Deletion
from engine.item_keys import Key
from engine.schema.model import Schema
from tests.builders.samples import PRODUCTS, USERS
from tests.fakeaws.virtual_time import run


class FakeDynamoDB:
    """Deletes every item, after the errors that it has for it; slow enough for deletes to overlap."""

    def __init__(self, **errors: list[ClientError]) -> None:
        self.errors = errors
        self.requests: list[dict[str, Any]] = []
        self._at_once = 0
        self.most_at_once = 0

    async def delete_item(self, **request: Any) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0.01)
        self._at_once -= 1
        self.requests.append(request)
        if errors := self.errors.get(next(iter(request["Key"].values()))["S"]):
            raise errors.pop(0)


def error(code: str, **more: Any) -> ClientError:
    reply: Any = {"Error": {"Code": code, "Message": "no"}, **more}
    return ClientError(reply, "DeleteItem")


def deleted(
    table: FakeDynamoDB, groups: list[dict[Key, str]], schema: Schema = PRODUCTS
) -> tuple[int, list[int], Exception | None]:
    """Return how many items were deleted, what was noted of that, and what was raised."""
    noted: list[int] = []

    async def note(count: int) -> None:
        noted.append(count)

    async def each() -> AsyncIterator[dict[Key, str]]:
        for group in groups:
            yield group

    async def delete() -> tuple[int, Exception | None]:
        deletion = Deletion(table, "things", schema, note)
        try:
            await deletion.run(each())
        except (CliError, ClientError) as raised:
            return deletion.count, raised
        return deletion.count, None

    count, raised = run(delete())
    return count, noted, raised


def test_condition_is_the_rows_own_version() -> None:
    table = FakeDynamoDB()
    assert deleted(table, [{("A",): "17.5"}]) == (1, [0, 1], None)
    (request,) = table.requests
    assert (request["TableName"], request["Key"]) == ("things", {"sku": {"S": "A"}})
    assert request["ConditionExpression"] == "#p = :p"
    assert request["ExpressionAttributeNames"] == {"#p": "changed"}
    assert request["ExpressionAttributeValues"] == {":p": {"N": "17.5"}}


def test_item_with_its_version_in_the_key_only_has_to_exist() -> None:
    table = FakeDynamoDB()
    assert deleted(table, [{("u1@x.org", "17.5"): ""}], USERS) == (1, [0, 1], None)
    (request,) = table.requests
    assert request["ConditionExpression"] == "attribute_exists(#p)"
    assert "ExpressionAttributeValues" not in request


def test_many_deletes_overlap_within_bounds_and_all_are_counted() -> None:
    table = FakeDynamoDB()
    groups: list[dict[Key, str]] = [{(f"K{group}-{n}",): "1.5" for n in range(500)} for group in range(3)]
    assert deleted(table, groups) == (1_500, [0, 1_500], None)
    assert 8 <= table.most_at_once <= 32


def test_nothing_is_noted_where_there_is_nothing_to_delete() -> None:
    assert deleted(FakeDynamoDB(), [{}, {}]) == (0, [], None)


def test_item_that_was_replaced_meanwhile_stays_and_one_that_is_gone_counts() -> None:
    failed = "ConditionalCheckFailedException"
    table = FakeDynamoDB(A=[error(failed, Item={"sku": {"S": "A"}})], B=[error(failed)])
    assert deleted(table, [{("A",): "1.5", ("B",): "1.5"}]) == (1, [0, 1], None)


def test_throttled_deletes_are_repeated_and_given_up_at_last() -> None:
    throttled = error("ProvisionedThroughputExceededException")
    assert deleted(FakeDynamoDB(A=[throttled] * 10), [{("A",): "1.5"}]) == (1, [0, 1], None)
    count, noted, raised = deleted(FakeDynamoDB(A=[throttled] * 100), [{("A",): "1.5", ("B",): "1.5"}])
    assert (count, noted) == (1, [0, 1])
    assert "throttles writes" in str(raised)


def test_failure_is_raised_after_what_was_deleted_is_noted() -> None:
    table = FakeDynamoDB(B=[error("AccessDeniedException")])
    count, noted, raised = deleted(table, [{("A",): "1.5"}, {(name,): "1.5" for name in "BCD"}, {("E",): "1.5"}])
    assert (count, noted) == (3, [0, 3])
    assert isinstance(raised, ClientError)


@pytest.mark.parametrize("code", ["ThrottlingException", "RequestLimitExceeded"])
def test_what_counts_as_throttling(code: str) -> None:
    assert deleted(FakeDynamoDB(A=[error(code)]), [{("A",): "1.5"}]) == (1, [0, 1], None)


def test_interrupted_run_notes_what_it_has_deleted() -> None:
    noted: list[int] = []

    async def note(count: int) -> None:
        noted.append(count)

    async def groups() -> AsyncIterator[dict[Key, str]]:
        for number in range(100):
            yield {(f"K{number}",): "1.5"}

    async def interrupt() -> None:
        deleting = asyncio.create_task(Deletion(FakeDynamoDB(), "things", PRODUCTS, note).run(groups()))
        await asyncio.sleep(0.055)
        deleting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deleting

    run(interrupt())
    assert noted == [0, 5]
