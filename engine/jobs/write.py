"""Write a batch of SQS messages: messages -> items -> BatchWriteItem, and an exact list of what must come again.

Each message ends in one of three ways. It is acknowledged once each of its rows is written or recorded as a reject.
Where a slow table left no time, its unwritten rows are handed on: they go back to the queue as a new message, and only
then is the original acknowledged. So waiting for the table never counts as a failed receive, and the dead-letter queue
is left to messages that are at fault themselves: these come back as failures.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.aws.queues import QueueSender
from engine.aws.reject_store import RejectStore
from engine.aws.table import TableWriter
from engine.config import WorkerSettings
from engine.errors import DeadlineExceeded, MalformedMessage, ServiceError, Verdict
from engine.flow.backoff import Deadline
from engine.items import Items
from engine.logs import log, measure
from engine.messages.message import Message, Outgoing, Refused
from engine.messages.parse import parse_message
from engine.messages.rest import rest_of, times_handed_on
from engine.outcome import Outcome
from engine.reading.block import Reject
from engine.rejects import RejectFiles, folder_of, message_part, record_of

MAX_FAILING_ROUNDS = 100
"""How many times a message is handed on whose rows get server errors while the table takes nothing else, so that
nobody can tell the row's fault from the table's. At a minute each that is longer than most outages."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What an invocation works with: settings and open clients.

    `queue` opens the queue that messages are handed on to, which most invocations never need; None: there is none,
    and such messages come back as failures.
    """

    settings: WorkerSettings
    writer: TableWriter
    store: RejectStore
    queue: Callable[[], QueueSender] | None


@dataclass(slots=True)
class _Delivery:
    """One SQS message of the batch, and which of the items are its own."""

    record: dict[str, Any]
    message: Message | None = None
    own: range = range(0)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def message_id(self) -> str:
        return str(self.record["messageId"])

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.record.get("messageAttributes") or {})


async def work(worker: Worker, event: Any, deadline: Deadline, last: Deadline) -> dict[str, Any]:
    """Write the rows of a batch until `deadline`, hand on and record rejects until `last`.

    Returns which messages must come again, as Lambda wants it. Raises `ServiceError` or `ConfigError` when the table
    cannot be written to at all: then SQS delivers the whole batch again.
    """
    failures: list[str] = []
    items = Items(worker.settings.schema, worker.settings.ttl_days)
    deliveries = [each for record in event["Records"] if (each := _read(worker, record, items, failures))]
    outcome = await worker.writer.write(items, deadline)
    settled, waiting = [], []
    for delivery in deliveries:
        if outcome.settled(delivery.own):
            settled.append(delivery)
        elif worker.queue is None or _is_at_fault(delivery, outcome):
            failures.append(delivery.message_id)
        else:
            waiting.append(delivery)
    handed_on = await _hand_on(worker, waiting, outcome, last)
    if not handed_on:
        failures += [delivery.message_id for delivery in waiting]
    failures += [each.message_id for each in settled if not await _record_rejects(worker, each, outcome, last)]
    written = sum(outcome.written)
    rejected = sum(len(delivery.rejects) for delivery in deliveries)
    log(
        logging.WARNING if failures or rejected else logging.INFO,
        "batch",
        messages=len(event["Records"]),
        written=written,
        rejected=rejected,
        returned=len(failures),
        handedOn=len(waiting) if handed_on else 0,
        outOfTime=outcome.out_of_time,
    )
    measure(
        worker.settings.function,
        {
            "RowsWritten": written,
            "RowsRejected": rejected,
            "MessagesReturned": len(failures),
            "MessagesHandedOn": len(waiting) if handed_on else 0,
        },
    )
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


def _read(worker: Worker, record: dict[str, Any], items: Items, failures: list[str]) -> _Delivery | None:
    """Read a message into `items`; one that cannot be read goes to `failures`."""
    delivery = _Delivery(record)
    sent = int(record.get("attributes", {}).get("SentTimestamp", 0)) // 1000
    try:
        message = parse_message(record["body"], delivery.attributes, delivery.message_id, sent, worker.settings.schema)
        if isinstance(message, Refused):
            delivery.rejects.append(Reject(message.row, None, message.reason, record["body"]))
        else:
            delivery.message, delivery.own = message, items.add(message)
        return delivery
    except MalformedMessage as error:
        log(logging.ERROR, "malformed message", messageId=delivery.message_id, reason=str(error))
    except Exception as error:  # a defect of ours, but of this message alone: the others must not wait for it
        log(logging.ERROR, "message not read", messageId=delivery.message_id, reason=type(error).__name__)
    failures.append(delivery.message_id)
    return None


def _is_at_fault(delivery: _Delivery, outcome: Outcome) -> bool:
    """Return whether a message is unfinished through a fault of its own, not for want of time."""
    if any(index in delivery.own for index in outcome.gave_up):
        return True
    failing = any(index in delivery.own for index in outcome.failing if not outcome.written[index])
    return failing and times_handed_on(delivery.attributes) >= MAX_FAILING_ROUNDS


async def _hand_on(worker: Worker, waiting: Sequence[_Delivery], outcome: Outcome, last: Deadline) -> bool:
    """Send the unwritten rows of these messages back to the queue; return whether all of them are there.

    Rows that DynamoDB refused go along: they are recorded when the rest of their message is done, all at once and under
    the same name on each attempt.
    """
    if not waiting or worker.queue is None:
        return False
    try:
        async with worker.queue().sending(last) as sending:
            await sending.put(_rest(each, outcome) for each in waiting)
    except (ServiceError, DeadlineExceeded) as error:
        # Some may be there twice now, which writes the same items twice.
        log(logging.ERROR, "not handed on", messages=len(waiting), reason=str(error))
        return False
    return True


def _rest(delivery: _Delivery, outcome: Outcome) -> Outgoing:
    message, own = delivery.message, delivery.own
    assert message is not None  # noqa: S101 - only a message that was read has items that are not written
    left = [index - own.start for index in outcome.unwritten(own)]
    return rest_of(delivery.record["body"], delivery.attributes, message, left)


async def _record_rejects(worker: Worker, delivery: _Delivery, outcome: Outcome, last: Deadline) -> bool:
    """Record the rejects of a message whose rows are all written or refused; return whether that was done."""
    own, message = delivery.own, delivery.message
    if message is not None:
        refused = [(index - own.start, reason) for index, reason in sorted(outcome.refused.items()) if index in own]
        delivery.rejects += [
            Reject(message.numbers[i], None, reason, record_of(message.row(i))) for i, reason in refused
        ]
    if not delivery.rejects:
        return True
    try:
        return await _put_rejects(worker, delivery, last)
    except (ServiceError, DeadlineExceeded) as error:
        if isinstance(error, ServiceError) and error.verdict is Verdict.EXPIRED:
            raise  # or the clients would never be opened anew
        log(logging.ERROR, "rejects not recorded", messageId=delivery.message_id, reason=str(error))
        return False


async def _put_rejects(worker: Worker, delivery: _Delivery, last: Deadline) -> bool:
    """Put the rejects of a message where a person finds them; return whether there is a place for them."""
    settings = worker.settings
    source = delivery.message.source if delivery.message else None
    bucket = settings.rejects_bucket or (source.bucket if source else None)
    if bucket is None:
        log(logging.ERROR, "no place for rejects", messageId=delivery.message_id, reason="REJECTS_BUCKET is not set")
        return False
    name = delivery.message.name if delivery.message else delivery.message_id
    folder = folder_of(settings.rejects_prefix, source) if source else f"{settings.rejects_prefix}plain/"
    files = RejectFiles(folder, message_part(name, delivery.rejects))
    await worker.store.put(files.add(delivery.rejects) + files.flush(), bucket, last)
    return True
