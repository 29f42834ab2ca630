"""The ledger: what producer and workers note of each ingestion, in a table of its own.

Each write is an UpdateItem that sets attributes to values that depend on the object alone, so doing it again changes
nothing. `engine.accounts` has the items and what they add up to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from engine.accounts import (
    ENTRY,
    SpanCounts,
    arrival_id,
    attribute,
    is_complete,
    listing_key,
    plain,
    run_of,
    run_of_part,
    run_of_total,
    scans_part_key,
    span_part_key,
    span_total_name,
)
from engine.aws.ledger_reader import LedgerReader, item_of
from engine.aws.types import Caller
from engine.errors import CONDITION_FAILED, ServiceError
from engine.flow.backoff import Deadline
from engine.identity import ObjectRef, ObjectVersion
from engine.tallies import Counts, Item, Mark, Node, by_node, child_name, marks, read_tally

T = TypeVar("T")

FORGOTTEN_TOGETHER = 32
"""Items of an ingestion that are deleted at a time."""

FORGOTTEN_TOTALS = 300
"""Attributes that are removed at a time. DynamoDB quota: 4 KB for an expression."""

_Condition = tuple[str, Mapping[str, str], Mapping[str, Any]]
"""A condition with its names and values."""

_NOT_ENDED: _Condition = ("attribute_not_exists(#ended)", {"#ended": "ended"}, {})

_NOT_OPENED: _Condition = ("attribute_not_exists(#opened)", {"#opened": "opened"}, {})

_FAILING = "failing"

_OF_A_RUN = ("maxRejects", "spans", _FAILING, "ended", "status", "reason", "read", "written", "rejected", "superseded")
"""What `opened`, `planned`, `span_ended` and `close` note in the entry for one run."""

_OF_AN_ARRIVAL = ("started", "month", "listed", "status", "reason", "ended")
"""What an entry of an object that was not open has, until it is."""


class Ledger(LedgerReader):
    """Writes to the ledger `table`; `update`, `delete` and `query` are the lanes of these operations.

    Items expire `days` after their last change.
    """

    def __init__(self, table: str, days: int, update: Caller, delete: Caller, query: Caller) -> None:
        super().__init__(table, query)
        self._days, self._update_lane, self._delete_lane = days, update, delete

    async def opened(
        self,
        ref: ObjectRef,
        version: ObjectVersion,
        size: int,
        schema: str,
        deadline: Deadline,
        *,
        packing: str = "",
        split: int = 0,
        max_rejects: str = "",
        corrects: str | None = None,
    ) -> int:
        """Note that an object is read from its start; return the number of the run.

        `ref` names it as its event does. `schema` is the hash of the schema's text, `packing` how rows are cut into
        messages. `split`: the size of the ranges in which the object is scanned (0: it is read as one span). What is
        read after the run has ended or failed, or in another way, is a new run. `max_rejects`: the limit of rejects of
        all spans together. `corrects`: the ingestion whose rejected rows it has, corrected.
        """
        facts: dict[str, Any] = {
            "bucket": version.bucket,
            "key": version.key,
            "etag": version.etag,
            "modified": version.modified,
            "size": size,
        }
        if version.version:
            facts["versionId"] = version.version
        if max_rejects:
            facts["maxRejects"] = max_rejects
        if corrects:
            facts["corrects"] = corrects
        # First where an attempt that finds the object gone can see that this one has begun.
        link = {**_facts(ref), "opened": version.ingestion}
        await self._set(arrival_id(ref), ENTRY, link, deadline, remove=_OF_AN_ARRIVAL)
        way = {"schema": schema, "packing": packing, "split": split}
        return await self._begin(version.ingestion, facts, way, deadline)

    async def unfinished(self, ref: ObjectRef, deadline: Deadline) -> tuple[str, int] | None:
        """Return the ingestion and the run that `opened` has noted of an object; None if there is none, or it ended."""
        opened = (await self.account(arrival_id(ref), deadline)).entry.get("opened")
        if opened is None:
            return None
        entry = (await self.account(opened, deadline, tallies=False)).entry
        return (opened, run_of(entry)) if entry and "ended" not in entry else None

    async def arrived(self, ref: ObjectRef, deadline: Deadline) -> None:
        """Note an object that is not open yet; once it is `opened`, its ingestion is listed instead."""
        entry = arrival_id(ref)
        await self._set_if(entry, ENTRY, _facts(ref), deadline, _NOT_OPENED, once=_beginning(entry))

    async def turned_away(self, ref: ObjectRef, status: str, reason: str, deadline: Deadline) -> None:
        """Note an object of which nothing is read, and why."""
        facts = {**_facts(ref), "status": status, "reason": reason, "ended": _now()}
        await self._enter(arrival_id(ref), facts, deadline)

    async def progressed(
        self, ingestion: str, span: int, counts: SpanCounts, deadline: Deadline, *, run: int = 0
    ) -> None:
        """Note how far the producer has come; an attempt that is behind another one changes nothing."""
        condition = ("attribute_not_exists(#read) OR #read < :read", {"#read": "read"}, {":read": counts.read})
        await self._set_if(ingestion, span_part_key(span, run), counts.facts, deadline, condition)

    async def span_ended(
        self, ingestion: str, span: int, counts: SpanCounts, deadline: Deadline, *, run: int = 0
    ) -> bool:
        """Note what a span had in all; return whether that completes the ingestion.

        An attempt that could not read the span to its end changes nothing of what another one noted at the end.
        """
        part, messages, sent = span_part_key(span, run), counts.messages, Counts()
        if not counts.status:
            await self._set(ingestion, part, counts.facts, deadline)
        else:
            first = await self._set_if(ingestion, part, counts.facts, deadline, _NOT_ENDED)
            account = await self.account(ingestion, deadline)
            if account.spans.get(span, {}).get("status"):
                # Before its tallies are marked: an attempt that reads on, or further, marks those of a new run.
                await self._set_if(ingestion, ENTRY, {_FAILING: True}, deadline, _in_run(run))
            if not first:
                # That other attempt may have been killed before it marked the tallies.
                messages = account.spans.get(span, {}).get("messages", 0)
            sent = account.sent(span)
        if not messages:
            return await self._end_span(ingestion, span, run, sent, deadline)
        done = [await self._mark(ingestion, mark, deadline) for mark in marks(span, messages, run)]
        return any(done)

    async def scanned(
        self, ingestion: str, span_bytes: int, facts: Mapping[str, str | bool], deadline: Deadline, *, run: int = 0
    ) -> dict[str, Any]:
        """Note results of scans by name, unless they are known, and return all of ranges of `span_bytes`.

        The first result stays: a scan that is repeated may have had more time.
        """
        return plain(await self._set(ingestion, scans_part_key(span_bytes, run), {}, deadline, once=facts))

    async def planned(self, ingestion: str, span_bytes: int, spans: int, deadline: Deadline, *, run: int = 0) -> bool:
        """Note how many spans an object has that is split in ranges of `span_bytes`.

        Returns whether that holds: the run may be over, or go on without spans.
        """
        expression, names, values = _in_run(run)
        condition = (
            f"{expression} AND #split = :split AND (attribute_not_exists(#spans) OR #spans = :spans)",
            {**names, "#split": "split", "#spans": "spans"},
            {**values, ":split": span_bytes, ":spans": spans},
        )
        return await self._set_if(ingestion, ENTRY, {"spans": spans}, deadline, condition)

    async def not_split(self, ingestion: str, deadline: Deadline, *, run: int = 0) -> bool:
        """Note that an object has no span but the whole; return whether that is so: its spans may be known already."""
        expression, names, values = _in_run(run)
        condition = (f"{expression} AND attribute_not_exists(#spans)", {**names, "#spans": "spans"}, values)
        return await self._set_if(ingestion, ENTRY, {"split": 0}, deadline, condition)

    async def settled(
        self, ingestion: str, span: int, messages: Mapping[int, Counts], deadline: Deadline, *, run: int = 0
    ) -> bool:
        """Note what became of messages; return whether that completes the ingestion."""
        nodes = by_node(span, messages, run)
        done = await _all(*(self._note(ingestion, node, facts, deadline) for node, facts in nodes.items()))
        return any(done)

    async def close(self, ingestion: str, outcome: Mapping[str, Any], deadline: Deadline, *, run: int = 0) -> None:
        """Note how a run of an ingestion ended; nothing changes if another run has begun."""
        await self._set_if(ingestion, ENTRY, {**outcome, "ended": _now()}, deadline, _in_run(run))

    async def _begin(self, ingestion: str, facts: Mapping[str, Any], way: Mapping[str, Any], deadline: Deadline) -> int:
        """Note that an object is read from its start, in some way; return the number of the run."""
        while True:
            entry = plain(await self._enter(ingestion, facts, deadline, once=way))
            run = run_of(entry)
            is_over = "ended" in entry or _FAILING in entry
            if not is_over and all(entry[name] == value for name, value in way.items()):
                return run
            anew = {**facts, **_beginning(ingestion), **way, "run": run + 1}
            remove = [name for name in _OF_A_RUN if name not in anew]
            # One of several attempts begins the run, and the others join it.
            await self._set_if(ingestion, ENTRY, anew, deadline, _in_run(run), remove=remove)
            await self._forget_runs_to(ingestion, run, deadline)

    async def _forget_runs_to(self, ingestion: str, last: int, deadline: Deadline) -> None:
        """Delete what is noted of earlier runs. What is left if this breaks off goes with the next ones, or expires."""
        items = [item async for item in self._items(ingestion, deadline)]
        parts = [item["part"]["S"] for item in items]
        old = [part for part in parts if (run := run_of_part(part)) is not None and run <= last]
        totals = [name for item in items for name in item if (run := run_of_total(name)) is not None and run <= last]
        for start in range(0, len(totals), FORGOTTEN_TOTALS):
            some = totals[start : start + FORGOTTEN_TOTALS]
            await self._set_if(ingestion, ENTRY, {}, deadline, _in_run(last + 1), remove=some)
        for start in range(0, len(old), FORGOTTEN_TOGETHER):
            await _all(*(self._forget(ingestion, part, deadline) for part in old[start : start + FORGOTTEN_TOGETHER]))

    async def _enter(
        self, ingestion: str, facts: Mapping[str, Any], deadline: Deadline, once: Mapping[str, Any] | None = None
    ) -> Item:
        return await self._set(ingestion, ENTRY, facts, deadline, once={**_beginning(ingestion), **(once or {})})

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
                return await self._end_span(ingestion, node.span, node.run, tally.total, deadline)
            facts = {child_name(node.number): tally.total.text}
            node = node.parent

    async def _end_span(self, ingestion: str, span: int, run: int, counts: Counts, deadline: Deadline) -> bool:
        total = {span_total_name(span, run): counts.text}
        entry = plain(await self._set(ingestion, ENTRY, total, deadline))
        return run_of(entry) == run and is_complete(entry) and "ended" not in entry

    async def _set_if(
        self,
        ingestion: str,
        part: str,
        facts: Mapping[str, Any],
        deadline: Deadline,
        condition: _Condition,
        *,
        once: Mapping[str, Any] | None = None,
        remove: Sequence[str] = (),
    ) -> bool:
        """Set and remove attributes of an item if it meets a condition; return whether it does."""
        try:
            await self._set(ingestion, part, facts, deadline, once=once, condition=condition, remove=remove)
        except ServiceError as error:
            if error.code != CONDITION_FAILED:
                raise
            return False
        return True

    async def _set(
        self,
        ingestion: str,
        part: str,
        facts: Mapping[str, Any],
        deadline: Deadline,
        *,
        once: Mapping[str, Any] | None = None,
        condition: _Condition | None = None,
        remove: Sequence[str] = (),
    ) -> Item:
        """Set attributes of an item, those of `once` unless it has them, and remove others; return the item."""
        now = _now()
        changed = {**facts, "changed": now, "expires": now // 1000 + self._days * 86_400}
        names: dict[str, str] = {}
        values: dict[str, Any] = {}
        terms = []
        for number, (name, value) in enumerate({**changed, **(once or {})}.items()):
            names[f"#{number}"], values[f":{number}"] = name, attribute(value)
            kept = once is not None and name in once
            terms.append(f"#{number} = if_not_exists(#{number}, :{number})" if kept else f"#{number} = :{number}")
        removed = {f"#r{number}": name for number, name in enumerate(remove)}
        names |= removed
        request: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"ingestion": {"S": ingestion}, "part": {"S": part}},
            "UpdateExpression": "SET " + ", ".join(terms) + (" REMOVE " + ", ".join(removed) if removed else ""),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
        }
        if condition:
            expression, its_names, its_values = condition
            request["ConditionExpression"] = expression
            names |= its_names
            values |= {name: attribute(value) for name, value in its_values.items()}
        return await self._call(self._update_lane, request, deadline, lambda reply: item_of(reply["Attributes"]))


def _beginning(ingestion: str) -> dict[str, Any]:
    started = _now()
    month, listed = listing_key(started, ingestion)
    return {"started": started, "month": month, "listed": listed}


def _in_run(run: int) -> _Condition:
    """Return the condition that the entry is still that of a run."""
    return (
        ("#run = :run", {"#run": "run"}, {":run": run}) if run else ("attribute_not_exists(#run)", {"#run": "run"}, {})
    )


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
