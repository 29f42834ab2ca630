"""Items of a table -> gone, each only while it is still the one that is meant.

An item is named by its key and a proof: a value of one attribute that nothing else writes. Where that attribute is in
the key, the key is proof enough, and BatchWriteItem deletes 25 items in a call. Otherwise each item is deleted by a
DeleteItem on the condition that it still has the proof.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from engine.aws.conditional_calls import ConditionalCalls, left_of
from engine.aws.types import BATCH_WRITE_ITEM, DELETE_ITEM, Caller, Operation
from engine.errors import ServiceError
from engine.flow.backoff import Deadline
from engine.item_keys import Key, key_of, wire_key
from engine.items import MAX_BATCH_ITEMS, batches
from engine.outcome import Outcome
from engine.schema.model import Schema


def operation_of(schema: Schema, proof: str) -> Operation:
    """Return the operation that deletes items which the attribute `proof` tells apart."""
    return BATCH_WRITE_ITEM if proof in schema.keys else DELETE_ITEM


class TableDeleter(ConditionalCalls):
    """Deletes items of one table; `proof` is the attribute, `write` the lane of `operation_of`."""

    def __init__(self, table: str, schema: Schema, proof: str, write: Caller) -> None:
        super().__init__(table, schema, write)
        self._proof = proof

    async def delete(self, items: Sequence[tuple[Key, str]], outcome: Outcome, deadline: Deadline) -> None:
        """Delete items, given by key and proof, and note in `outcome` what became of each.

        An item that something has replaced meanwhile stays, and is `superseded`; one that is gone counts as deleted,
        since an attempt whose answer was lost may have done it. Raises `ServiceError` when nothing can be deleted.
        """
        if self._proof in self._schema.keys:
            put: _BatchDelete | _ConditionalDelete = _BatchDelete(self._table, self._schema, items)
            most = MAX_BATCH_ITEMS
        else:
            put, most = _ConditionalDelete(self._table, self._schema, self._proof, items, outcome), 1
        await self._put_batches(batches(range(len(items)), most), -(-len(items) // most), put, outcome, deadline)


class _BatchDelete:
    """BatchWriteItem of deletes."""

    def __init__(self, table: str, schema: Schema, items: Sequence[tuple[Key, str]]) -> None:
        self._table, self._schema, self._items = table, schema, items

    def body(self, part: Sequence[int]) -> bytes:
        keys = (wire_key(self._items[index][0], self._schema) for index in part)
        return orjson.dumps({"RequestItems": {self._table: [{"DeleteRequest": {"Key": key}} for key in keys]}})

    def units(self, part: Sequence[int]) -> int:
        return len(part)

    def left(self, reply: bytes, part: Sequence[int]) -> Sequence[int]:
        """Find the unprocessed items of a reply among those sent, by their keys."""
        by_key = {self._items[index][0]: index for index in part}
        try:
            tables = orjson.loads(reply)["UnprocessedItems"].values()
            keys = [request["DeleteRequest"]["Key"] for table in tables for request in table]
            return sorted(by_key[key_of(key, self._schema)] for key in keys)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise ServiceError("BatchWriteItem", "UnreadableReply", 0) from None


class _ConditionalDelete:
    """DeleteItem of one item, which is done as well when something else is there."""

    def __init__(
        self, table: str, schema: Schema, proof: str, items: Sequence[tuple[Key, str]], outcome: Outcome
    ) -> None:
        self._table, self._schema, self._proof, self._items, self._outcome = table, schema, proof, items, outcome

    def body(self, part: Sequence[int]) -> bytes:
        key, proof = self._items[part[0]]
        return orjson.dumps(
            {
                "TableName": self._table,
                "Key": wire_key(key, self._schema),
                "ConditionExpression": "attribute_not_exists(#k) OR #p = :p",
                "ExpressionAttributeNames": {"#k": self._schema.partition_key, "#p": self._proof},
                "ExpressionAttributeValues": {":p": {self._schema.types[self._proof]: proof}},
            }
        )

    def units(self, part: Sequence[int]) -> int:
        return len(part)

    def left(self, reply: bytes, part: Sequence[int]) -> Sequence[int]:
        return left_of(DELETE_ITEM, reply, part, self._outcome)
