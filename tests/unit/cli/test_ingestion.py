"""What belongs to an ingestion."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from engine.accounts import Account
from engine.aws.ledger_list import LedgerList
from engine.cli.ingestion import Ingestion
from engine.cli.ledger import LedgerView
from engine.cli.table_items import TableItems
from engine.deployment.stack import Stack
from engine.flow.backoff import Deadline
from tests.builders.samples import SOURCE, USERS
from tests.fakeaws.virtual_time import run

STACK = Stack(
    "s", "own", "rejects/", "q", "dlq", "fq", "users", "s-producer", "s-worker", "s-query", "a", "u", "uploads/", "own"
)


class Files:
    """Objects in S3 by key, with LastModified as Unix time."""

    def __init__(self, **modified: int) -> None:
        self._modified = modified

    def get_paginator(self, _operation: str) -> "Files":
        return self

    async def paginate(self, **_arguments: Any) -> AsyncIterator[dict[str, Any]]:
        entries = {f"{name}.csv": datetime.fromtimestamp(at, UTC) for name, at in self._modified.items()}
        yield {"Contents": [{"Key": key, "LastModified": at} for key, at in entries.items()]}


class Silent:
    """A lane that is not used."""

    async def call(self, body: bytes, deadline: Deadline, seconds: float | None = None) -> bytes:
        raise AssertionError

    async def pause(self, attempt: int, deadline: Deadline) -> None:
        raise AssertionError


def test_rejects_of_an_earlier_ingestion_of_the_object_are_left_out() -> None:
    started = SOURCE.modified + 60
    account = Account(entry={"ingestion": SOURCE.ingestion, "started": started * 1_000 + 900})
    ingestion = Ingestion(
        STACK,
        USERS,
        has_same_schema=True,
        ttl_days=None,
        ledger=LedgerView(STACK, "ledger", LedgerList("ledger", Silent(), Silent()), None, 1),
        account=account,
        source=SOURCE,
        s3=Files(earlier=started - 1, first=started, later=started + 50),
        dynamodb=None,
        items=TableItems(None, "users", USERS),
    )
    assert run(ingestion.reject_files()) == ["first.csv", "later.csv"]
