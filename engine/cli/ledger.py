"""A stack's ledger as commands read it: the account of one ingestion, and the list of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from engine.accounts import Account, iso, listed_ingestion
from engine.aws.ledger_list import MOST_TOGETHER, LedgerList
from engine.aws.types import BATCH_GET_ITEM, QUERY
from engine.cli.errors import CliError
from engine.cli.lanes import open_lanes
from engine.cli.queues import Queues, depths
from engine.deployment import clients
from engine.deployment.stack import Stack
from engine.flow.backoff import NEVER


class LedgerView:
    """Reads the ledger and the queues of a stack with clients that the caller opens and closes.

    `patience`: ms without a change after which rows are stuck.
    """

    def __init__(self, stack: Stack, table: str, ledger: LedgerList, sqs: Any, patience: int) -> None:
        self._stack, self._table, self._ledger, self._sqs, self._patience = stack, table, ledger, sqs, patience

    async def account(self, ingestion: str) -> Account | None:
        """Return all that a command needs to know of an ingestion, or None if nothing is known."""
        account = await self._ledger.shown(ingestion, NEVER)
        return account if account.entry else None

    async def accounts(self, ingestions: Sequence[str]) -> list[Account]:
        """Return the ingestions with these ids that are known."""
        found: list[Account] = []
        for start in range(0, len(ingestions), MOST_TOGETHER):
            found += await self._ledger.shown_all(ingestions[start : start + MOST_TOGETHER], NEVER)
        return [account for account in found if account.entry]

    async def newest(self) -> AsyncIterator[Account]:
        """Yield the accounts of all ingestions, the newest first, until nothing older is kept."""
        async for ingestions in self._listed():
            for account in await self.accounts(ingestions):
                yield account

    async def ids(self) -> AsyncIterator[str]:
        """Yield the ids of all ingestions, the newest first."""
        async for ingestions in self._listed():
            for ingestion in ingestions:
                yield ingestion

    async def _listed(self) -> AsyncIterator[list[str]]:
        async for places in self._ledger.months(iso(int(time.time() * 1000)), NEVER, limit=MOST_TOGETHER):
            yield [listed_ingestion(place) for place in places]

    async def find(self, name: str) -> Account:
        """Return the ingestion with this id, or the newest of an object whose key, or its last part, is `name`.

        Raises `CliError` if there is none.
        """
        if account := await self.account(name):
            return account
        async for account in self.newest():
            key = str(account.entry.get("key", ""))
            if name in (key, key.rpartition("/")[2], f"s3://{account.entry.get('bucket')}/{key}"):
                return account
        raise CliError(f"The ledger {self._table} knows no ingestion {name}: give an id, or the key of a file.")

    def document(self, account: Account) -> dict[str, Any]:
        """Return what is told of an ingestion now; see `Account.document`."""
        return account.document(int(time.time() * 1000), self._patience)

    async def queues(self) -> Queues:
        """Return how many messages are in the stack's queues."""
        return await depths(self._sqs, self._stack)


@asynccontextmanager
async def open_list(table: str, dynamodb: Any) -> AsyncIterator[LedgerList]:
    """Open a ledger, which is where the general client `dynamodb` sends to."""
    async with open_lanes(dynamodb, QUERY, BATCH_GET_ITEM) as (query, get):
        yield LedgerList(table, query, get)


@asynccontextmanager
async def open_ledger(stack: Stack, *, endpoint_url: str | None, region: str | None) -> AsyncIterator[LedgerView]:
    """Open the ledger of a stack. Raises `CliError` if it has none."""
    if stack.ledger is None:
        raise CliError(f"Stack {stack.name} was deployed by a version without a ledger: deploy it again.")
    async with (
        clients.client("sqs", endpoint_url=endpoint_url, region=region) as sqs,
        clients.client("dynamodb", endpoint_url=endpoint_url, region=region) as dynamodb,
        open_list(stack.ledger, dynamodb) as ledger,
    ):
        attributes = await sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["VisibilityTimeout"])
        patience = int(attributes["Attributes"]["VisibilityTimeout"]) * 1000
        yield LedgerView(stack, stack.ledger, ledger, sqs, patience)
