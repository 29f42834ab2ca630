"""What is read of the ledger: one ingestion, or the ids of those of a month."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

import orjson

from engine.accounts import ENTRY, TIME_INDEX, Account, listed_ingestion
from engine.aws.types import Caller
from engine.errors import ServiceError
from engine.flow.attempts import Attempts
from engine.flow.backoff import Deadline
from engine.reading.attribute_values import is_item
from engine.tallies import Item

T = TypeVar("T")

_KEY = {"ingestion": "S", "part": "S"}

MAX_ATTEMPTS = 6
"""In a row for one call: then the rows are held back, which is better than waiting until the time is up."""


class LedgerReader:
    """Reads the ledger `table`; `query` is the lane of Query."""

    def __init__(self, table: str, query: Caller) -> None:
        self._table, self._query_lane = table, query

    async def account(self, ingestion: str, deadline: Deadline, *, tallies: bool = True) -> Account:
        """Return all that is known of an ingestion, or all but its tallies."""
        account = Account()
        async for item in self._items(ingestion, deadline, tallies=tallies):
            account.add(item)
        return account

    async def listed(
        self, month: str, deadline: Deadline, *, limit: int, after: str | None = None
    ) -> tuple[list[str], bool]:
        """Return the places of up to `limit` ingestions of a month, newest first, and whether these are all.

        A place is the second part of `listing_key`; `after`: the place before the first of them.
        """
        request: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": TIME_INDEX,
            "KeyConditionExpression": "#month = :month",
            "ExpressionAttributeNames": {"#month": "month"},
            "ExpressionAttributeValues": {":month": {"S": month}},
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if after:
            key = {"month": month, "listed": after, "ingestion": listed_ingestion(after), "part": ENTRY}
            request["ExclusiveStartKey"] = {name: {"S": value} for name, value in key.items()}
        return await self._call(self._query_lane, request, deadline, _places_of)

    async def _items(self, ingestion: str, deadline: Deadline, *, tallies: bool = True) -> AsyncIterator[Item]:
        """Yield the items of an ingestion, or all but its tallies."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "ingestion = :id" if tallies else "ingestion = :id AND part < :tally",
            "ExpressionAttributeValues": {":id": {"S": ingestion}, **({} if tallies else {":tally": {"S": "t"}})},
            "ConsistentRead": True,
        }
        while True:
            items, last = await self._call(self._query_lane, request, deadline, _page_of)
            for item in items:
                yield item
            if last is None:
                return
            request["ExclusiveStartKey"] = last

    async def _call(self, lane: Caller, request: Mapping[str, Any], deadline: Deadline, read: Callable[[Any], T]) -> T:
        """Return what `read` finds in the reply. It raises `ValueError` and the like for what is no such reply."""
        body = orjson.dumps(request)
        attempts = Attempts(lane.pause, deadline, MAX_ATTEMPTS)
        while True:
            try:
                return read(orjson.loads(await lane.call(body, deadline)))
            except (ValueError, KeyError, TypeError, AttributeError):
                attempts.failed(ServiceError("the ledger", "UnreadableReply", 0))
            except ServiceError as error:
                attempts.failed(error)
            await attempts.wait()


def _page_of(reply: Any) -> tuple[list[Item], Item | None]:
    """Return the items of a reply to Query, and where the next page begins."""
    last = reply.get("LastEvaluatedKey")
    return list(map(item_of, reply["Items"])), None if last is None else item_of(last)


def _places_of(reply: Any) -> tuple[list[str], bool]:
    items, last = _page_of(reply)
    return [item["listed"]["S"] for item in items], last is None


def item_of(value: Any) -> Item:
    """Return a value of a reply as the item that it must be. Raises `ValueError`."""
    if not is_item(value, _KEY):
        raise ValueError("not an item of the ledger")
    item: Item = value
    return item
