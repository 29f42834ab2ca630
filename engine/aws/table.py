"""The table: BatchWriteItem until each item is written, refused for good, or time is up; Query and Scan.

Writing ends in one of three states for each item, and the caller learns which. Throttling, in both of its forms,
passing faults and broken connections only ever delay. A batch that DynamoDB refuses is split until the item at fault
stands alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from engine.aws.types import Caller
from engine.errors import DeadlineExceeded, ServiceError, Verdict
from engine.flow.attempts import Attempts, now
from engine.flow.backoff import Deadline
from engine.flow.gate import Gate
from engine.flow.window import Window
from engine.items import MAX_BATCH_BYTES, MAX_BATCH_ITEMS, Items, batch_body, batches, canonical_key
from engine.queries import Attributes
from engine.schema.model import Schema

MAX_IN_FLIGHT = 160
"""Calls in flight at the most. At 14 ms a call, 250,000 items a second keep 140 under way; bodies are bounded by the
event, of which Lambda hands over 6 MB."""

INITIAL_IN_FLIGHT = 16

MAX_READ_ATTEMPTS = 5
"""Somebody waits for the answer: better a fault soon than an answer that nobody waits for any more."""

_ALL_PROCESSED = b'{"UnprocessedItems":{}}'


@dataclass(slots=True)
class Outcome:
    """What became of each item: `written[i]`, or a reason in `refused`, or neither: there was no time."""

    written: bytearray
    refused: dict[int, str] = field(default_factory=dict)
    out_of_time: bool = False

    def note_written(self, part: Sequence[int], left: Sequence[int]) -> None:
        """Note that the items of `part` are written, apart from those in `left`."""
        if isinstance(part, range):
            self.written[part.start : part.stop] = b"\1" * len(part)
        else:
            for index in part:
                self.written[index] = 1
        for index in left:
            self.written[index] = 0

    def settled(self, own: range) -> bool:
        """Tell whether nothing is left to do for these items."""
        unwritten = self.written.count(0, own.start, own.stop)
        return not unwritten or unwritten == sum(index in own for index in self.refused)


class TableWriter:
    """Writes items into one table through one lane. Keeps what it has learned of the table's capacity."""

    def __init__(self, table: str, schema: Schema, lane: Caller) -> None:
        self._table, self._schema, self._lane = table, schema, lane
        self._gate = Gate(Window(INITIAL_IN_FLIGHT, MAX_IN_FLIGHT))

    async def write(self, items: Items, deadline: Deadline) -> Outcome:
        """Put `items`, in their order as far as concurrency allows.

        Raises `ServiceError` with a fatal verdict when the table cannot be written to at all; items may then have been
        written, but none may be counted on.
        """
        outcome = Outcome(bytearray(len(items)))
        for wave in items.waves():
            cut = batches(wave)
            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(min(MAX_IN_FLIGHT, -(-len(wave) // MAX_BATCH_ITEMS))):
                        tasks.create_task(self._work(items, cut, outcome, deadline))
            except BaseExceptionGroup as group:
                # All tasks tell of the same fault: a caller wants that, not the group.
                raise group.exceptions[0] from None
            if outcome.out_of_time:
                break
        return outcome

    async def _work(self, items: Items, cut: Iterator[Sequence[int]], outcome: Outcome, deadline: Deadline) -> None:
        try:
            for batch in cut:
                await self._settle(items, batch, outcome, deadline)
        except DeadlineExceeded:
            outcome.out_of_time = True

    async def _settle(self, items: Items, batch: Sequence[int], outcome: Outcome, deadline: Deadline) -> None:
        parts = [(batch, self._body(items, batch))]
        attempts = Attempts(self._lane.pause, deadline)
        while parts:
            part, body = parts.pop()
            left: Sequence[int] = part
            try:
                left = await self._put(items, part, body, deadline)
            except ServiceError as error:
                if error.verdict is Verdict.POISON:
                    if len(part) == 1:
                        outcome.refused[part[0]] = f"{error.code}: {error.detail}"
                    else:
                        middle = len(part) // 2
                        parts += [(half, self._body(items, half)) for half in (part[middle:], part[:middle])]
                    continue
                attempts.failed(error)
            else:
                if left is part:
                    attempts.refused()
                else:
                    attempts.progressed()
                    outcome.note_written(part, left)
            if left is part:
                parts.append((part, body))  # the same bytes again
            elif left:
                parts.append((left, self._body(items, left)))
            else:
                continue
            await attempts.wait()

    def _body(self, items: Items, part: Sequence[int]) -> bytes:
        return batch_body(self._table, items.text(part))

    async def _put(self, items: Items, part: Sequence[int], body: bytes, deadline: Deadline) -> Sequence[int]:
        """Send one call; return the indexes that were left unprocessed, `part` itself if it is all of them."""
        if len(body) > MAX_BATCH_BYTES:
            raise ServiceError("BatchWriteItem", "RequestEntityTooLarge", 413)  # as the service would say
        gate = self._gate
        async with gate as epoch:
            sent = await gate.turn(len(part), deadline)
            try:
                reply = await self._lane.call(body, deadline)
            except ServiceError as error:
                if error.verdict is Verdict.THROTTLE:
                    gate.throttled(epoch, sent)
                raise
            left = () if reply == _ALL_PROCESSED else self._unprocessed(reply, items, part)
            if len(left) < len(part):
                gate.pace.accepted(now(), sent, len(part) - len(left))
            if left:
                gate.throttled(epoch, sent)
            else:
                gate.succeeded()
        return part if len(left) == len(part) else left

    def _unprocessed(self, reply: bytes, items: Items, part: Sequence[int]) -> list[int]:
        """Find the unprocessed items of a reply among those sent, by their keys."""
        types = [(name, self._schema.types[name]) for name in self._schema.keys]
        by_key = {
            canonical_key(zip((type_ for _, type_ in types), items.key(index), strict=True)): index for index in part
        }
        try:
            # Whatever the service calls the table, an ARN has several names: one call writes to one table.
            tables = orjson.loads(reply)["UnprocessedItems"].values()
            requests = [request for table in tables for request in table]
            keys = [
                canonical_key((type_, request["PutRequest"]["Item"][name][type_]) for name, type_ in types)
                for request in requests
            ]
            return sorted(by_key[key] for key in keys)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            # Whatever this is, it does not say that the items are written: all of them again.
            raise ServiceError("BatchWriteItem", "UnreadableReply", 0) from None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a Query or Scan; `last_key` is None at the end."""

    items: list[Attributes]
    last_key: Attributes | None


class TableReader:
    """Reads one table through one lane for each operation."""

    def __init__(self, table: str, schema: Schema, query: Caller, scan: Caller) -> None:
        self._table, self._schema, self._query, self._scan = table, schema, query, scan

    async def query(
        self, partition: str, deadline: Deadline, *, newest_first: bool, limit: int, start_key: Attributes | None = None
    ) -> Page:
        """Return up to `limit` items of one partition key, in the order of the sort key.

        Raises `ServiceError` and `DeadlineExceeded`.
        """
        key = self._schema.partition_key
        request = {
            "KeyConditionExpression": "#key = :key",
            "ExpressionAttributeNames": {"#key": key},
            "ExpressionAttributeValues": {":key": {self._schema.types[key]: partition}},
            "ScanIndexForward": not newest_first,
        }
        return await self._page(self._query, request, limit, start_key, deadline)

    async def scan(self, deadline: Deadline, *, limit: int, start_key: Attributes | None = None) -> Page:
        """Return up to `limit` items of the table; items of one partition key come together. Raises as `query` does."""
        return await self._page(self._scan, {}, limit, start_key, deadline)

    async def _page(
        self, lane: Caller, request: dict[str, Any], limit: int, start_key: Attributes | None, deadline: Deadline
    ) -> Page:
        start = {"ExclusiveStartKey": start_key} if start_key else {}
        body = orjson.dumps({"TableName": self._table, "Limit": limit, **request, **start})
        attempts = Attempts(lane.pause, deadline, MAX_READ_ATTEMPTS)
        while True:
            try:
                return _page_of(await lane.call(body, deadline))
            except ServiceError as error:
                attempts.failed(error)
            await attempts.wait()


def _page_of(reply: bytes) -> Page:
    try:
        found = orjson.loads(reply)
        return Page(list(found["Items"]), found.get("LastEvaluatedKey"))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ServiceError("Query or Scan", "UnreadableReply", 0) from None
