"""How items are read by their keys from a table that throttles, or has another key."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from engine.cli.errors import CliError
from engine.cli.table_items import TableItems
from engine.item_keys import Key
from tests.builders.samples import USERS
from tests.fakeaws.virtual_time import now, run

KEYS: list[Key] = [(f"u{n}@x.org", f"1775260800.{n:012d}1") for n in range(1, 101)]


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "BatchGetItem")


class FakeDynamoDB:
    """A table that has every item, and answers as `replies` say: an error, or how many keys it leaves over."""

    def __init__(self, *replies: ClientError | int) -> None:
        self.replies = list(replies)
        self.requests: list[dict[str, Any]] = []

    async def batch_get_item(self, **arguments: Any) -> dict[str, Any]:
        (request,) = arguments["RequestItems"].values()
        self.requests.append(request)
        reply = self.replies.pop(0) if self.replies else 0
        if isinstance(reply, ClientError):
            raise reply
        keys = request["Keys"]
        left = {"UnprocessedKeys": {"users": {**request, "Keys": keys[:reply]}}} if reply else {}
        return {"Responses": {"users": keys[reply:]}, **left}


def test_reads_are_consistent_and_proofs_have_no_other_attributes() -> None:
    table = FakeDynamoDB()
    items = TableItems(table, "users", USERS)
    assert [item["email"]["S"] for item in run(items.proofs(KEYS))] == [mail for mail, _ in KEYS]
    assert len(run(TableItems(table, "users", USERS).whole(KEYS))) == 100
    proofs, whole = table.requests
    assert proofs["ConsistentRead"] is whole["ConsistentRead"] is True
    assert set(proofs["ExpressionAttributeNames"].values()) == {"email", "createdAt"}
    assert "ProjectionExpression" not in whole


def test_each_key_is_asked_for_once_in_calls_of_100() -> None:
    table = FakeDynamoDB()
    keys: list[Key] = [(f"u{n}@x.org", "1.5") for n in range(250)]
    assert len(run(TableItems(table, "users", USERS).whole([*keys, *keys]))) == 250
    assert [len(request["Keys"]) for request in table.requests] == [100, 100, 50]
    assert run(TableItems(table, "users", USERS).whole([])) == []


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException"])
def test_throttled_reads_are_repeated_until_each_key_was_read(code: str) -> None:
    table = FakeDynamoDB(error(code), 60, error(code), 59, 1)
    found = run(TableItems(table, "users", USERS).whole(KEYS))
    assert sorted(item["email"]["S"] for item in found) == sorted(mail for mail, _ in KEYS)


def test_what_is_too_large_for_one_reply_is_asked_for_at_once() -> None:
    async def read() -> float:
        assert len(await TableItems(FakeDynamoDB(80, 60, 40, 20), "users", USERS).whole(KEYS)) == 100
        return now()

    assert run(read()) == 0


def test_reads_that_are_throttled_without_end_are_given_up() -> None:
    async def read() -> float:
        with pytest.raises(CliError, match="Table users has throttled reads for 60 s"):
            await TableItems(FakeDynamoDB(*[error("ThrottlingException")] * 100), "users", USERS).whole(KEYS)
        return now()

    assert 60 < run(read()) < 70


def test_table_with_another_key_is_named() -> None:
    with pytest.raises(CliError, match=r"key of table users is not that of schema users.toml \(email, createdAt\)"):
        run(TableItems(FakeDynamoDB(error("ValidationException")), "users", USERS).whole(KEYS))
