"""Items -> the table: BatchWriteItem until each one is written, refused for good, or time is up.

The caller learns what became of each item. Throttling, in both of its forms, passing faults and broken connections
only ever delay. A batch that DynamoDB refuses, or to which all answers are server errors or unreadable, is split until
the item at fault stands alone and holds back no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import orjson

from engine.aws.types import Caller
from engine.errors import ConfigError, DeadlineExceeded, ServiceError, Verdict
from engine.flow.attempts import Attempts
from engine.flow.backoff import Deadline
from engine.flow.gate import MAX_PATIENCE, Gate
from engine.flow.window import Window
from engine.items import MAX_BATCH_BYTES, MAX_BATCH_ITEMS, Items, batch_body, batches, canonical_key
from engine.outcome import Outcome, Parts
from engine.schema.model import Schema

MAX_IN_FLIGHT = 160
"""Calls in flight at the most. At 14 ms a call, 250,000 items a second keep 140 under way; bodies are bounded by the
event, of which Lambda hands over 6 MB."""

INITIAL_IN_FLIGHT = 1
"""Shows what a call takes alone, and doubles with each round trip: a quick service is busy after half a dozen."""

STUCK = 4
"""Attempts at a batch in a row without any progress before others may use its place while it waits."""

_ALL_PROCESSED = b'{"UnprocessedItems":{}}'


class TableWriter:
    """Writes items into one table. Keeps what it has learned of the table's capacity.

    `write` is the lane of BatchWriteItem, `describe` that of DescribeTable.
    """

    def __init__(
        self,
        table: str,
        schema: Schema,
        write: Caller,
        describe: Caller,
        *,
        is_busy: Callable[[], bool] | None = None,
    ) -> None:
        self._table, self._schema, self._lane, self._describe = table, schema, write, describe
        self._gate = Gate(Window(INITIAL_IN_FLIGHT, MAX_IN_FLIGHT), is_busy)
        self._checked = False

    async def write(self, items: Items, deadline: Deadline) -> Outcome:
        """Put `items`, in their order as far as concurrency allows.

        The first batches are finished first: where the table is slow, few of them are under way, and the later ones
        are untouched when the time is up. Raises `ConfigError` when the table's key is not the schema's, and
        `ServiceError` with a fatal verdict when the table cannot be written to at all; items may then have been
        written, but none may be counted on.
        """
        outcome = Outcome(bytearray(len(items)))
        try:
            await self._check(deadline)
            for wave in items.waves():
                await self._write_wave(items, wave, outcome, deadline)
                if outcome.out_of_time:
                    break
        except DeadlineExceeded:
            outcome.out_of_time = True
        return outcome

    async def _check(self, deadline: Deadline) -> None:
        """Compare the table's key with the schema's, once in a process.

        DynamoDB would take items for a table with another key, as long as they hold its attributes, and would let
        rows replace one another.
        """
        if self._checked:
            return
        body = orjson.dumps({"TableName": self._table})
        attempts = Attempts(self._describe.pause, deadline)
        while True:
            try:
                keys = _keys_of(await self._describe.call(body, deadline, MAX_PATIENCE))
                break
            except ServiceError as error:
                attempts.failed(error)
            await attempts.wait()
        wanted = [(name, self._schema.types[name]) for name in self._schema.keys]
        if keys != wanted:
            have, need = (", ".join(f"{name} ({type_})" for name, type_ in each) for each in (keys, wanted))
            raise ConfigError(
                f"TABLE_NAME: the key of the table {self._table} is {have}, that of the schema {need}: "
                "use a table with the schema's key, or the schema of this table"
            )
        self._checked = True

    async def _write_wave(self, items: Items, wave: Sequence[int], outcome: Outcome, deadline: Deadline) -> None:
        cut = batches(wave)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(MAX_IN_FLIGHT, -(-len(wave) // MAX_BATCH_ITEMS))):
                    tasks.create_task(self._write_batches(items, cut, outcome, deadline))
        except BaseExceptionGroup as group:
            # All tasks tell of the same fault: a caller wants that, not the group.
            raise group.exceptions[0] from None

    async def _write_batches(
        self, items: Items, cut: Iterator[Sequence[int]], outcome: Outcome, deadline: Deadline
    ) -> None:
        try:
            for batch in cut:
                async with self._gate:
                    await self._write_batch(items, batch, outcome, deadline)
        except DeadlineExceeded:
            outcome.out_of_time = True

    async def _write_batch(self, items: Items, batch: Sequence[int], outcome: Outcome, deadline: Deadline) -> None:
        parts = Parts(batch, outcome)
        attempts = Attempts(self._lane.pause, deadline)
        part: Sequence[int] = ()
        body = b""
        while parts.todo:
            if parts.todo[-1] is not part:  # else the same bytes again
                part = parts.todo[-1]
                body = batch_body(self._table, items.text(part))
            try:
                left = await self._put(items, part, body, deadline)
            except ServiceError as error:
                if error.verdict is Verdict.POISON:
                    parts.refused(f"{error.code}: {error.detail}")
                    continue
                attempts.failed(error)
                parts.failed(broken_answer=error.is_broken_answer)
            else:
                if len(left) == len(part):
                    attempts.refused()
                    parts.failed(broken_answer=False)
                else:
                    attempts.progressed()
                    parts.written(left)
                    if not left:
                        continue
            if attempts.failures < STUCK:
                await attempts.wait()
            else:
                async with self._gate.outside():
                    await attempts.wait()

    async def _put(self, items: Items, part: Sequence[int], body: bytes, deadline: Deadline) -> Sequence[int]:
        """Send one call; return the indexes that were left unprocessed."""
        if len(body) > MAX_BATCH_BYTES:
            raise ServiceError("BatchWriteItem", "RequestEntityTooLarge", 413)  # as the service would say
        gate = self._gate
        sent = await gate.turn(len(part), deadline)
        try:
            reply = await self._lane.call(body, deadline, gate.patience)
        except ServiceError as error:
            gate.failed(sent, error)
            raise
        finally:
            gate.ended()
        left = () if reply == _ALL_PROCESSED else self._unprocessed(reply, items, part)
        gate.answered(sent, len(part) - len(left), len(left))
        return left

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


def _keys_of(reply: bytes) -> list[tuple[str, str]]:
    """Return name and type of each key attribute, the partition key first, from a reply to DescribeTable."""
    try:
        table = orjson.loads(reply)["Table"]
        types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
        names = {each["KeyType"]: each["AttributeName"] for each in table["KeySchema"]}
        return [(names[kind], types[names[kind]]) for kind in ("HASH", "RANGE") if kind in names]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ServiceError("DescribeTable", "UnreadableReply", 0) from None
