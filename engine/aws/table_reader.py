"""The table -> items: Query and Scan, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from engine.aws.types import Caller
from engine.errors import ServiceError
from engine.flow.attempts import Attempts
from engine.flow.backoff import Deadline
from engine.queries import Attributes
from engine.reading.attribute_values import is_item
from engine.schema.model import Schema

MAX_READ_ATTEMPTS = 5
"""A client is waiting: an early error is better than a response after the client has given up."""


class Page(NamedTuple):
    """One page of a Query or Scan; `last_key` is None at the end."""

    items: list[Attributes]
    last_key: Attributes | None


class TableReader:
    """Reads one table: Query and Scan, each through a lane of its own."""

    def __init__(self, table: str, schema: Schema, query: Caller, scan: Caller) -> None:
        self._table, self._schema, self._query, self._scan = table, schema, query, scan
        self._keys = {name: schema.types[name] for name in schema.keys}

    async def query(
        self, partition: str, deadline: Deadline, *, newest_first: bool, limit: int, start_key: Attributes | None = None
    ) -> Page:
        """Return up to `limit` items of one partition key, in the order of the sort key.

        Raises `ServiceError` and `DeadlineExceeded`.
        """
        key = self._schema.partition_key
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "#key = :key",
            "ExpressionAttributeNames": {"#key": key},
            "ExpressionAttributeValues": {":key": {self._schema.types[key]: partition}},
            "ScanIndexForward": not newest_first,
            "Limit": limit,
        }
        return await self._page(self._query, request, start_key, deadline)

    async def scan(self, deadline: Deadline, *, limit: int, start_key: Attributes | None = None) -> Page:
        """Return up to `limit` items of the table, those of one partition key next to each other. Raises as `query`."""
        return await self._page(self._scan, {"TableName": self._table, "Limit": limit}, start_key, deadline)

    async def _page(
        self, lane: Caller, request: dict[str, Any], start_key: Attributes | None, deadline: Deadline
    ) -> Page:
        if start_key:
            request["ExclusiveStartKey"] = start_key
        body = orjson.dumps(request)
        attempts = Attempts(lane.pause, deadline, MAX_READ_ATTEMPTS)
        while True:
            try:
                return _page_of(await lane.call(body, deadline), self._keys)
            except ServiceError as error:
                attempts.failed(error)
            await attempts.wait()


def _page_of(reply: bytes, keys: Mapping[str, str]) -> Page:
    try:
        found = orjson.loads(reply)
        page = Page(list(found["Items"]), found.get("LastEvaluatedKey"))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise _unreadable() from None
    last = [] if page.last_key is None else [page.last_key]
    # A number is answered as the text that it is here: what is none would make the response no JSON.
    if not all(is_item(each, keys) for each in (*page.items, *last)):
        raise _unreadable()
    return page


def _unreadable() -> ServiceError:
    return ServiceError("Query or Scan", "UnreadableReply", 0)
