"""A stack's ledger as commands read it: the account of one ingestion, and the list of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine.accounts import TIME_INDEX, Account, month_before
from engine.cli.errors import CliError
from engine.deployment import clients
from engine.deployment.stack import Stack


class LedgerView:
    """Reads one ledger with an open DynamoDB client. `patience`: ms without a change after which rows are stuck."""

    def __init__(self, table: str, dynamodb: Any, patience: int) -> None:
        self._table, self._dynamodb, self.patience = table, dynamodb, patience

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
        month, empty = time.strftime("%Y-%m", time.gmtime()), 0
        while empty < 13:  # entries may be kept for years, but a year without any file is the end
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
                    account = await self.account(item["ingestion"]["S"])
                    if account:
                        yield account
            month = month_before(month)

    async def find(self, name: str) -> Account | None:
        """Return the ingestion with this id, or the newest of an object whose key, or its last part, is `name`."""
        if account := await self.account(name):
            return account
        async for account in self.newest():
            key = str(account.entry.get("key", ""))
            if name in (key, key.rpartition("/")[2], f"s3://{account.entry.get('bucket')}/{key}"):
                return account
        return None

    def document(self, account: Account) -> dict[str, Any]:
        """Return what is told of an ingestion now; see `Account.document`."""
        return account.document(int(time.time() * 1000), self.patience)


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
        yield LedgerView(stack.ledger, dynamodb, int(attributes["Attributes"]["VisibilityTimeout"]) * 1000)
