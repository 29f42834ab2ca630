"""Items -> the table, where an item is only replaced by a higher version: one conditional PutItem for each key.

For schemas with `conflict = "newest"`. Whatever the order in which messages are delivered, and however often, each key
ends with its highest version. BatchWriteItem takes no conditions. A condition that fails is charged like a write.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.aws.conditional_calls import ConditionalCalls, left_of
from engine.aws.table_calls import ItemWriter
from engine.aws.types import PUT_ITEM
from engine.flow.backoff import Deadline
from engine.items import Items, put_body
from engine.outcome import Outcome


class NewestWriter(ConditionalCalls, ItemWriter):
    """Writes items into one table, each in a call of its own, unless a newer one of its key is there.

    It puts the highest version of each key among the items; the others are superseded with it. Only where DynamoDB
    refuses the highest, which is then a reject, the next one is put.
    """

    operation = PUT_ITEM.name

    async def _put(self, items: Items, outcome: Outcome, deadline: Deadline) -> None:
        put = _ConditionalPut(self._table, items, outcome, reports_units=self._rate is not None)
        todo = items.by_key()
        while todo:
            newest = sorted(versions[-1] for versions in todo)
            await self._put_batches(((index,) for index in newest), len(newest), put, outcome, deadline)
            todo = _settle(todo, items, outcome)


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

    def units(self, part: Sequence[int]) -> int:
        return self._items.units(part)

    def left(self, reply: bytes, part: Sequence[int]) -> Sequence[int]:
        return left_of(PUT_ITEM, reply, part, self._outcome)
