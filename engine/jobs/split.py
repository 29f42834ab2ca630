"""Split a huge object into spans that producers read at once: its ranges are scanned, and the results joined.

Both the scans and the spans are messages of the span queue. Results of scans are noted in the ledger, each under a name
of its own, so that a scan done twice changes nothing. The producer that notes the last one joins them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from engine.aws.objects import OpenObject
from engine.aws.queues import QueueSender
from engine.config import ProducerSettings
from engine.errors import BadFile, DeadlineExceeded, ObjectError
from engine.flow.backoff import Deadline
from engine.identity import ObjectVersion
from engine.jobs.account import Accounting
from engine.messages.message import Outgoing
from engine.reading.block import Position
from engine.reading.reader import ObjectReader
from engine.reading.scan import RangeScan, ScannedRange
from engine.reading.spans import first_position, join
from engine.scans import (
    HEAD_BYTES,
    ScanTask,
    ranges_of,
    result_name,
    result_text,
    results_of,
    scan_body,
)
from engine.schema.model import ORIGINS
from engine.spans import rests_of, span_body

_STARTS, _PLANNED = "starts", "planned"
"""Noted beside the results of scans: the first bytes of the spans before, and that all are asked for after that."""


@dataclass(frozen=True, slots=True)
class Splitter:
    """What splits objects: the settings, the ledger, and the span queue."""

    settings: ProducerSettings
    accounting: Accounting
    spans: QueueSender

    async def look_at(self, opened: OpenObject, deadline: Deadline) -> tuple[bytes, Position | None]:
        """Return the first bytes of an object, and a position after its header if it can be split.

        What is wrong with it, or with reading it, is found again when all of it is read.
        """
        try:
            head = await read_head(opened, deadline)
        except (ObjectError, DeadlineExceeded):
            opened.seek(0)
            return b"", None
        try:
            return head, self.first_row(head)
        except BadFile:
            return head, None

    def first_row(self, head: bytes) -> Position | None:
        """Return a position after the header, found from an object's first `HEAD_BYTES`; None if it cannot be split.

        Raises `BadFile` if the object is refused.
        """
        reader = ObjectReader(self.settings.schema.format, self.settings.schema.wanted)
        first = first_position(reader, head[:HEAD_BYTES])
        if first is not None:
            self.settings.schema.plan(reader.header or (), ORIGINS[reader.type])
        return first

    async def begin(self, opened: OpenObject, first: Position, span_bytes: int, run: int, deadline: Deadline) -> None:
        """Ask for the scans of the ranges of an object that `run` reads; where all are known, ask for the spans."""
        version, places = opened.version, ranges_of(first, opened.size, span_bytes)
        noted = await self.accounting.ledger.scanned(version.ingestion, span_bytes, {}, deadline, run=run)
        results = results_of(noted, places)
        tasks = [ScanTask(place, span_bytes, version.modified, run=run) for place in range(len(places))]
        if results is not None:  # the event comes again
            await self._join(version, first, results, tasks[0], noted.keys(), deadline)
            return
        await self._send((scan_body(version.ref, task) for task in tasks if result_name(task) not in noted), deadline)

    async def scan(self, opened: OpenObject, head: bytes, task: ScanTask, read: Deadline, last: Deadline) -> None:
        """Scan one range, and note the result. If it is the last one, ask for the spans.

        Where the scan is not done by the deadline `read`, no span begins in the range.
        """
        first = self.first_row(head)
        places = [] if first is None else ranges_of(first, opened.size, task.span_bytes)
        if first is None or task.place >= len(places):
            raise BadFile("the schema has changed while the file was being split; upload it again")
        try:
            scanned = await self._scan_range(opened, first, places[task.place], task, read)
        except DeadlineExceeded:
            scanned = ScannedRange(*places[task.place], ())
        facts = {result_name(task): result_text(scanned)}
        ledger, ingestion = self.accounting.ledger, opened.version.ingestion
        noted = await ledger.scanned(ingestion, task.span_bytes, facts, last, run=task.run)
        results = results_of(noted, places)
        if results is not None and _PLANNED not in noted:
            await self._join(opened.version, first, results, task, noted.keys(), last)

    async def _scan_range(
        self, opened: OpenObject, first: Position, place: tuple[int, int], task: ScanTask, deadline: Deadline
    ) -> ScannedRange:
        begin, end = place
        reached = None if task.place else first
        if task.reached is not None:
            reached = task.reached._replace(header=first.header, dialect=first.dialect)
        scan = RangeScan(first, begin, end, self.settings.schema.format, reached=reached)
        opened.seek(begin if reached is None else reached.offset)
        async with aclosing(opened.chunks(deadline)) as chunks:
            async for chunk in chunks:
                scan.feed(chunk)
                if scan.done:
                    break
        scan.finish()
        return scan.result

    async def _join(
        self,
        version: ObjectVersion,
        first: Position,
        results: list[ScannedRange],
        task: ScanTask,
        noted: Container[str],
        deadline: Deadline,
    ) -> None:
        """Ask for the spans that results of scans tell of; `task` is any of the scans."""
        ledger, span_bytes, run = self.accounting.ledger, task.span_bytes, task.run
        plan = join(first, results)
        if plan.missing is not None:
            more = task._replace(place=plan.missing.place, reached=plan.missing.reached)
            if result_name(more) not in noted:
                await self._send([scan_body(version.ref, more)], deadline)
                return
            # That scan was not done in time: the last span goes on to the end of the object.
        rests = rests_of(plan.spans, version.modified, run)
        starts = " ".join(str(start.offset) for start in plan.spans)
        await ledger.scanned(version.ingestion, span_bytes, {_STARTS: starts}, deadline, run=run)
        if not await ledger.planned(version.ingestion, span_bytes, len(rests), deadline, run=run):
            return  # the object is read again, or failed meanwhile
        await self._send((span_body(version.ref, rest) for rest in rests), deadline)
        await ledger.scanned(version.ingestion, span_bytes, {_PLANNED: True}, deadline, run=run)

    async def _send(self, bodies: Iterable[bytes], deadline: Deadline) -> None:
        async with self.spans.sending(deadline) as sending:
            await sending.put(Outgoing(body, 0, {}) for body in bodies)


async def read_head(opened: OpenObject, deadline: Deadline) -> bytes:
    """Read the first `HEAD_BYTES` of an object, and some more."""
    head = b""
    async with aclosing(opened.chunks(deadline)) as chunks:
        async for chunk in chunks:
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
    return head


async def not_asked_for(accounting: Accounting, ingestion: str, task: ScanTask, deadline: Deadline) -> list[int]:
    """Return the first bytes of an object's spans if some of them were perhaps never asked for."""
    noted = await accounting.ledger.scanned(ingestion, task.span_bytes, {}, deadline, run=task.run)
    return [] if _PLANNED in noted else [int(start) for start in noted.get(_STARTS, "").split()]
