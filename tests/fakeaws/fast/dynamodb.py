"""DynamoDB's side: BatchWriteItem and PutItem, counted without parsing them; everything else is the model's.

A put request is counted by its name, which cannot stand in the data, where quotes are escaped. What is parsed is the
sample, and what capacity cuts.
"""

from __future__ import annotations

import random

from tests.fakeaws.backend import Backend
from tests.fakeaws.capacity import TokenBucket
from tests.fakeaws.dynamodb import EXCEEDED, MAX_WRITES, DynamoDB, Table, Write
from tests.fakeaws.errors import Refusal
from tests.fakeaws.fast.contents import Contents
from tests.fakeaws.fast.http import json_bytes
from tests.fakeaws.fast.state import SLOTS_PER_SECOND, Counts, Settings
from tests.fakeaws.protocol import JsonReply, document_of, error_reply, json_reply

BATCH_WRITE_ITEM = "DynamoDB_20120810.BatchWriteItem"
ALL_WRITTEN = json_bytes(BATCH_WRITE_ITEM, json_reply(BATCH_WRITE_ITEM, 200, {"UnprocessedItems": {}}))
PUT_ITEM = "DynamoDB_20120810.PutItem"
WRITTEN = json_bytes(PUT_ITEM, json_reply(PUT_ITEM, 200, {}))


_CONDITION_FAILED = b"ConditionalCheckFailedException"


class PassingTable(Table):
    """A table that keeps only what it was made with: of writes it keeps nothing."""

    def apply(self, write: Write) -> None:
        """Take a write."""


class Tables:
    """Takes BatchWriteItem and PutItem calls. All tables share one capacity."""

    def __init__(self, contents: Contents, settings: Settings, counts: Counts, now: float) -> None:
        self._settings, self._counts = settings, counts
        self._bucket = (
            TokenBucket(settings.wcu, burst_seconds=settings.burst_seconds, start=now) if settings.wcu else None
        )
        draw = random.Random(settings.seed)
        self.model = DynamoDB(
            {
                name: PassingTable(key, self._bucket, settings.exception_share, draw)
                for name, key in contents.tables.items()
            }
            | {name: Table(key) for name, key in contents.kept.items()}
        )
        for name, items in contents.items.items():
            table = self.model.tables[name]
            table.items.update((table.key_of(item), item) for item in items)
        self._began: float | None = None

    def batch_write(self, body: bytes, access_key: str, now: float, *, check: bool) -> bytes:
        """Answer one call; `check` it in full or count only."""
        count = body.count(b'"PutRequest"')
        if check or not 1 <= count <= MAX_WRITES:
            try:
                self._check(body, count)
            except Refusal as refusal:
                self._counts.violation(refusal.message)
                return json_bytes(BATCH_WRITE_ITEM, error_reply(BATCH_WRITE_ITEM, refusal))
        if self._bucket is not None and not self._bucket.take(count, now):
            return json_bytes(BATCH_WRITE_ITEM, self._throttle(body, count, access_key, now))
        self._accept(count, access_key, now)
        return ALL_WRITTEN

    def put_item(self, body: bytes, access_key: str, now: float, *, check: bool) -> bytes:
        """Answer one call; `check` it in full or count only. Nothing is kept, so every condition is met."""
        if check or self._bucket is not None:
            try:
                request = document_of(body)
                self.model.call("PutItem", body, now)
            except Refusal as refusal:
                if refusal.code != EXCEEDED.code:
                    self._counts.violation(refusal.message)
                self._counts.rows_refused += 1
                self._counts.errors[refusal.code] += 1
                return json_bytes(PUT_ITEM, error_reply(PUT_ITEM, refusal))
            if self._settings.keys:
                self._counts.keys.add(self.model.table(request["TableName"]).key_of(request["Item"]))
        self._accept(1, access_key, now)
        return WRITTEN

    def call(self, target: str, body: bytes, now: float) -> JsonReply:
        """Answer any other call, by the model."""
        operation = target.partition(".")[2]
        reply = Backend(self.model).answer(target, body, now)
        if reply.status != 200 and _CONDITION_FAILED not in reply.body:
            self._counts.violation(f"{operation}: {reply.body.decode()}")
        self._counts.update_units = sum(table.units for table in self.model.tables.values())
        self._counts.update_units += self._counts.calls["DeleteItem"]
        return reply

    def _accept(self, count: int, access_key: str, now: float) -> None:
        self._counts.rows_written += count
        if self._settings.timeline:
            if self._began is None:
                self._began = now
            self._counts.slots[access_key][int((now - self._began) * SLOTS_PER_SECOND)] += count

    def _throttle(self, body: bytes, count: int, access_key: str, now: float) -> JsonReply:
        """Let the model take what there is capacity for."""
        try:
            reply = self.model.write(self.model.checked(document_of(body), len(body)), now)
        except Refusal as refusal:
            self._counts.rows_refused += count
            self._counts.errors[refusal.code] += 1
            return error_reply(BATCH_WRITE_ITEM, refusal)
        left = sum(map(len, reply["UnprocessedItems"].values()))
        self._accept(count - left, access_key, now)
        self._counts.rows_refused += left
        self._counts.partial += 1
        return json_reply(BATCH_WRITE_ITEM, 200, reply)

    def _check(self, body: bytes, count: int) -> None:
        """Raise `Refusal` for what a real table would refuse, and for what would make the counts wrong."""
        try:
            writes = self.model.checked(document_of(body), len(body))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _wrong(f"not a BatchWriteItem: {type(error).__name__} {error}") from None
        if len(writes) != count:
            raise _wrong(f"{count} put requests counted, {len(writes)} found")
        if any(write.units > 1 for write in writes):
            raise _wrong("an item of more than one write capacity unit")
        if self._settings.keys:
            self._counts.keys.update(write.key for write in writes)


def _wrong(what: str) -> Refusal:
    return Refusal("ValidationException", what)
