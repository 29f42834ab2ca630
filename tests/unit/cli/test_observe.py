"""How a stack is read: missing logs, and whose entries and reject files count."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from engine.accounts import Account, arrival_id
from engine.cli.observe import StackView
from engine.deployment.stack import Stack
from engine.rejects import folder_of
from tests.builders.samples import SOURCE
from tests.fakeaws.virtual_time import run

STACK = Stack(
    "s", "own", "rejects/", "q", "dlq", "fq", "users", "s-producer", "s-worker", "s-query", "a", "u", "uploads/", "own"
)


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Call")


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


def view(*, s3: Any = None, logs: Any = None, ledger: Any = None) -> StackView:
    return StackView(STACK, ledger, s3, logs)


def logged(*lines: str) -> Pages:
    return Pages([{"events": [{"message": line} for line in lines]}])


class FakeLedger:
    """A ledger in which entries have changed at these times, in ms."""

    def __init__(self, **changed: int) -> None:
        self.changed = changed

    async def account(self, ingestion: str) -> Account | None:
        return (
            Account(entry={"ingestion": ingestion}, changed=self.changed[ingestion])
            if ingestion in self.changed
            else None
        )

    def document(self, account: Account) -> dict[str, Any]:
        return account.entry


@pytest.mark.parametrize("ingestion", [SOURCE.ingestion, arrival_id(SOURCE.ref)])
def test_object_has_an_entry_also_if_it_was_never_opened(ingestion: str) -> None:
    ledger = FakeLedger(**{ingestion: SOURCE.modified * 1_000})
    assert run(view(ledger=ledger).document(SOURCE, SOURCE.modified)) == {"ingestion": ingestion}
    assert run(view(ledger=ledger).document(SOURCE, SOURCE.modified + 60)) is None
    assert run(view(ledger=FakeLedger()).document(SOURCE, 0)) is None


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
def test_logs_that_cannot_be_read_say_nothing(code: str) -> None:
    logs = Pages(error(code))
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
    assert run(view(s3=s3).reject_files(SOURCE, now)) == ["b.csv", "c.csv"]


def test_rejects_are_in_the_stacks_bucket_also_for_objects_elsewhere() -> None:
    source = SOURCE._replace(bucket="elsewhere", key="k" * 1_000)
    folder = folder_of("rejects/", source)
    s3 = Pages([{"Contents": [stored(f"{folder}a.csv", "1"), stored(f"{folder}b.txt", "2")]}, {}])
    assert run(view(s3=s3).reject_files(source, source.modified)) == [f"{folder}a.csv"]
    assert s3.asked == [{"Bucket": "own", "Prefix": folder}]
