"""Ingest the objects of an event: S3 object -> chunks -> records -> messages -> SQS."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.aws.objects import Objects, OpenObject
from engine.aws.queues import QueueSender, Sending
from engine.aws.reject_store import RejectStore
from engine.config import ProducerSettings
from engine.convert import Converted, Converter
from engine.errors import DeadlineExceeded, MillpondError, ObjectError
from engine.events import ONLY_CSV, Arrival, arrivals
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.logs import log, measure
from engine.rejects import RejectFile, RejectFiles, folder_of, span_part


@dataclass(frozen=True, slots=True)
class Producer:
    """What an invocation works with: settings and open clients."""

    settings: ProducerSettings
    objects: Objects
    sender: QueueSender
    store: RejectStore


async def produce(producer: Producer, event: Any, deadline: Deadline) -> dict[str, Any]:
    """Ingest each object of an event; one that fails harms none of the others.

    Raises the first passing fault at the end, so that Lambda tries the event again: objects that were done then are
    done again, with the same messages.
    """
    results = []
    fault: MillpondError | None = None
    for arrival in arrivals(event):
        run = _Run(producer, arrival, deadline)
        try:
            await run.ingest()
        except ObjectError as error:
            run.close(error.status, str(error))
        except MillpondError as error:
            run.close("error", str(error))
            fault = fault or error
        results.append(run.result())
        log(run.level, "object", **results[-1])
    measure(producer.settings.function, _counts(results))
    if fault is not None:
        raise fault
    return _summary(results)


def _counts(results: list[dict[str, Any]]) -> dict[str, int]:
    """Return the metrics of an event. Objects with a passing fault come again, and are counted then."""
    ended = [result for result in results if result["status"] in ("complete", "failed")]
    return {
        "ObjectsCompleted": sum(result["status"] == "complete" for result in ended),
        "ObjectsFailed": sum(result["status"] == "failed" for result in ended),
        # Folder markers and the like are meant for nobody.
        "ObjectsSkipped": sum(result["reason"] == ONLY_CSV for result in results),
        "RowsRead": sum(result["totalRows"] for result in ended),
        "RowsRejected": sum(result["rejectedRows"] for result in ended),
    }


class _Run:
    """The ingestion of one object."""

    def __init__(self, producer: Producer, arrival: Arrival, deadline: Deadline) -> None:
        self._producer, self._arrival, self._deadline = producer, arrival, deadline
        self._began = now()
        self.status, self._reason = "started", ""
        self._ingestion: str | None = None
        self._total = self._valid = 0
        self._converter: Converter | None = None
        self._sending: Sending | None = None
        self._rejects = RejectFiles("", "")

    def close(self, status: str, reason: str = "") -> None:
        self.status, self._reason = status, reason

    @property
    def level(self) -> int:
        if self.status not in ("complete", "skipped"):
            return logging.ERROR
        return logging.WARNING if self._rejects.count else logging.INFO

    def result(self) -> dict[str, Any]:
        found = self._converter.found if self._converter else None
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
            "messagesSent": self._sending.accepted if self._sending else 0,
            "seconds": round(now() - self._began, 3),
        }

    async def ingest(self) -> None:
        arrival, settings = self._arrival, self._producer.settings
        ours = arrival.ref.bucket == (settings.rejects_bucket or arrival.ref.bucket)
        skip = "a file of rejects" if ours and arrival.ref.key.startswith(settings.rejects_prefix) else arrival.skip
        if skip:
            self.close("skipped", skip)
            return
        opened = await self._producer.objects.open(arrival.ref, self._deadline)
        try:
            await self._stream(opened)
        except ObjectError:
            await self._put(self._rejects.flush())  # what was found until then is true all the same
            raise
        finally:
            opened.close()
        self.close("complete")

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
        async with self._producer.sender.sending(self._deadline) as sending:
            self._sending = sending
            async for chunk in opened.chunks(self._deadline):
                for converted in converter.feed(chunk, _timestamp()):
                    await self._move(converted, sending)
            for converted in converter.finish(_timestamp()):
                await self._move(converted, sending)
            await self._put(self._rejects.flush())

    async def _move(self, converted: Converted, sending: Sending) -> None:
        if self._deadline.passed(now()):
            raise DeadlineExceeded(
                f"the time is up after {self._total:,} rows: give the function more (900 s at most) or split the object"
            )
        self._total += converted.valid + len(converted.rejects)
        self._valid += converted.valid
        await self._put(self._rejects.add(converted.rejects))
        await sending.put(converted.messages)

    async def _put(self, files: list[RejectFile]) -> None:
        bucket = self._producer.settings.rejects_bucket or self._arrival.ref.bucket
        await self._producer.store.put(files, bucket, self._deadline)


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Join the results of an event's objects into the function's answer."""
    statuses = {result["status"] for result in results}
    if statuses == {"skipped"} and all(result["reason"] == ONLY_CSV for result in results):
        status_code, body = 400, ONLY_CSV
    elif "failed" in statuses and "complete" not in statuses:
        status_code, body = 422, "; ".join(result["reason"] for result in results if result["status"] == "failed")
    else:
        done = sum(result["status"] == "complete" for result in results)
        others = [result["status"] for result in results if result["status"] != "complete"]
        said = "".join(f", {others.count(status)} {status}" for status in dict.fromkeys(others))
        status_code, body = 200, f"{done} of {len(results)} objects ingested{said}"
    counts = ("totalRows", "validRows", "rejectedRows", "messagesSent", "seconds")
    totals = {name: round(sum(result[name] for result in results), 3) for name in counts}
    return {"statusCode": status_code, "body": body, **totals, "objects": results}
