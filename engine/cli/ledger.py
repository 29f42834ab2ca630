"""A stack's ledger as commands read it: the account of one ingestion, and the list of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine.accounts import EMPTY_MONTHS, TIME_INDEX, Account, month_before
from engine.cli.errors import CliError
from engine.cli.queues import Queues, depths
from engine.deployment import clients
from engine.deployment.stack import Stack


class LedgerView:
    """Reads the ledger and the queues of a stack with clients that the caller opens and closes.

    `patience`: ms without a change after which rows are stuck.
    """

    def __init__(self, stack: Stack, table: str, dynamodb: Any, sqs: Any, patience: int) -> None:
        self._stack, self._table, self._dynamodb, self._sqs, self._patience = stack, table, dynamodb, sqs, patience

    async def account(self, ingestion: str) -> Account | None:
        """Return all that is known of an ingestion, or None if nothing is."""
        account = Account()
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="ingestion = :id",
            ExpressionAttributeValues={":id": {"S": ingestion}},
            ConsistentRead=True,
        )
        async for page in pages:
            for item in page["Items"]:
                account.add(item)
        return account if account.entry else None

    async def newest(self) -> AsyncIterator[Account]:
        """Yield the accounts of all ingestions, the newest first, until nothing older is kept."""
        async for ingestion in self.ids():
            if account := await self.account(ingestion):
                yield account

    async def ids(self) -> AsyncIterator[str]:
        """Yield the ids of all ingestions, the newest first."""
        month, empty = time.strftime("%Y-%m", time.gmtime()), 0
        while empty < EMPTY_MONTHS:
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self._table,
                IndexName=TIME_INDEX,
                KeyConditionExpression="#month = :month",
                ExpressionAttributeNames={"#month": "month"},
                ExpressionAttributeValues={":month": {"S": month}},
                ScanIndexForward=False,
            )
            empty += 1
            async for page in pages:
                for item in page["Items"]:
                    empty = 0
                    yield item["ingestion"]["S"]
            month = month_before(month)

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
async def open_ledger(stack: Stack, *, endpoint_url: str | None, region: str | None) -> AsyncIterator[LedgerView]:
    """Open the ledger of a stack. Raises `CliError` if it has none."""
    if stack.ledger is None:
        raise CliError(f"Stack {stack.name} was deployed by a version without a ledger: deploy it again.")
    async with (
        clients.client("sqs", endpoint_url=endpoint_url, region=region) as sqs,
        clients.client("dynamodb", endpoint_url=endpoint_url, region=region) as dynamodb,
    ):
        attributes = await sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["VisibilityTimeout"])
        patience = int(attributes["Attributes"]["VisibilityTimeout"]) * 1000
        yield LedgerView(stack, stack.ledger, dynamodb, sqs, patience)
