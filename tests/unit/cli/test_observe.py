"""How a stack is read: throttled tables, missing logs, and whose reject files and log lines count."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from engine.cli.errors import CliError
from engine.cli.expected import Key
from engine.cli.observe import Said, StackView
from engine.deployment.stack import Stack
from engine.rejects import folder_of
from engine.schema.model import Schema
from tests.builders.samples import PRODUCTS, SOURCE, USERS
from tests.fakeaws.virtual_time import now, run

STACK = Stack(
    "s", "own", "rejects/", "q", "dlq", "fq", "users", "s-producer", "s-worker", "s-query", "a", "u", "uploads/", "own"
)
KEYS: list[Key] = [(f"u{n}@x.org", f"1775260800.{n:012d}1") for n in range(1, 101)]


def error(code: str, operation: str = "Call") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


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


class Pages:
    """A paginator whose pages depend on the arguments; it remembers them."""

    def __init__(self, pages: list[dict[str, Any]] | ClientError) -> None:
        self.pages = pages
        self.asked: list[dict[str, Any]] = []

    def get_paginator(self, _operation: str) -> "Pages":
        return self

    async def paginate(self, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(arguments)
        if isinstance(self.pages, ClientError):
            raise self.pages
        for page in self.pages:
            yield page


def view(schema: Schema = USERS, **clients: Any) -> StackView:
    opened = {name: clients.get(name) for name in ("s3", "sqs", "dynamodb", "logs")}
    return StackView(STACK, schema, opened, interval=1.0, patience=60.0)


def logged(*lines: str) -> Pages:
    return Pages([{"events": [{"message": line} for line in lines]}])


def line(**fields: Any) -> str:
    entry = {"event": "object", "bucket": SOURCE.bucket, "key": SOURCE.key, "ingestion": SOURCE.ingestion, **fields}
    return f"[INFO]\t2026-04-04T00:00:00Z\trequest\t{json.dumps(entry)}\n"


def test_keys_are_read_consistently_and_without_other_attributes() -> None:
    table = FakeDynamoDB()
    found = run(view(dynamodb=table).items(KEYS))
    assert [item["email"]["S"] for item in found] == [mail for mail, _ in KEYS]
    (request,) = table.requests
    assert request["ConsistentRead"] is True
    assert set(request["ExpressionAttributeNames"].values()) == {"email", "createdAt"}


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException"])
def test_throttled_reads_are_repeated_until_each_key_was_read(code: str) -> None:
    table = FakeDynamoDB(error(code), 60, error(code), 59, 1)
    found = run(view(dynamodb=table).items(KEYS))
    assert sorted(item["email"]["S"] for item in found) == sorted(mail for mail, _ in KEYS)


def test_reads_that_are_throttled_without_end_are_given_up() -> None:
    async def read() -> float:
        with pytest.raises(CliError, match="Table users has throttled reads for 60 s"):
            await view(dynamodb=FakeDynamoDB(*[error("ThrottlingException")] * 100)).items(KEYS)
        return now()

    assert 60 < run(read()) < 65


def test_table_with_another_key_is_named() -> None:
    with pytest.raises(CliError, match=r"key of table users is not that of schema users.toml \(email, createdAt\)"):
        run(view(dynamodb=FakeDynamoDB(error("ValidationException"))).check_key())


def test_key_is_checked_by_one_read() -> None:
    table = FakeDynamoDB()
    run(
        StackView(
            STACK, PRODUCTS, {"s3": 0, "sqs": 0, "dynamodb": table, "logs": 0}, interval=1, patience=1
        ).check_key()
    )
    assert [request["Keys"] for request in table.requests] == [[{"sku": {"S": "0"}}]]


def test_producer_is_heard_on_this_object_alone() -> None:
    lines = (
        "START RequestId: 1",
        line(status="error", reason="SQS does not answer"),
        line(status="failed", reason="other ingestion", ingestion="0" * 20),
        line(status="failed", reason="other bucket", bucket="other"),
        line(status="failed", reason="other event", event="batch"),
        '{"event":"object"',
        line(status="complete", reason="", messagesSent=3),
        line(status="failed", reason="other key", key=f"{SOURCE.key}x"),
    )
    logs = logged(*lines)
    assert run(view(logs=logs).producer_said(SOURCE)) == Said("complete", "", 3)
    (asked,) = logs.asked
    assert (asked["logGroupName"], asked["startTime"]) == ("/aws/lambda/s-producer", SOURCE.modified * 1_000)
    assert asked["filterPattern"] == f'"{SOURCE.key}"'


def test_object_that_was_gone_before_it_was_opened_has_no_ingestion() -> None:
    logs = logged(line(status="gone", reason="deleted", ingestion=None))
    assert run(view(logs=logs).producer_said(SOURCE)) == Said("gone", "deleted", 0)


@pytest.mark.parametrize("key", ['uploads/a"b.csv', "uploads/a\\b.csv", "uploads/a\nb.csv", "x" * 1_020])
def test_key_that_cannot_be_written_in_a_pattern(key: str) -> None:
    source = SOURCE._replace(key=key)
    logs = logged(line(status="complete", key=key, ingestion=source.ingestion))
    assert run(view(logs=logs).producer_said(source)) is not None
    assert logs.asked[0]["filterPattern"] == f'"{source.ingestion}"'


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
def test_logs_that_cannot_be_read_say_nothing(code: str) -> None:
    logs = Pages(error(code))
    assert run(view(logs=logs).producer_said(SOURCE)) is None
    assert run(view(logs=logs).errors(SOURCE)) == []


def test_last_errors_of_each_function() -> None:
    logs = logged(*[f"[ERROR] {n}" for n in range(9)])
    shown = run(view(logs=logs).errors(SOURCE))
    assert shown == [f"{name}: [ERROR] {n}" for name in ("s-producer", "s-worker") for n in (6, 7, 8)]
    assert all(asked["PaginationConfig"]["MaxItems"] for asked in logs.asked)


def stored(key: str, etag: str, modified: int = SOURCE.modified) -> dict[str, Any]:
    """What S3 lists of an object."""
    return {"Key": key, "ETag": etag, "LastModified": datetime.fromtimestamp(modified, UTC)}


def test_rejects_of_an_earlier_ingestion_are_left_out() -> None:
    now = SOURCE.modified + 60
    s3 = Pages(
        [{"Contents": [stored("a.csv", "1", now - 1), stored("b.csv", "2", now), stored("c.csv", "3", now + 1)]}]
    )
    assert run(view(s3=s3).reject_files(SOURCE, now)) == {"b.csv": "2", "c.csv": "3"}


def test_rejects_are_in_the_stacks_bucket_also_for_objects_elsewhere() -> None:
    source = SOURCE._replace(bucket="elsewhere", key="k" * 1_000)
    folder = folder_of("rejects/", source)
    s3 = Pages([{"Contents": [stored(f"{folder}a.csv", "1"), stored(f"{folder}b.txt", "2")]}, {}])
    assert run(view(s3=s3).reject_files(source, source.modified)) == {f"{folder}a.csv": "1"}
    assert s3.asked == [{"Bucket": "own", "Prefix": folder}]
