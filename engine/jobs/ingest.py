"""Ingest the objects of an event: S3 object -> chunks -> records -> messages -> SQS."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.aws.objects import Objects, OpenObject
from engine.aws.queues import QueueSender, Sending
from engine.aws.reject_store import RejectStore
from engine.config import ProducerSettings
from engine.convert import Converted, Converter
from engine.errors import DeadlineExceeded, MillpondError, ObjectError, ObjectSuperseded, ServiceError, Verdict
from engine.events import NO_DATA_FILE, Arrival, Notice, read_event
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.jobs.hand_off import hand_off, rest_of
from engine.logs import log, measure
from engine.rejects import RejectFile, RejectFiles, folder_of, span_part
from engine.schema.model import Schema
from engine.spans import SPAN_START, Progress, Rest

MAX_NAMES, MAX_NAME = 50, 100
"""Names of ignored or absent columns in a result, and their characters: a header may have 200,000 columns, CloudWatch
takes 256 KB a line, and Lambda answers with 6 MB at the most, for all objects of an event."""

HANDED_ON = "handed on"
"""Status of an object whose rest another invocation takes up."""


class _TimeUp(DeadlineExceeded):
    """Reading ended because the time did."""


@dataclass(frozen=True, slots=True)
class Producer:
    """What an invocation works with: settings and open clients. `spans`: the span queue, if there is one."""

    settings: ProducerSettings
    objects: Objects
    sender: QueueSender
    store: RejectStore
    spans: QueueSender | None = None


async def produce(producer: Producer, event: Any, deadline: Deadline, last: Deadline | None = None) -> dict[str, Any]:
    """Ingest each object of an event; one that fails harms none of the others.

    Reads until `deadline`, sends what was read and hands on the rest until `last` (None: the same).

    Invoked by an SQS queue, it returns which messages must come again, as Lambda wants it. Otherwise it returns a
    summary, and raises the first passing fault at the end, so that Lambda tries the event again. Objects that were done
    then are done again, with the same messages.
    """
    results: list[dict[str, Any]] = []
    time = _Time(deadline, last or deadline)
    ended = [(notice, await _ingest_all(producer, notice, time, results)) for notice in read_event(event)]
    measure(producer.settings.function, _counts(results, producer.settings.schema))
    for notice, faults in ended:
        for fault in faults:
            if notice.message_id is None or _concerns_all(fault):
                raise fault
    if any(notice.message_id for notice, _ in ended):
        failed = [notice.message_id for notice, faults in ended if faults]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}
    return _summary(results)


@dataclass(frozen=True, slots=True)
class _Time:
    """When reading stops, and when everything does."""

    read: Deadline
    last: Deadline


async def _ingest_all(
    producer: Producer, notice: Notice, time: _Time, results: list[dict[str, Any]]
) -> list[Exception]:
    """Ingest the objects of one record of an event and add their results; return why the record must come again."""
    faults: list[Exception] = []
    about = {"messageId": notice.message_id} if notice.message_id else {}
    if notice.fault:
        log(logging.ERROR, "unknown event", reason=str(notice.fault), **about)
        faults.append(notice.fault)
    for arrival in notice.arrivals:
        run = _Run(producer, arrival, time)
        try:
            # Each invocation makes an attempt at one object at least.
            await (run.hand_on_whole() if results and run.may_not_begin else run.ingest())
        except ObjectError as error:
            run.close(error.status, str(error))
        except MillpondError as error:
            run.close("error", str(error))
            faults.append(error)
        except Exception as error:  # a defect of ours, but with this object alone: the others must not wait for it
            run.close("error", type(error).__name__)
            faults.append(error)
        results.append(run.result())
        log(run.level, "object", **results[-1], **about)
    return faults


def _concerns_all(fault: Exception) -> bool:
    """Return whether an invocation by a queue must fail as a whole: clients are then opened anew, or a defect shows."""
    if isinstance(fault, ServiceError):
        return fault.verdict is Verdict.EXPIRED
    return not isinstance(fault, MillpondError)


def _counts(results: list[dict[str, Any]], schema: Schema) -> dict[str, int]:
    """Return the metrics of an event. Objects with a passing fault come again, and are counted then."""
    ended = [result for result in results if result["status"] in ("complete", "failed")]
    counts = {
        "ObjectsCompleted": sum(result["status"] == "complete" for result in ended),
        "ObjectsFailed": sum(result["status"] == "failed" for result in ended),
        # Folder markers and the like are meant for nobody.
        "ObjectsSkipped": sum(result["reason"] == NO_DATA_FILE for result in results),
        "RowsRead": sum(result["totalRows"] for result in ended),
        "RowsRejected": sum(result["rejectedRows"] for result in ended),
        "RowsReplaced": sum(result["replacedRows"] for result in ended),
    }
    if schema.tells_rows_apart:
        del counts["RowsReplaced"]  # it would always be 0, and each metric is billed
    return counts


class _Run:
    """The ingestion of one object."""

    def __init__(self, producer: Producer, arrival: Arrival, time: _Time) -> None:
        self._producer, self._arrival, self._time = producer, arrival, time
        self._rest = arrival.rest or Rest(SPAN_START, None)
        self._start = self._rest.point
        self._progress = Progress(self._start)
        self._began = now()
        self.status, self._reason = "started", ""
        self._ingestion: str | None = None
        self._total = self._start.position.row - 1
        self._valid = self._total - self._start.rejected
        self._converter: Converter | None = None
        self._sending: Sending | None = None
        self._rejects = RejectFiles("", "")

    def close(self, status: str, reason: str = "") -> None:
        self.status, self._reason = status, reason

    @property
    def level(self) -> int:
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
        arrival, settings = self._arrival, self._producer.settings
        ours = arrival.ref.bucket == (settings.rejects_bucket or arrival.ref.bucket)
        skip = "a file of rejects" if ours and arrival.ref.key.startswith(settings.rejects_prefix) else arrival.skip
        if skip:
            self.close("skipped", skip)
            return
        opened = await self._producer.objects.open(arrival.ref, self._time.last)
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
        await hand_off(self._producer.spans, self._arrival.ref, self._rest, self._time.last)
        self.close(HANDED_ON)

    async def _stream(self, opened: OpenObject) -> None:
        source, settings = opened.version, self._producer.settings
        if self._rest.modified not in (None, source.modified):
            raise ObjectSuperseded(f"s3://{source.bucket}/{source.key} was replaced by a newer upload")
        self._ingestion = source.ingestion
        self._rejects = RejectFiles(
            folder_of(settings.rejects_prefix, source),
            span_part(0),
            first_row=self._start.row,
            count=self._start.rejected,
            reasons=self._start.reasons,
        )
        converter = self._converter = Converter(
            source,
            settings.schema,
            records_per_message=settings.records_per_message,
            max_message_bytes=settings.max_message_bytes,
            start=self._start,
        )
        async with self._producer.sender.sending(self._time.last) as sending:
            self._sending = sending
            fault = await self._convert(opened, converter, sending)
            # What was read before a fault is true all the same.
            await self._put(self._rejects.flush())
        if isinstance(fault, _TimeUp) and self._producer.spans:
            rest = rest_of(source, self._rest, self._progress.point)
            await hand_off(self._producer.spans, source.ref, rest, self._time.last)
            self.close(HANDED_ON)
        elif fault:
            raise fault
        else:
            self.close("complete")

    async def _convert(
        self, opened: OpenObject, converter: Converter, sending: Sending
    ) -> ObjectError | _TimeUp | None:
        """Move what is read of the object; return why it cannot be read to its end."""
        try:
            async for chunk in self._chunks(opened):
                for converted in converter.feed(chunk, _timestamp()):
                    await self._move(converted, sending)
                place = converter.jump()
                if place is not None:
                    opened.seek(place)
            for converted in converter.finish(_timestamp()):
                await self._move(converted, sending)
        except _TimeUp as time_up:
            return time_up
        except ObjectError as error:
            # Rows that are counted as valid are sent, those that wait for a message to be full too.
            if converter.plan:
                await sending.put(converter.flush(_timestamp()))
            return error
        return None

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
        await sending.put(converted.messages)
        self._progress.moved(
            converted.row, converted.message, converted.end, self._rejects.count, self._rejects.reasons
        )

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


def _summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Join the results of an event's objects into the function's answer."""
    statuses = {result["status"] for result in results}
    if statuses == {"skipped"} and all(result["reason"] == NO_DATA_FILE for result in results):
        status_code, body = 400, NO_DATA_FILE
    elif "failed" in statuses and "complete" not in statuses:
        status_code, body = 422, "; ".join(result["reason"] for result in results if result["status"] == "failed")
    else:
        done = sum(result["status"] == "complete" for result in results)
        others = [result["status"] for result in results if result["status"] != "complete"]
        said = "".join(f", {others.count(status)} {status}" for status in dict.fromkeys(others))
        status_code, body = 200, f"{done} of {len(results)} objects ingested{said}"
    counts = ("totalRows", "validRows", "rejectedRows", "replacedRows", "messagesSent", "seconds")
    totals = {name: round(sum(result[name] for result in results), 3) for name in counts}
    return {"statusCode": status_code, "body": body, **totals, "objects": results}
