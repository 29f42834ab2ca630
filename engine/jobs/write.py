"""Write a batch of SQS messages: messages -> items -> BatchWriteItem, and an exact list of what must come again."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.aws.reject_store import RejectStore
from engine.aws.table import Outcome, TableWriter
from engine.config import WorkerSettings
from engine.errors import DeadlineExceeded, MalformedMessage, ServiceError, Verdict
from engine.flow.backoff import Deadline
from engine.items import Items
from engine.logs import log
from engine.messages.message import Message, Refused
from engine.messages.parse import parse_message
from engine.reading.block import Reject
from engine.rejects import RejectFiles, folder_of


@dataclass(frozen=True, slots=True)
class Worker:
    """What an invocation works with: settings and open clients."""

    settings: WorkerSettings
    writer: TableWriter
    store: RejectStore


@dataclass(slots=True)
class _Delivery:
    """One SQS message of the batch, and which of the items are its own."""

    message_id: str
    message: Message | None = None
    own: range = range(0)
    rejects: list[Reject] = field(default_factory=list)


async def work(worker: Worker, event: Any, deadline: Deadline, last: Deadline) -> dict[str, Any]:
    """Write the rows of a batch until `deadline`, record rejects until `last`; answer which messages must come again.

    A message is left out of ``batchItemFailures`` only when each of its rows is written or recorded as a reject.
    Raises `ServiceError` when the table cannot be written to at all: then SQS delivers the whole batch again.
    """
    deliveries: list[_Delivery] = []
    failures: list[str] = []
    items = Items(worker.settings.schema, worker.settings.ttl_days)
    for record in event["Records"]:
        delivery = _Delivery(record["messageId"])
        try:
            _read(worker, record, delivery, items)
        except MalformedMessage as error:
            failures.append(delivery.message_id)
            log(logging.ERROR, "malformed message", messageId=delivery.message_id, reason=str(error))
            continue
        except Exception as error:  # a defect of ours, but of this message alone: the others must not wait for it
            failures.append(delivery.message_id)
            log(logging.ERROR, "message not read", messageId=delivery.message_id, reason=type(error).__name__)
            continue
        deliveries.append(delivery)
    outcome = await worker.writer.write(items, deadline)
    failures += [each.message_id for each in deliveries if not await _settle(worker, each, outcome, last)]
    rejected = sum(len(delivery.rejects) for delivery in deliveries)
    log(
        logging.WARNING if failures or rejected else logging.INFO,
        "batch",
        messages=len(event["Records"]),
        written=sum(outcome.written),
        rejected=rejected,
        returned=len(failures),
        outOfTime=outcome.out_of_time,
    )
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


def _read(worker: Worker, record: dict[str, Any], delivery: _Delivery, items: Items) -> None:
    sent = int(record.get("attributes", {}).get("SentTimestamp", 0)) // 1000
    attributes = record.get("messageAttributes", {})
    message = parse_message(record["body"], attributes, record["messageId"], sent, worker.settings.schema)
    if isinstance(message, Refused):
        delivery.rejects.append(Reject(message.row, None, message.reason, record["body"]))
        return
    delivery.message, delivery.own = message, items.add(message)


async def _settle(worker: Worker, delivery: _Delivery, outcome: Outcome, last: Deadline) -> bool:
    """Record the rejects of a message; tell whether it may be acknowledged."""
    own, message = delivery.own, delivery.message
    if not outcome.settled(own):
        return False
    if message is not None:
        refused = [(index - own.start, reason) for index, reason in sorted(outcome.refused.items()) if index in own]
        delivery.rejects += [Reject(message.numbers[i], None, reason, _as_csv(message.row(i))) for i, reason in refused]
    if not delivery.rejects:
        return True
    try:
        return await _record(worker, delivery, last)
    except (ServiceError, DeadlineExceeded) as error:
        if isinstance(error, ServiceError) and error.verdict is Verdict.EXPIRED:
            raise  # or the clients would never be opened anew
        log(logging.ERROR, "rejects not recorded", messageId=delivery.message_id, reason=str(error))
        return False


async def _record(worker: Worker, delivery: _Delivery, last: Deadline) -> bool:
    """Put the rejects of a message where a person finds them; False if there is no place for them."""
    settings = worker.settings
    source = delivery.message.source if delivery.message else None
    bucket = settings.rejects_bucket or (source.bucket if source else None)
    if bucket is None:
        log(logging.ERROR, "no place for rejects", messageId=delivery.message_id, reason="REJECTS_BUCKET is not set")
        return False
    name = delivery.message.name if delivery.message else delivery.message_id
    folder = folder_of(settings.rejects_prefix, source) if source else f"{settings.rejects_prefix}plain/"
    # Senders choose the numbers of their messages: the content keeps two with one number apart, and is the same again
    # when the message is.
    content = "\n".join(f"{reject.row},{reject.record}" for reject in delivery.rejects)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    files = RejectFiles(folder, f"message-{name}-{digest}")
    await worker.store.put(files.add(delivery.rejects) + files.flush(), bucket, last)
    return True


def _as_csv(values: Sequence[Any]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(values)
    return text.getvalue().removesuffix("\r\n")
