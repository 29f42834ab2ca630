"""Items -> the table, where an item is only replaced by a higher version: one conditional PutItem for each key.

For schemas with `conflict = "newest"`. Whatever the order in which messages are delivered, and however often, each key
ends with its highest version. BatchWriteItem takes no conditions. A condition that fails is charged like a write.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.aws.table_calls import Rate, TableCalls
from engine.aws.types import PUT_ITEM, Caller
from engine.errors import DeadlineExceeded, ServiceError
from engine.flow.backoff import Deadline
from engine.items import Items, put_body
from engine.outcome import Outcome
from engine.schema.model import Schema

_CONDITION_FAILED = "ConditionalCheckFailedException"
_NEWER_THERE = b""
"""Stands for the reply to a call whose condition failed; a real one is JSON."""


class NewestWriter:
    """Writes items into one table, each in a call of its own, unless a newer one of its key is there.

    `write` is the lane of PutItem, `describe` that of DescribeTable, `rate` what its calls wait for.
    """

    operation = PUT_ITEM.name

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
        self._table, self._schema, self._reports_units = table, schema, rate is not None
        self._calls = TableCalls(table, schema, _Conditional(write), describe, rate, is_busy)

    async def write(self, items: Items, deadline: Deadline) -> Outcome:
        """Put the highest version of each key among `items`; see `TableWriter.write`.

        The others of a key are superseded with it. Only where DynamoDB refuses the highest, which is then a reject,
        the next one is put.
        """
        outcome = Outcome(bytearray(len(items)))
        put = _ConditionalPut(self._table, items, outcome, reports_units=self._reports_units)
        try:
            await self._calls.check(deadline)
            todo = items.by_key()
            while todo:
                newest = sorted(versions[-1] for versions in todo)
                await self._calls.write(((index,) for index in newest), len(newest), put, outcome, deadline)
                todo = _settle(todo, items, outcome)
        except DeadlineExceeded:
            outcome.out_of_time = True
        return outcome


def _settle(todo: list[list[int]], items: Items, outcome: Outcome) -> list[list[int]]:
    """Settle the older versions of each newest one that is settled; return those of which it was refused."""
    again = []
    for versions in todo:
        newest, older = versions[-1], versions[:-1]
        if not older:
            continue
        if newest in outcome.refused:
            again.append(older)
        elif outcome.written[newest]:
            outcome.note_written(older, ())
            # One message may come twice in an invocation: then the same row is written, not superseded by itself.
            is_superseded = newest in outcome.superseded
            version = items.version(newest)
            outcome.superseded.update(i for i in older if is_superseded or items.version(i) != version)
    return again


class _ConditionalPut:
    """PutItem of one item, which is done as well when a newer one is there."""

    def __init__(self, table: str, items: Items, outcome: Outcome, *, reports_units: bool) -> None:
        self._table, self._items, self._outcome, self._reports_units = table, items, outcome, reports_units

    def body(self, part: Sequence[int]) -> bytes:
        return put_body(self._table, self._items, part[0], reports_units=self._reports_units)

    def left(self, reply: bytes, part: Sequence[int]) -> Sequence[int]:
        if reply == _NEWER_THERE:
            self._outcome.superseded.add(part[0])
        return ()


class _Conditional:
    """A lane to which a failed condition is an answer, not a fault."""

    def __init__(self, lane: Caller) -> None:
        self._lane = lane
        self.pause = lane.pause

    async def call(self, body: bytes, deadline: Deadline, seconds: float | None = None) -> bytes:
        try:
            return await self._lane.call(body, deadline, seconds)
        except ServiceError as error:
            if error.code != _CONDITION_FAILED:
                raise
            return _NEWER_THERE
