"""Calls that write to one table, each repeated until its items are written, refused for good, or time is up.

What writers and deleter share: how many calls are under way, and the attempts at each. Writers also check the table's
key. Throttling, in both of its forms, passing faults and broken connections only ever delay. A batch that DynamoDB
refuses, or to which all answers are server errors or unreadable, is split until the item at fault stands alone and
holds back no other.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import orjson

from engine.aws.types import Caller
from engine.errors import ConfigError, DeadlineExceeded, ServiceError, Verdict
from engine.flow.attempts import Attempts
from engine.flow.backoff import Deadline
from engine.flow.gate import MAX_PATIENCE, Gate
from engine.flow.window import Window
from engine.items import Items
from engine.outcome import Outcome, Parts
from engine.schema.model import Schema
from engine.table_key import Key, described_key, key_problem

MAX_IN_FLIGHT = 160
"""Calls in flight at the most. At 14 ms a call, 250,000 items a second keep 140 under way; bodies are bounded by the
event, of which Lambda hands over 6 MB."""

INITIAL_IN_FLIGHT = 1
"""Shows what a call takes alone, and doubles with each round trip: a quick service is busy after half a dozen."""

BUSY_IN_FLIGHT = 32
"""Calls in flight at the most while the processor is busy: enough to keep it so where calls take no longer than writing
and reading them."""

STUCK = 4
"""Attempts at a batch in a row without any progress before others may use its place while it waits."""


class Put(Protocol):
    """One kind of call: how items are put into a request, and what its reply says of them."""

    def body(self, part: Sequence[int]) -> bytes:
        """Return the request for these items. Raises `ServiceError` if the service would refuse it."""

    def units(self, part: Sequence[int]) -> int:
        """Return how many write units these items cost at least."""

    def left(self, reply: bytes, part: Sequence[int]) -> Sequence[int]:
        """Return which of the items a reply leaves for another call. Raises `ServiceError` for no such reply."""


class Rate(Protocol):
    """A stated rate of write units that calls obey: `WriteRate`."""

    @property
    def call_items(self) -> int:
        """Items in one call at the most."""

    async def turn(self, estimate: int, deadline: Deadline) -> float:
        """Wait until a call that costs about so many units may be sent; return how many are reserved for it."""

    def settle(self, estimate: int, reserved: float, units: float) -> None:
        """Note how many units a call has cost; `estimate` is that of the items it has written."""


class TableCalls:
    """Calls to one table. Keeps what it has learned of the table's capacity.

    `write` is the lane of the operation; calls wait for the `rate`, if there is one, and then ask what they have cost.
    """

    def __init__(
        self,
        table: str,
        schema: Schema,
        write: Caller,
        *,
        rate: Rate | None = None,
        is_busy: Callable[[], bool] | None = None,
    ) -> None:
        self._table, self._schema, self._lane, self._rate = table, schema, write, rate
        self._gate = Gate(Window(INITIAL_IN_FLIGHT, MAX_IN_FLIGHT, busy_limit=BUSY_IN_FLIGHT), is_busy)

    async def _put_batches(
        self, batches: Iterable[Sequence[int]], count: int, put: Put, outcome: Outcome, deadline: Deadline
    ) -> None:
        """Put `count` batches, in their order as far as concurrency allows, and note in `outcome` what became of them.

        The first ones are finished first: where the table is slow, few of them are under way, and the later ones are
        untouched when the time is up.
        """
        each = iter(batches)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(MAX_IN_FLIGHT, count)):
                    tasks.create_task(self._write_some(each, put, outcome, deadline))
        except BaseExceptionGroup as group:
            # All tasks tell of the same fault: a caller wants that, not the group.
            raise group.exceptions[0] from None

    async def _write_some(
        self, batches: Iterator[Sequence[int]], put: Put, outcome: Outcome, deadline: Deadline
    ) -> None:
        try:
            for batch in batches:
                async with self._gate:
                    await self._write_batch(batch, put, outcome, deadline)
        except DeadlineExceeded:
            outcome.out_of_time = True

    async def _write_batch(self, batch: Sequence[int], put: Put, outcome: Outcome, deadline: Deadline) -> None:
        parts = Parts(batch, outcome)
        attempts = Attempts(self._lane.pause, deadline)
        part: Sequence[int] = ()
        body = b""
        while parts.todo:
            try:
                if parts.todo[-1] is not part:  # else the same bytes again
                    part = parts.todo[-1]
                    body = put.body(part)
                left = await self._call(body, put, part, deadline)
            except ServiceError as error:
                outcome.throttled.update(error.throttling)
                if error.verdict is Verdict.POISON:
                    parts.refused(f"{error.code}: {error.detail}")
                    continue
                attempts.failed(error)
                parts.failed(broken_answer=error.is_broken_answer)
            else:
                outcome.unprocessed += len(left)
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

    async def _send(self, body: bytes, deadline: Deadline, patience: float) -> bytes:
        """Send one request; return the reply."""
        return await self._lane.call(body, deadline, patience)

    async def _call(self, body: bytes, put: Put, part: Sequence[int], deadline: Deadline) -> Sequence[int]:
        """Send one call; return the indexes that were left unprocessed."""
        gate, rate = self._gate, self._rate
        estimate = put.units(part) if rate else 0
        reserved = await rate.turn(estimate, deadline) if rate else 0.0
        sent = await gate.turn(len(part), deadline)
        try:
            reply = await self._send(body, deadline, gate.patience)
        except ServiceError as error:
            gate.failed(sent, error)
            raise
        finally:
            gate.ended()
        left = put.left(reply, part)
        if rate and (units := _units_of(reply)) is not None:
            rate.settle(estimate - put.units(left), reserved, units)
        gate.answered(sent, len(part) - len(left), len(left))
        return left


class ItemWriter(TableCalls, ABC):
    """Writes items into one table, whose key it checks first; `describe` is the lane of DescribeTable."""

    def __init__(
        self,
        table: str,
        schema: Schema,
        write: Caller,
        describe: Caller,
        *,
        rate: Rate | None = None,
        is_busy: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(table, schema, write, rate=rate, is_busy=is_busy)
        self._describe = describe
        self._checked = False

    async def write(self, items: Items, deadline: Deadline) -> Outcome:
        """Put `items`, as the writer's operation does it.

        Raises `ConfigError` when the table's key is not the schema's, and `ServiceError` with a fatal verdict when the
        table cannot be written to at all; items may then have been written, but none may be counted on.
        """
        outcome = Outcome(bytearray(len(items)))
        try:
            await self._check(deadline)
            await self._put(items, outcome, deadline)
        except DeadlineExceeded:
            outcome.out_of_time = True
        return outcome

    @abstractmethod
    async def _put(self, items: Items, outcome: Outcome, deadline: Deadline) -> None:
        """Put the items with `_put_batches`, and note in `outcome` what became of them."""

    async def _check(self, deadline: Deadline) -> None:
        """Compare the table's key with the schema's, once in a process. Raises `ConfigError` if they differ.

        DynamoDB would take items for a table with another key, as long as they hold its attributes, and would let
        rows replace one another.
        """
        if self._checked:
            return
        body = orjson.dumps({"TableName": self._table})
        attempts = Attempts(self._describe.pause, deadline)
        while True:
            try:
                key = _key_of(await self._describe.call(body, deadline, MAX_PATIENCE))
                break
            except ServiceError as error:
                attempts.failed(error)
            await attempts.wait()
        if problem := key_problem(self._table, key, self._schema):
            raise ConfigError(f"TABLE_NAME: {problem}: use a table with the schema's key, or the schema of this table")
        self._checked = True


def _units_of(reply: bytes) -> float | None:
    """Return how many write units a call has cost, indexes included, as far as its reply says so.

    BatchWriteItem says it for each table, and there is one; PutItem says it at once. An answer without it, as to a
    condition that failed, leaves what was reserved.
    """
    try:
        consumed = orjson.loads(reply)["ConsumedCapacity"]
        return float((consumed[0] if isinstance(consumed, list) else consumed)["CapacityUnits"])
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
        return None


def _key_of(reply: bytes) -> Key:
    """Return the table's key from a reply to DescribeTable."""
    try:
        return described_key(orjson.loads(reply)["Table"])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ServiceError("DescribeTable", "UnreadableReply", 0) from None
