"""One run on one object: S3 object -> chunks -> records -> messages -> SQS, to its end or until the time is up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.accounts import SpanCounts
from engine.aws.objects import OpenObject
from engine.aws.queues import Sending
from engine.convert import Converted, Converter
from engine.errors import (
    ConfigError,
    DeadlineExceeded,
    NoProgress,
    ObjectError,
    ObjectSuperseded,
    TooManyRejects,
)
from engine.events import Arrival
from engine.flow.attempts import now
from engine.jobs.hand_off import hand_off, rest_of
from engine.jobs.producer import Producer, Time
from engine.jobs.run_account import RunAccount
from engine.jobs.split import read_head
from engine.messages.message import Outgoing
from engine.rejects import RejectFile, RejectFiles, folder_of, span_part
from engine.scans import scan_body, span_bytes_for
from engine.spans import SPAN_START, WHOLE, Progress, Rest, span_body

MAX_NAMES, MAX_NAME = 50, 100
"""Names of ignored or absent columns in a result, and their characters: a header may have 200,000 columns, CloudWatch
takes 256 KB a line, and Lambda answers with 6 MB at the most, for all objects of an event."""

PROGRESS_SECONDS = 1.0
"""Between two notes of how far an object is read."""

OPEN_SECONDS = 0.5
"""An object that is not open by then gets an entry in the ledger all the same."""

HANDED_ON = "handed on"
"""Status of an object whose rest another invocation takes up."""

SPLIT, SCANNED = "split", "scanned"
"""Status of an object whose spans other invocations read, and of a range that was scanned for that."""


class _TimeUp(DeadlineExceeded):
    """Reading ended because the time did."""


class ObjectRun:
    """The ingestion of one object, or a part of it."""

    def __init__(self, producer: Producer, arrival: Arrival, time: Time) -> None:
        self._producer, self._arrival, self._time = producer, arrival, time
        scan = arrival.scan
        self._rest = arrival.rest or Rest(SPAN_START, scan.modified if scan else None, run=scan.run if scan else 0)
        self._account = RunAccount(producer.accounting, arrival, self._rest, time.last)
        self._start, self._span = self._rest.point, self._rest.span
        self._progress = Progress(self._start)
        self._began = now()
        self.status, self._reason = "started", ""
        self._ingestion: str | None = None
        self._total = self._start.position.row - self._span.row
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
        if self.status not in ("complete", "skipped", HANDED_ON, SPLIT, SCANNED):
            return logging.ERROR
        return logging.WARNING if self._rejects.count or self._replaced[0] else logging.INFO

    @property
    def _replaced(self) -> tuple[int, bool]:
        """How many rows later ones of the object replace, and whether that is all of them."""
        repeated = self._converter.repeated if self._converter else None
        # A run that reads a part of an object does not know the keys of the others.
        alone = self._start == SPAN_START and self._span == WHOLE
        return (repeated.count, repeated.is_exact and alone) if repeated else (0, True)

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
            "span": self._span.first,
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
            await self._account.turned_away(self.status, skip)
            return
        try:
            opened = await self._open()
        except ObjectError as error:
            self.close(error.status, str(error))
            await self._account.ended_unread(self._span_counts(error))
            return
        try:
            await self._work(opened)
        finally:
            opened.close()

    @property
    def may_not_begin(self) -> bool:
        """Whether there is no time to read, and a queue for the object to wait in."""
        return self._producer.spans is not None and self._time.read.passed(now()) and not self._arrival.skip

    async def hand_on_whole(self) -> None:
        """Hand on the object as it came."""
        assert self._producer.spans is not None  # noqa: S101 - `may_not_begin`
        ref, scan = self._arrival.ref, self._arrival.scan
        await self._account.arrived()
        body = scan_body(ref, scan) if scan else span_body(ref, self._rest)
        await hand_off(self._producer.spans, body, self._time.last)
        self.close(HANDED_ON)

    async def _work(self, opened: OpenObject) -> None:
        """Read the object, or see to it that others do."""
        if self._arrival.scan:
            await self._scan(opened)
            return
        head, splitter = b"", self._producer.splitter
        if splitter and self._rest.modified is None and opened.size > self._producer.settings.span_bytes:
            head, first = await splitter.look_at(opened, self._time.read)
            if first is not None:
                self._ingestion = opened.version.ingestion
                settings = self._producer.settings
                span_bytes = span_bytes_for(opened.size, settings.span_bytes)
                await self._account.opened(opened, settings, split=span_bytes)
                await splitter.begin(opened, first, span_bytes, self._account.run, self._time.last)
                self.close(SPLIT)
                return
        await self._stream(opened, head)

    async def _scan(self, opened: OpenObject) -> None:
        """Scan a range of the object."""
        task, splitter = self._arrival.scan, self._producer.splitter
        assert task is not None  # noqa: S101 - `_work`
        if splitter is None:
            raise ConfigError("a range of a file cannot be scanned without LEDGER_TABLE and SPAN_QUEUE_URL")
        self._ingestion = opened.version.ingestion
        try:
            head = await read_head(opened, self._time.read)
            await splitter.scan(opened, head, task, self._time.read, self._time.last)
        except ObjectError as error:
            self.close(error.status, str(error))
            await self._account.ended_unread(self._span_counts(error))
            return
        self.close(SCANNED)

    async def _open(self) -> OpenObject:
        """Open the object; if that takes long, the ledger has an entry for it meanwhile."""
        ref = self._arrival.ref
        opening = asyncio.create_task(self._producer.objects.open(ref, self._time.last))
        try:
            done, _ = await asyncio.wait([opening], timeout=OPEN_SECONDS)
            if not done:
                await self._account.arrived()
            opened = await opening
        finally:
            opening.cancel()
        if self._rest.modified not in (None, opened.version.modified):
            opened.close()
            raise ObjectSuperseded(f"s3://{ref.bucket}/{ref.key} was replaced by a newer upload")
        return opened

    async def _stream(self, opened: OpenObject, head: bytes) -> None:
        """Read the object, of which `head` is read already, or a span of it."""
        source, settings = opened.version, self._producer.settings
        self._ingestion = source.ingestion
        self._rejects = RejectFiles(
            folder_of(settings.rejects_prefix, source),
            span_part(self._span.first),
            first_row=self._start.row,
            count=self._start.rejected,
            reasons=self._start.reasons,
        )
        await self._account.opened(opened, settings)
        self._rest = self._rest._replace(run=self._account.run)
        converter = self._converter = Converter(
            source,
            settings.schema,
            records_per_message=settings.records_per_message,
            max_message_bytes=settings.max_message_bytes,
            start=self._start,
            span=self._span.first,
            run=self._rest.run,
        )
        if self._span.stop is not None:
            opened.end_before(self._span.stop)
        rest = None
        async with self._producer.sender.sending(self._time.last) as sending:
            self._sending = sending
            fault: ObjectError | _TimeUp | None = await self._convert(opened, head, converter, sending)
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
            await hand_off(self._producer.spans, span_body(source.ref, rest), self._time.last)
            self.close(HANDED_ON)
            return
        if isinstance(fault, _TimeUp):
            raise fault
        await self._account.ended(self._span_counts(fault))
        if fault:
            raise fault
        self.close("complete")

    def _span_counts(self, fault: ObjectError | None) -> SpanCounts:
        """Return what the ledger is told of a span at its end."""
        result = self.result()
        return SpanCounts(
            read=max(self._total, self._start.row - self._span.row),
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
        if now() < self._noted + PROGRESS_SECONDS:
            return
        self._noted = now()
        # An earlier run may have sent more than this one has read again.
        if self._total >= self._start.row - self._span.row:
            read = self._total - converter.waiting
            await self._account.progressed(SpanCounts(read=read, rejected=self._rejects.count, messages=self._messages))
        await self._account.look_at_earlier_spans()

    async def _convert(
        self, opened: OpenObject, head: bytes, converter: Converter, sending: Sending
    ) -> ObjectError | _TimeUp | None:
        """Move what is read of the object; return why it cannot be read to its end."""
        try:
            await self._account.look_at_earlier_spans()
            async for chunk in self._chunks(opened, head):
                for converted in converter.feed(chunk, _timestamp()):
                    await self._move(converted, sending)
                await self._note_progress(converter)
                place = converter.jump()
                if place is not None:
                    opened.seek(place)
            for converted in converter.finish(_timestamp()):
                await self._move(converted, sending)
            self._check_rejects(at_end=self._span.stop is None)
        except _TimeUp as time_up:
            return time_up
        except ObjectError as error:
            return error
        return None

    def _check_rejects(self, *, at_end: bool) -> None:
        """Raise `TooManyRejects` if the object has more of them than are allowed."""
        # The rows before this span that are not read yet may have no reject.
        limit, rows = self._producer.settings.max_rejects, self._span.row - 1 + self._total
        if problem := limit.problem(rows, self._account.rejected_before + self._rejects.count, at_end=at_end):
            raise TooManyRejects(problem)

    async def _chunks(self, opened: OpenObject, head: bytes) -> AsyncIterator[bytes]:
        """Yield the object's bytes, after `head`, until the time for reading is up."""
        try:
            if head:
                yield head
                self._check_time()
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
