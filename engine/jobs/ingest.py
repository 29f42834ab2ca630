"""Ingest the objects of an event: S3 object -> chunks -> records -> messages -> SQS."""

from __future__ import annotations

import logging
from typing import Any

from engine.errors import MillpondError, ObjectError, ServiceError, Verdict
from engine.events import NO_DATA_FILE, Notice, read_event
from engine.flow.backoff import Deadline
from engine.jobs.object_run import ObjectRun
from engine.jobs.producer import Producer, Time
from engine.logs import log, measure
from engine.schema.model import Schema


async def produce(producer: Producer, event: Any, deadline: Deadline, last: Deadline | None = None) -> dict[str, Any]:
    """Ingest each object of an event; one that fails harms none of the others.

    Reads until `deadline`, sends what was read and hands on the rest until `last` (None: the same).

    Invoked by an SQS queue, it returns which messages must come again, as Lambda wants it. Otherwise it returns a
    summary, and raises the first passing fault at the end, so that Lambda tries the event again. Objects that were done
    then are done again, with the same messages.
    """
    results: list[dict[str, Any]] = []
    time = Time(deadline, last or deadline)
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


async def _ingest_all(producer: Producer, notice: Notice, time: Time, results: list[dict[str, Any]]) -> list[Exception]:
    """Ingest the objects of one record of an event and add their results; return why the record must come again."""
    faults: list[Exception] = []
    about = {"messageId": notice.message_id} if notice.message_id else {}
    if notice.fault:
        log(logging.ERROR, "unknown event", reason=str(notice.fault), **about)
        faults.append(notice.fault)
    for arrival in notice.arrivals:
        run = ObjectRun(producer, arrival, time)
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
        # Of an object in several spans the first one counts.
        "ObjectsCompleted": sum(result["status"] == "complete" and not result["span"] for result in ended),
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
