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
from engine.errors import BadFile, DeadlineExceeded
from engine.flow.backoff import Deadline
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
    span_bytes_for,
)
from engine.schema.model import ORIGINS, Schema
from engine.spans import rests_of, span_body

_PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Splitter:
    """What splits objects: the schema and its hash, the ledger, and the span queue."""

    schema: Schema
    schema_hash: str
    accounting: Accounting
    spans: QueueSender

    def first_row(self, head: bytes) -> Position | None:
        """Return a position after the header, found from an object's first `HEAD_BYTES`; None if it cannot be split.

        Raises `BadFile` if the object is refused.
        """
        reader = ObjectReader(self.schema.format, self.schema.wanted)
        first = first_position(reader, head[:HEAD_BYTES])
        if first is not None:
            self.schema.plan(reader.header or (), ORIGINS[reader.type])
        return first

    async def begin(self, opened: OpenObject, first: Position, span_bytes: int, deadline: Deadline) -> None:
        """Ask for the scans of an object's ranges."""
        version, span_bytes, ledger = opened.version, span_bytes_for(opened.size, span_bytes), self.accounting.ledger
        await ledger.opened(version, opened.size, self.schema_hash, None, deadline)
        # An event that comes again loads the object again, as one that is not split.
        await ledger.scans_begin(version.ingestion, span_bytes, deadline)
        count = len(ranges_of(first, opened.size, span_bytes))
        tasks = [ScanTask(place, span_bytes, version.modified) for place in range(count)]
        await self._send((scan_body(version.ref, task) for task in tasks), deadline)

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
        noted = await ledger.scanned(ingestion, task.span_bytes, facts, last)
        results = results_of(noted, places)
        if results is not None and _PLANNED not in noted:
            await self._join(opened, first, results, task.span_bytes, noted.keys(), last)

    async def _scan_range(
        self, opened: OpenObject, first: Position, place: tuple[int, int], task: ScanTask, deadline: Deadline
    ) -> ScannedRange:
        begin, end = place
        reached = None if task.place else first
        if task.reached is not None:
            reached = task.reached._replace(header=first.header, dialect=first.dialect)
        scan = RangeScan(first, begin, end, self.schema.format, reached=reached)
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
        opened: OpenObject,
        first: Position,
        results: list[ScannedRange],
        span_bytes: int,
        noted: Container[str],
        deadline: Deadline,
    ) -> None:
        version, ledger = opened.version, self.accounting.ledger
        plan = join(first, results)
        if plan.missing is not None:
            task = ScanTask(plan.missing.place, span_bytes, version.modified, plan.missing.reached)
            if result_name(task) not in noted:
                await self._send([scan_body(version.ref, task)], deadline)
                return
            # That scan was not done in time: the last span goes on to the end of the object.
        rests = rests_of(plan.spans, version.modified)
        await ledger.opened(version, opened.size, self.schema_hash, len(rests), deadline, from_start=False)
        await self._send((span_body(version.ref, rest) for rest in rests), deadline)
        await ledger.scanned(version.ingestion, span_bytes, {_PLANNED: True}, deadline)

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
