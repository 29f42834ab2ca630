"""Ingest the objects of an event: S3 object -> chunks -> records -> messages -> SQS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.accounts import SpanCounts
from engine.aws.objects import Objects, OpenObject
from engine.aws.queues import QueueSender, Sending
from engine.aws.reject_store import RejectStore
from engine.config import ProducerSettings
from engine.convert import Converted, Converter
from engine.errors import DeadlineExceeded, MillpondError, ObjectError, ServiceError, TooManyRejects, Verdict
from engine.events import NO_DATA_FILE, Arrival, Notice, read_event
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.jobs.account import Accounting
from engine.logs import log, measure
from engine.messages.message import Outgoing
from engine.rejects import RejectFile, RejectFiles, folder_of, span_part
from engine.schema.model import Schema

MAX_NAMES, MAX_NAME = 50, 100
"""Names of ignored or absent columns in a result, and their characters: a header may have 200,000 columns, CloudWatch
takes 256 KB a line, and Lambda answers with 6 MB at the most, for all objects of an event."""

PROGRESS_SECONDS = 1.0
"""Between two notes of how far an object is read."""

OPEN_SECONDS = 0.5
"""An object that is not open by then gets an entry in the ledger all the same."""


@dataclass(frozen=True, slots=True)
class Producer:
    """What an invocation works with: settings and open clients. `accounting` is None where there is no ledger."""

    settings: ProducerSettings
    objects: Objects
    sender: QueueSender
    store: RejectStore
    accounting: Accounting | None = None


async def produce(producer: Producer, event: Any, deadline: Deadline) -> dict[str, Any]:
    """Ingest each object of an event; one that fails harms none of the others.

    Invoked by an SQS queue, it returns which messages must come again, as Lambda wants it. Otherwise it returns a
    summary, and raises the first passing fault at the end, so that Lambda tries the event again. Objects that were done
    then are done again, with the same messages.
    """
    results: list[dict[str, Any]] = []
    ended = [(notice, await _ingest_all(producer, notice, deadline, results)) for notice in read_event(event)]
    measure(producer.settings.function, _counts(results, producer.settings.schema))
    for notice, faults in ended:
        for fault in faults:
            if notice.message_id is None or _concerns_all(fault):
                raise fault
    if any(notice.message_id for notice, _ in ended):
        failed = [notice.message_id for notice, faults in ended if faults]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}
    return _summary(results)


async def _ingest_all(
    producer: Producer, notice: Notice, deadline: Deadline, results: list[dict[str, Any]]
) -> list[Exception]:
    """Ingest the objects of one record of an event and add their results; return why the record must come again."""
    faults: list[Exception] = []
    about = {"messageId": notice.message_id} if notice.message_id else {}
    if notice.fault:
        log(logging.ERROR, "unknown event", reason=str(notice.fault), **about)
        faults.append(notice.fault)
    for arrival in notice.arrivals:
        run = _Run(producer, arrival, deadline)
        try:
            await run.ingest()
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

    def __init__(self, producer: Producer, arrival: Arrival, deadline: Deadline) -> None:
        self._producer, self._arrival, self._deadline = producer, arrival, deadline
        self._began = now()
        self.status, self._reason = "started", ""
        self._ingestion: str | None = None
        self._total = self._valid = 0
        self._messages = self._packed = 0  # messages made, and the rows in them
        self._noted = now()
        self._converter: Converter | None = None
        self._sending: Sending | None = None
        self._rejects = RejectFiles("", "")

    def close(self, status: str, reason: str = "") -> None:
        self.status, self._reason = status, reason

    @property
    def level(self) -> int:
        if self.status not in ("complete", "skipped"):
            return logging.ERROR
        return logging.WARNING if self._rejects.count or self._replaced[0] else logging.INFO

    @property
    def _replaced(self) -> tuple[int, bool]:
        """How many rows later ones of the object replace, and whether that is all of them."""
        repeated = self._converter.repeated if self._converter else None
        return (repeated.count, repeated.is_exact) if repeated else (0, True)

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
            "messagesSent": self._sending.accepted if self._sending else 0,
            "seconds": round(now() - self._began, 3),
        }

    async def ingest(self) -> None:
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
            await self._turn_away()
            return
        try:
            await self._stream(opened)
        finally:
            opened.close()
        self.close("complete")

    async def _open(self) -> OpenObject:
        """Open the object; if that takes long, the ledger has an entry for it meanwhile."""
        ref, accounting = self._arrival.ref, self._producer.accounting
        opening = asyncio.create_task(self._producer.objects.open(ref, self._deadline))
        try:
            done, _ = await asyncio.wait([opening], timeout=OPEN_SECONDS if accounting else None)
            if accounting and not done:
                await accounting.ledger.arrived(ref, self._deadline)
            return await opening
        finally:
            opening.cancel()

    async def _turn_away(self) -> None:
        """Note an object of which nothing is read."""
        if accounting := self._producer.accounting:
            status = self.status if self.status in ("skipped", "superseded") else "failed"
            await accounting.ledger.turned_away(self._arrival.ref, status, self._reason, self._deadline)

    async def _stream(self, opened: OpenObject) -> None:
        source, settings = opened.version, self._producer.settings
        self._ingestion = source.ingestion
        self._rejects = RejectFiles(folder_of(settings.rejects_prefix, source), span_part(0))
        converter = self._converter = Converter(
            source,
            settings.schema,
            records_per_message=settings.records_per_message,
            max_message_bytes=settings.max_message_bytes,
        )
        accounting = self._producer.accounting
        if accounting:
            await accounting.ledger.opened(source, opened.size, settings.schema_hash, 1, self._deadline)
        async with self._producer.sender.sending(self._deadline) as sending:
            self._sending = sending
            fault = await self._convert(opened, converter, sending)
            # What was read before a fault is true all the same.
            await self._put(self._rejects.flush())
        if accounting:
            await accounting.end_span(source.ingestion, 0, self._span_counts(fault), self._deadline)
        if fault:
            raise fault

    def _span_counts(self, fault: ObjectError | None) -> SpanCounts:
        """Return what the ledger is told of a span at its end."""
        result = self.result()
        return SpanCounts(
            read=self._total,
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

    async def _note_progress(self) -> None:
        """Tell the ledger, once a second, of the rows that are in messages or rejected."""
        accounting = self._producer.accounting
        if accounting is None or self._ingestion is None or now() < self._noted + PROGRESS_SECONDS:
            return
        self._noted = now()
        rejected = self._rejects.count
        counts = SpanCounts(read=self._packed + rejected, rejected=rejected, messages=self._messages)
        await accounting.ledger.progressed(self._ingestion, 0, counts, self._deadline)

    async def _convert(self, opened: OpenObject, converter: Converter, sending: Sending) -> ObjectError | None:
        """Move what is read of the object; return why it cannot be read to its end."""
        try:
            async for chunk in opened.chunks(self._deadline):
                for converted in converter.feed(chunk, _timestamp()):
                    await self._move(converted, sending)
            for converted in converter.finish(_timestamp()):
                await self._move(converted, sending)
            self._check_rejects(at_end=True)
        except ObjectError as error:
            # Rows that are counted as valid are sent, those that wait for a message to be full too.
            if converter.plan:
                await self._send(converter.flush(_timestamp()), sending)
            return error
        return None

    def _check_rejects(self, *, at_end: bool) -> None:
        """Raise `TooManyRejects` if the object has more of them than are allowed."""
        limit = self._producer.settings.max_rejects
        if problem := limit.problem(self._total, self._rejects.count, at_end=at_end):
            raise TooManyRejects(problem)

    async def _move(self, converted: Converted, sending: Sending) -> None:
        if self._deadline.passed(now()):
            raise DeadlineExceeded(
                f"the time is up after {self._total:,} rows: give the function more (900 s at most) or split the object"
            )
        self._total += converted.valid + len(converted.rejects)
        self._valid += converted.valid
        await self._put(self._rejects.add(converted.rejects))
        await self._send(converted.messages, sending)
        self._check_rejects(at_end=False)
        await self._note_progress()

    async def _send(self, messages: list[Outgoing], sending: Sending) -> None:
        self._messages += len(messages)
        self._packed += sum(message.records for message in messages)
        await sending.put(messages)

    async def _put(self, files: list[RejectFile]) -> None:
        bucket = self._producer.settings.rejects_bucket or self._arrival.ref.bucket
        await self._producer.store.put(files, bucket, self._deadline)


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
