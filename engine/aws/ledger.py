"""The ledger: what producer and workers note of each ingestion, in a table of its own.

Each write is an UpdateItem that sets attributes to values that depend on the object alone, so doing it again changes
nothing. `engine.accounts` has the items and what they add up to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import orjson

from engine.accounts import (
    ENTRY,
    TIME_INDEX,
    Account,
    Counts,
    Item,
    Mark,
    Node,
    SpanCounts,
    arrival_id,
    attribute,
    by_node,
    child_name,
    is_complete,
    listed_ingestion,
    listing_key,
    marks,
    plain,
    read_tally,
    scans_part_key,
    span_part_key,
    span_total_name,
)
from engine.aws.types import Caller
from engine.errors import ServiceError
from engine.flow.attempts import Attempts
from engine.flow.backoff import Deadline
from engine.identity import ObjectRef, ObjectVersion
from engine.reading.attribute_values import is_item

T = TypeVar("T")

MAX_ATTEMPTS = 6
"""In a row for one write: then the rows are held back, which is better than waiting until the time is up."""

FORGOTTEN_TOGETHER = 32
"""Items of an ingestion that are deleted at a time."""

_KEY = {"ingestion": "S", "part": "S"}

_CONDITION_FAILED = "ConditionalCheckFailedException"


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


class Ledger(LedgerReader):
    """Writes to the ledger `table`; `update`, `delete` and `query` are the lanes of these operations.

    Items expire `days` after their last change.
    """

    def __init__(self, table: str, days: int, update: Caller, delete: Caller, query: Caller) -> None:
        super().__init__(table, query)
        self._days, self._update_lane, self._delete_lane = days, update, delete

    async def opened(
        self,
        version: ObjectVersion,
        size: int,
        schema: str,
        spans: int | None,
        deadline: Deadline,
        *,
        from_start: bool = True,
    ) -> None:
        """Note that an object is being read, in so many spans (None: not known yet); `schema` is its text's hash.

        An ingestion that had ended begins anew if it is read from its start: the schema or settings may be others now.
        """
        facts: dict[str, Any] = {
            "bucket": version.bucket,
            "key": version.key,
            "etag": version.etag,
            "modified": version.modified,
            "size": size,
            "schema": schema,
        }
        if spans is not None:
            facts["spans"] = spans
        if version.version:
            facts["versionId"] = version.version
        begin = self._begin if from_start else self._enter
        await _all(begin(version.ingestion, facts, deadline), self._forget(arrival_id(version.ref), ENTRY, deadline))

    async def arrived(self, ref: ObjectRef, deadline: Deadline) -> None:
        """Note an object that is not open yet; `opened` removes that entry again."""
        await self._enter(arrival_id(ref), _facts(ref), deadline)

    async def turned_away(self, ref: ObjectRef, status: str, reason: str, deadline: Deadline) -> None:
        """Note an object of which nothing is read, and why."""
        facts = {**_facts(ref), "status": status, "reason": reason, "spans": 0, "ended": _now()}
        await self._enter(arrival_id(ref), facts, deadline)

    async def progressed(self, ingestion: str, span: int, counts: SpanCounts, deadline: Deadline) -> None:
        """Note how far the producer has come; a run that is behind another one changes nothing."""
        try:
            await self._set(
                ingestion,
                span_part_key(span),
                counts.facts,
                deadline,
                condition=("attribute_not_exists(#read) OR #read < :read", {"#read": "read"}, {":read": counts.read}),
            )
        except ServiceError as error:
            if error.code != _CONDITION_FAILED:
                raise

    async def span_ended(self, ingestion: str, span: int, counts: SpanCounts, deadline: Deadline) -> bool:
        """Note what a span had in all; return whether that completes the ingestion."""
        await self._set(ingestion, span_part_key(span), counts.facts, deadline)
        if not counts.messages:
            return await self._end_span(ingestion, span, Counts(), deadline)
        done = [await self._mark(ingestion, mark, deadline) for mark in marks(span, counts.messages)]
        return any(done)

    async def scanned(
        self, ingestion: str, span_bytes: int, facts: Mapping[str, str | bool], deadline: Deadline
    ) -> dict[str, Any]:
        """Note results of scans by name, unless they are known, and return all of ranges of `span_bytes`.

        The first result stays: a scan that is repeated may have had more time.
        """
        return plain(await self._set(ingestion, scans_part_key(span_bytes), {}, deadline, once=facts))

    async def scans_begin(self, ingestion: str, span_bytes: int, deadline: Deadline) -> None:
        """Forget results of scans: all ranges of `span_bytes` are scanned, or scanned again."""
        await self._forget(ingestion, scans_part_key(span_bytes), deadline)

    async def not_split(self, ingestion: str, deadline: Deadline) -> None:
        """Note that an object of which no spans are known will have none but one."""
        await self._set(ingestion, ENTRY, {}, deadline, once={"spans": 1})

    async def settled(self, ingestion: str, span: int, messages: Mapping[int, Counts], deadline: Deadline) -> bool:
        """Note what became of messages; return whether that completes the ingestion."""
        nodes = by_node(span, messages)
        done = await _all(*(self._note(ingestion, node, facts, deadline) for node, facts in nodes.items()))
        return any(done)

    async def close(self, ingestion: str, outcome: Mapping[str, Any], deadline: Deadline) -> None:
        """Note how an ingestion ended."""
        await self._set(ingestion, ENTRY, {**outcome, "ended": _now()}, deadline)

    async def _begin(self, ingestion: str, facts: Mapping[str, Any], deadline: Deadline) -> None:
        if "ended" not in await self._enter(ingestion, facts, deadline):
            return
        # The entry last: if this breaks off, the next attempt finds it, and removes the rest.
        parts = [part async for item in self._items(ingestion, deadline) if (part := item["part"]["S"]) != ENTRY]
        for start in range(0, len(parts), FORGOTTEN_TOGETHER):
            some = parts[start : start + FORGOTTEN_TOGETHER]
            await _all(*(self._forget(ingestion, part, deadline) for part in some))
        await self._forget(ingestion, ENTRY, deadline)
        await self._enter(ingestion, facts, deadline)

    async def _enter(self, ingestion: str, facts: Mapping[str, Any], deadline: Deadline) -> Item:
        started = _now()
        month, listed = listing_key(started, ingestion)
        once = {"started": started, "month": month, "listed": listed}
        return await self._set(ingestion, ENTRY, facts, deadline, once=once)

    async def _forget(self, ingestion: str, part: str, deadline: Deadline) -> None:
        key = {"ingestion": {"S": ingestion}, "part": {"S": part}}
        await self._call(self._delete_lane, {"TableName": self._table, "Key": key}, deadline, dict)

    async def _mark(self, ingestion: str, mark: Mark, deadline: Deadline) -> bool:
        facts: dict[str, Any] = {"expected": mark.expected}
        if mark.is_root:
            facts["root"] = True
        return await self._note(ingestion, mark.node, facts, deadline)

    async def _note(self, ingestion: str, node: Node, facts: Mapping[str, Any], deadline: Deadline) -> bool:
        """Set attributes of a tally; what is full is noted above. Return whether the ingestion is complete."""
        while True:
            tally = read_tally(await self._set(ingestion, node.part, facts, deadline))
            if not tally.is_full:
                return False
            if tally.is_root:
                return await self._end_span(ingestion, node.span, tally.total, deadline)
            facts = {child_name(node.number): tally.total.text}
            node = node.parent

    async def _end_span(self, ingestion: str, span: int, counts: Counts, deadline: Deadline) -> bool:
        entry = await self._set(ingestion, ENTRY, {span_total_name(span): counts.text}, deadline)
        return is_complete(entry) and "ended" not in entry

    async def _set(
        self,
        ingestion: str,
        part: str,
        facts: Mapping[str, Any],
        deadline: Deadline,
        *,
        once: Mapping[str, Any] | None = None,
        condition: tuple[str, Mapping[str, str], Mapping[str, Any]] | None = None,
    ) -> Item:
        """Set attributes of an item, those of `once` unless it has them; return the item."""
        now = _now()
        changed = {**facts, "changed": now, "expires": now // 1000 + self._days * 86_400}
        names: dict[str, str] = {}
        values: dict[str, Any] = {}
        terms = []
        for number, (name, value) in enumerate({**changed, **(once or {})}.items()):
            names[f"#{number}"], values[f":{number}"] = name, attribute(value)
            kept = once is not None and name in once
            terms.append(f"#{number} = if_not_exists(#{number}, :{number})" if kept else f"#{number} = :{number}")
        request: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"ingestion": {"S": ingestion}, "part": {"S": part}},
            "UpdateExpression": "SET " + ", ".join(terms),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
        }
        if condition:
            expression, its_names, its_values = condition
            request["ConditionExpression"] = expression
            names |= its_names
            values |= {name: attribute(value) for name, value in its_values.items()}
        return await self._call(self._update_lane, request, deadline, lambda reply: _item_of(reply["Attributes"]))


def _page_of(reply: Any) -> tuple[list[Item], Item | None]:
    """Return the items of a reply to Query, and where the next page begins."""
    last = reply.get("LastEvaluatedKey")
    return list(map(_item_of, reply["Items"])), None if last is None else _item_of(last)


def _places_of(reply: Any) -> tuple[list[str], bool]:
    items, last = _page_of(reply)
    return [item["listed"]["S"] for item in items], last is None


def _item_of(value: Any) -> Item:
    if not is_item(value, _KEY):
        raise ValueError("not an item of the ledger")
    item: Item = value
    return item


async def _all(*calls: Awaitable[T]) -> list[T]:
    """Return what the calls return, when all have ended; raise the fault of one of them as it is, not in a group."""
    found: list[T] = []
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found


def _facts(ref: ObjectRef) -> dict[str, Any]:
    facts = {"bucket": ref.bucket, "key": ref.key}
    if ref.version:
        facts["versionId"] = ref.version
    if ref.etag:
        facts["etag"] = ref.etag
    return facts


def _now() -> int:
    return int(time.time() * 1000)
