"""Items -> the table: BatchWriteItem until each one is written, refused for good, or time is up.

The caller learns what became of each item. A later write replaces an earlier one of the same key; see
`engine.aws.newest_writer` for a table that keeps the highest version.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from engine.aws.table_calls import ItemWriter
from engine.aws.types import BATCH_WRITE_ITEM
from engine.errors import ServiceError
from engine.flow.backoff import Deadline
from engine.items import MAX_BATCH_BYTES, MAX_BATCH_ITEMS, Items, batch_body, batches, canonical_key
from engine.outcome import Outcome
from engine.schema.model import Schema

_ALL_PROCESSED = b'{"UnprocessedItems":{}}'


class TableWriter(ItemWriter):
    """Writes items into one table, 25 in a call, in their order as far as concurrency allows."""

    operation = BATCH_WRITE_ITEM.name

    async def _put(self, items: Items, outcome: Outcome, deadline: Deadline) -> None:
        put = _BatchPut(self._table, self._schema, items, reports_units=self._rate is not None)
        most = min(MAX_BATCH_ITEMS, self._rate.call_items) if self._rate else MAX_BATCH_ITEMS
        for wave in items.waves():
            count = -(-len(wave) // most)
            await self._put_batches(batches(wave, most), count, put, outcome, deadline)
            if outcome.out_of_time:
                break


class _BatchPut:
    """BatchWriteItem, which leaves items unprocessed where a table has no capacity for them."""

    def __init__(self, table: str, schema: Schema, items: Items, *, reports_units: bool) -> None:
        self._table, self._items, self._reports_units = table, items, reports_units
        self._key_types = [(name, schema.types[name]) for name in schema.keys]

    def body(self, part: Sequence[int]) -> bytes:
        body = batch_body(self._table, self._items.text(part), reports_units=self._reports_units)
        if len(body) > MAX_BATCH_BYTES:
            raise ServiceError("BatchWriteItem", "RequestEntityTooLarge", 413)  # as the service would say
        return body

    def units(self, part: Sequence[int]) -> int:
        return self._items.units(part)

    def left(self, reply: bytes, part: Sequence[int]) -> Sequence[int]:
        """Find the unprocessed items of a reply among those sent, by their keys."""
        if reply == _ALL_PROCESSED:
            return ()
        by_key = {
            canonical_key(zip((type_ for _, type_ in self._key_types), self._items.key(index), strict=True)): index
            for index in part
        }
        try:
            # Whatever the service calls the table, an ARN has several names: one call writes to one table.
            tables = orjson.loads(reply)["UnprocessedItems"].values()
            requests = [request for table in tables for request in table]
            keys = [
                canonical_key((type_, request["PutRequest"]["Item"][name][type_]) for name, type_ in self._key_types)
                for request in requests
            ]
            return sorted(by_key[key] for key in keys)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            # Whatever this is, it does not say that the items are written: all of them again.
            raise ServiceError("BatchWriteItem", "UnreadableReply", 0) from None
