"""One run on one object: S3 object -> chunks -> records -> messages -> SQS, to its end or until the time is up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.accounts import SpanCounts
from engine.aws.objects import Objects, OpenObject
from engine.aws.queues import QueueSender, Sending
from engine.aws.reject_store import RejectStore
from engine.config import ProducerSettings
from engine.convert import Converted, Converter
from engine.errors import (
    DeadlineExceeded,
    NoProgress,
    ObjectError,
    ObjectSuperseded,
    TooManyRejects,
)
from engine.events import Arrival
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.identity import ObjectVersion
from engine.jobs.account import Accounting
from engine.jobs.hand_off import hand_off, rest_of
from engine.messages.message import Outgoing
from engine.rejects import RejectFile, RejectFiles, folder_of, span_part
from engine.spans import SPAN_START, Progress, Rest

MAX_NAMES, MAX_NAME = 50, 100
"""Names of ignored or absent columns in a result, and their characters: a header may have 200,000 columns, CloudWatch
takes 256 KB a line, and Lambda answers with 6 MB at the most, for all objects of an event."""

PROGRESS_SECONDS = 1.0
"""Between two notes of how far an object is read."""

OPEN_SECONDS = 0.5
"""An object that is not open by then gets an entry in the ledger all the same."""

HANDED_ON = "handed on"
"""Status of an object whose rest another invocation takes up."""


class _TimeUp(DeadlineExceeded):
    """Reading ended because the time did."""


@dataclass(frozen=True, slots=True)
class Producer:
    """What an invocation works with: settings and open clients.

    `accounting` is None where there is no ledger, `spans` where there is no span queue.
    """

    settings: ProducerSettings
    objects: Objects
    sender: QueueSender
    store: RejectStore
    accounting: Accounting | None = None
    spans: QueueSender | None = None


@dataclass(frozen=True, slots=True)
class Time:
    """When reading stops, and when everything does."""

    read: Deadline
    last: Deadline


class ObjectRun:
    """The ingestion of one object."""

    def __init__(self, producer: Producer, arrival: Arrival, time: Time) -> None:
        self._producer, self._arrival, self._time = producer, arrival, time
        self._rest = arrival.rest or Rest(SPAN_START, None)
        self._start = self._rest.point
        self._progress = Progress(self._start)
        self._began = now()
        self.status, self._reason = "started", ""
        self._ingestion: str | None = None
        self._total = self._start.position.row - 1
        self._valid = self._total - self._start.rejected
        self._messages = self._start.message
        self._noted = now()
        self._converter: Converter | None = None
        self._sending: Sending | None = None
        self._rejects = RejectFiles("", "")

    def close(self, status: str, reason: str = "") -> None:
        """Note how the run has ended."""
        self.status, self._reason = status, reason

    @property
    def level(self) -> int:
        """The level of the log line about it."""
        if self.status not in ("complete", "skipped", HANDED_ON):
            return logging.ERROR
        return logging.WARNING if self._rejects.count or self._replaced[0] else logging.INFO

    @property
    def _replaced(self) -> tuple[int, bool]:
        """How many rows later ones of the object replace, and whether that is all of them."""
        repeated = self._converter.repeated if self._converter else None
        # A run that continues another one does not know the keys before it.
        return (repeated.count, repeated.is_exact and self._start == SPAN_START) if repeated else (0, True)

    def result(self) -> dict[str, Any]:
        """Return what is logged and answered of the object."""
        found = self._converter.found if self._converter else None
        replaced, is_exact = self._replaced
        plan = self._converter.plan if self._converter else None
        return {
            "bucket": self._arrival.ref.bucket,
            "key": self._arrival.ref.key,
            "status": self.status,
            "reason": self._reason,
            "ingestion": self._ingestion,
            "found": found.result() if found else None,
            "totalRows": self._total,
            "validRows": self._valid,
            "rejectedRows": self._rejects.count,
            "rejectReasons": dict(self._rejects.reasons),
            "replacedRows": replaced,
            "replacedRowsExact": is_exact,
            "ignoredColumns": _named(plan.ignored if plan else ()),
            "absentColumns": _named(plan.absent if plan else ()),
            "messagesSent": self._start.message + (self._sending.accepted if self._sending else 0),
            "seconds": round(now() - self._began, 3),
        }

    async def ingest(self) -> None:
        """Do the work; raises `ObjectError` for an object that cannot be read, other `MillpondError` to come again."""
        arrival, settings = self._arrival, self._producer.settings
        ours = arrival.ref.bucket == (settings.rejects_bucket or arrival.ref.bucket)
        skip = "a file of rejects" if ours and arrival.ref.key.startswith(settings.rejects_prefix) else arrival.skip
        if skip:
            self.close("skipped", skip)
            await self._turn_away()
            return
        try:
            opened = await self._open()
        except ObjectError as error:
            self.close(error.status, str(error))
            await self._end_unread(error)
            return
        try:
            await self._stream(opened)
        finally:
            opened.close()

    @property
    def may_not_begin(self) -> bool:
        """Whether there is no time to read, and a queue for the object to wait in."""
        return self._producer.spans is not None and self._time.read.passed(now()) and not self._arrival.skip

    async def hand_on_whole(self) -> None:
        """Hand on the object as it came."""
        assert self._producer.spans is not None  # noqa: S101 - `may_not_begin`
        if accounting := self._producer.accounting:
            await accounting.ledger.arrived(self._arrival.ref, self._time.last)
        await hand_off(self._producer.spans, self._arrival.ref, self._rest, self._time.last)
        self.close(HANDED_ON)

    async def _open(self) -> OpenObject:
        """Open the object; if that takes long, the ledger has an entry for it meanwhile."""
        ref, accounting = self._arrival.ref, self._producer.accounting
        opening = asyncio.create_task(self._producer.objects.open(ref, self._time.last))
        try:
            done, _ = await asyncio.wait([opening], timeout=OPEN_SECONDS if accounting else None)
            if accounting and not done:
                await accounting.ledger.arrived(ref, self._time.last)
            opened = await opening
        finally:
            opening.cancel()
        if self._rest.modified not in (None, opened.version.modified):
            opened.close()
            raise ObjectSuperseded(f"s3://{ref.bucket}/{ref.key} was replaced by a newer upload")
        return opened

    async def _turn_away(self) -> None:
        """Note an object of which nothing is read."""
        if accounting := self._producer.accounting:
            status = self.status if self.status in ("skipped", "superseded") else "failed"
            await accounting.ledger.turned_away(self._arrival.ref, status, self._reason, self._time.last)

    async def _end_unread(self, error: ObjectError) -> None:
        """Note an object that cannot be opened: the first time, or when a run was to go on with the rest of it."""
        ref, accounting, modified = self._arrival.ref, self._producer.accounting, self._rest.modified
        if modified is None:
            await self._turn_away()
        elif accounting:
            begun = ObjectVersion(ref.bucket, ref.key, ref.version, ref.etag or "", modified).ingestion
            await accounting.end_span(begun, 0, self._span_counts(error), self._time.last, run=self._rest.run)

    async def _stream(self, opened: OpenObject) -> None:
        source, settings = opened.version, self._producer.settings
        self._ingestion = source.ingestion
        self._rejects = RejectFiles(
            folder_of(settings.rejects_prefix, source),
            span_part(0),
            first_row=self._start.row,
            count=self._start.rejected,
            reasons=self._start.reasons,
        )
        accounting = self._producer.accounting
        if accounting:
            continued = None if self._start == SPAN_START else self._rest.run
            run = await accounting.ledger.opened(
                source, opened.size, settings.schema_hash, 1, self._time.last, run=continued
            )
            self._rest = self._rest._replace(run=run)
        converter = self._converter = Converter(
            source,
            settings.schema,
            records_per_message=settings.records_per_message,
            max_message_bytes=settings.max_message_bytes,
            start=self._start,
            run=self._rest.run,
        )
        rest = None
        async with self._producer.sender.sending(self._time.last) as sending:
            self._sending = sending
            fault: ObjectError | _TimeUp | None = await self._convert(opened, converter, sending)
            if isinstance(fault, _TimeUp) and self._producer.spans:
                try:
                    rest = rest_of(source, self._rest, self._progress.point)
                except NoProgress as error:
                    fault = error
            if isinstance(fault, ObjectError) and converter.plan:
                # Rows that are counted as valid are sent, those that wait for a message to be full too.
                await self._send(converter.flush(_timestamp()), sending)
            # What was read before a fault is true all the same.
            await self._put(self._rejects.flush())
        if rest and self._producer.spans:
            await hand_off(self._producer.spans, source.ref, rest, self._time.last)
            self.close(HANDED_ON)
            return
        if isinstance(fault, _TimeUp):
            raise fault
        if accounting:
            counts = self._span_counts(fault)
            await accounting.end_span(source.ingestion, 0, counts, self._time.last, run=self._rest.run)
        if fault:
            raise fault
        self.close("complete")

    def _span_counts(self, fault: ObjectError | None) -> SpanCounts:
        """Return what the ledger is told of a span at its end."""
        result = self.result()
        return SpanCounts(
            read=max(self._total, self._start.row - 1),
            rejected=self._rejects.count,
            messages=self._messages,
            replaced=result["replacedRows"],
            replaced_exact=result["replacedRowsExact"],
            reasons=result["rejectReasons"],
            found=result["found"],
            ignored=result["ignoredColumns"],
            absent=result["absentColumns"],
            status="" if fault is None else "superseded" if fault.status == "superseded" else "failed",
            reason="" if fault is None else str(fault),
            ended=True,
        )

    async def _note_progress(self, converter: Converter) -> None:
        """Tell the ledger, once a second, of the rows that are in messages or rejected."""
        accounting = self._producer.accounting
        if accounting is None or self._ingestion is None or now() < self._noted + PROGRESS_SECONDS:
            return
        if self._total < self._start.row - 1:
            return  # an earlier run has sent more than this one has read again
        self._noted = now()
        read = self._total - converter.waiting
        counts = SpanCounts(read=read, rejected=self._rejects.count, messages=self._messages)
        await accounting.ledger.progressed(self._ingestion, 0, counts, self._time.last, run=self._rest.run)

    async def _convert(
        self, opened: OpenObject, converter: Converter, sending: Sending
    ) -> ObjectError | _TimeUp | None:
        """Move what is read of the object; return why it cannot be read to its end."""
        try:
            async for chunk in self._chunks(opened):
                for converted in converter.feed(chunk, _timestamp()):
                    await self._move(converted, sending)
                await self._note_progress(converter)
                place = converter.jump()
                if place is not None:
                    opened.seek(place)
            for converted in converter.finish(_timestamp()):
                await self._move(converted, sending)
            self._check_rejects(at_end=True)
        except _TimeUp as time_up:
            return time_up
        except ObjectError as error:
            return error
        return None

    def _check_rejects(self, *, at_end: bool) -> None:
        """Raise `TooManyRejects` if the object has more of them than are allowed."""
        limit = self._producer.settings.max_rejects
        if problem := limit.problem(self._total, self._rejects.count, at_end=at_end):
            raise TooManyRejects(problem)

    async def _chunks(self, opened: OpenObject) -> AsyncIterator[bytes]:
        """Yield the object's bytes until the time for reading is up."""
        try:
            async for chunk in opened.chunks(self._time.read):
                yield chunk
                self._check_time()  # also where no row comes of a chunk, such as before the place to continue at
        except DeadlineExceeded as error:
            raise _TimeUp(str(error)) from None

    def _check_time(self) -> None:
        if self._time.read.passed(now()):
            raise _TimeUp(
                f"the time is up after {self._total:,} rows: give the function more (900 s at most) or split the object"
            )

    async def _move(self, converted: Converted, sending: Sending) -> None:
        self._check_time()
        self._total += converted.valid + len(converted.rejects)
        self._valid += converted.valid
        await self._put(self._rejects.add(converted.rejects))
        await self._send(converted.messages, sending)
        self._progress.moved(
            converted.row, converted.message, converted.end, self._rejects.count, self._rejects.reasons
        )
        self._check_rejects(at_end=False)

    async def _send(self, messages: list[Outgoing], sending: Sending) -> None:
        self._messages += len(messages)
        await sending.put(messages)

    async def _put(self, files: list[RejectFile]) -> None:
        bucket = self._producer.settings.rejects_bucket or self._arrival.ref.bucket
        await self._producer.store.put(files, bucket, self._time.last)


def _named(columns: Sequence[str | int]) -> list[str]:
    """Return the names of columns for result and log: of a bounded number, each of a bounded length."""
    names = [column[:MAX_NAME] if isinstance(column, str) else f"column {column}" for column in columns[:MAX_NAMES]]
    more = len(columns) - len(names)
    return [*names, f"and {more:,} more"] if more else names


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
