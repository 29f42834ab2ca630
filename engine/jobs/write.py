"""Write a batch of SQS messages: messages -> items -> the table, and an exact list of what must come again.

Each message ends in one of three ways. It is acknowledged once each of its rows is written or recorded as a reject.
Where a slow table left no time, its unwritten rows are handed on: they go back to the queue as a new message, and only
then is the original acknowledged. So waiting for the table never counts as a failed receive, and the dead-letter queue
is left to messages that are at fault themselves: these come back as failures.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.aws.queues import QueueSender
from engine.aws.reject_store import RejectStore
from engine.config import WorkerSettings
from engine.errors import DeadlineExceeded, MalformedMessage, ServiceError, Verdict, table_at_fault
from engine.flow.backoff import Deadline
from engine.items import Items
from engine.jobs.account import Accounting
from engine.logs import log, measure
from engine.messages.message import RUN, Message, Outgoing, Refused
from engine.messages.parse import parse_message
from engine.messages.rest import FAILING, SUPERSEDED, WRITTEN, count_in, rest_of
from engine.outcome import Outcome
from engine.reading.block import Reject
from engine.rejects import RejectFiles, folder_of, message_part, record_of
from engine.tallies import Counts
from engine.throttling import throttling_metrics

MAX_FAILING_ROUNDS = 100
"""How many times in a row a message is handed on because of broken answers before that is called its own fault: nobody
can tell one row's fault from the table's at once. At a minute and more each, that is longer than most outages."""

HAND_ON_SECONDS = 1.0
"""Kept back of the time for the ledger."""

MAX_INGESTIONS = 50
"""Ingestions named in the log line of a batch: 1.2 KB. A batch has more of them only where files are tiny."""

REJECTS_AT_ONCE = 8
"""Reject files put at a time."""


class Writer(Protocol):
    """What writes items into the table: `TableWriter` or `NewestWriter`."""

    @property
    def operation(self) -> str:
        """The name of the operation that it calls."""

    async def write(self, items: Items, deadline: Deadline) -> Outcome:
        """Write the items; see `TableWriter.write`."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What an invocation works with: settings and open clients.

    `queue` opens the queue that messages are handed on to, which most invocations never need; None: there is none,
    and such messages come back as failures. `accounting` is None where there is no ledger.
    """

    settings: WorkerSettings
    writer: Writer
    store: RejectStore
    queue: Callable[[], QueueSender] | None
    accounting: Accounting | None = None


@dataclass(slots=True)
class _Delivery:
    """One SQS message of the batch, and which of the items are its own."""

    record: dict[str, Any]
    message: Message | None = None
    refused: Refused | None = None
    own: range = range(0)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def message_id(self) -> str:
        return str(self.record["messageId"])

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.record.get("messageAttributes") or {})

    @property
    def account(self) -> tuple[str, int, int, int] | None:
        """Where the ledger notes the message: ingestion, its run, span and message number.

        None for other programs' messages.
        """
        read = self.message or self.refused
        return (read.ingestion, count_in(self.attributes, RUN), *read.place) if read and read.place else None

    def counts(self, outcome: Outcome) -> Counts:
        """Return what became of all rows of the original message."""
        if self.message is None:
            return Counts(rejected=1)
        before, own = self.attributes, self.own
        superseded = sum(index in outcome.superseded for index in own) if outcome.superseded else 0
        written = outcome.written.count(1, own.start, own.stop) - superseded
        earlier = count_in(before, SUPERSEDED)
        return Counts(
            written + count_in(before, WRITTEN) - earlier,
            len(own) - written - superseded,
            superseded + earlier,
        )


async def work(worker: Worker, event: Any, deadline: Deadline, last: Deadline) -> dict[str, Any]:
    """Write the rows of a batch until `deadline`, hand on and record rejects until `last`.

    Returns which messages must come again, as Lambda wants it. Raises `ServiceError` or `ConfigError` when the table
    cannot be written to at all: then SQS delivers the whole batch again.
    """
    failures: list[str] = []
    items = Items(worker.settings.schema, worker.settings.ttl_days)
    deliveries = [each for record in event["Records"] if (each := _read(worker, record, items, failures))]
    # What the schema refuses is settled now: its rejects need not wait for the rows of other messages.
    refused = [each for each in deliveries if each.message is None]
    recording = asyncio.create_task(_record_all(worker, refused, last))
    try:
        outcome = await worker.writer.write(items, deadline)
        _check_refusals(outcome, deliveries, worker.writer.operation)
        settled, waiting = [], []
        for delivery in deliveries:
            if delivery.message is None:
                continue
            if outcome.settled(delivery.own):
                settled.append(delivery)
            elif worker.queue is None or _is_at_fault(delivery, outcome):
                failures.append(delivery.message_id)
            else:
                waiting.append(delivery)
        handed_on = await _hand_on(worker, [(each, _rest(each, outcome)) for each in waiting], last)
        failures += [delivery.message_id for i, delivery in enumerate(waiting) if i not in handed_on]
        failures += await recording
    finally:
        recording.cancel()
    for delivery in settled:
        _note_refused(delivery, outcome)
    failures += await _record_all(worker, settled, last)
    done = [each for each in (*settled, *refused) if each.message_id not in failures]
    failures += await _account_all(worker, done, outcome, last)
    superseded = len(outcome.superseded)
    written = sum(outcome.written) - superseded
    rejected = sum(len(delivery.rejects) for delivery in deliveries)
    log(
        logging.WARNING if failures or rejected else logging.INFO,
        "batch",
        messages=len(event["Records"]),
        **_ingestions(deliveries),
        written=written,
        superseded=superseded,
        rejected=rejected,
        returned=len(failures),
        handedOn=len(handed_on),
        outOfTime=outcome.out_of_time,
        **({"throttled": dict(outcome.throttled)} if outcome.throttled else {}),
        **({"unprocessed": outcome.unprocessed} if outcome.unprocessed else {}),
    )
    counts = {
        "RowsWritten": written,
        "RowsSuperseded": superseded,
        "RowsRejected": rejected,
        "MessagesReturned": len(failures),
        "MessagesHandedOn": len(handed_on),
    }
    if worker.settings.schema.conflict != "newest":
        del counts["RowsSuperseded"]  # it would always be 0, and each metric is billed
    # Metrics are billed: these are written only when there is something.
    counts |= throttling_metrics(outcome.throttled)
    measure(worker.settings.function, counts)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


def _read(worker: Worker, record: dict[str, Any], items: Items, failures: list[str]) -> _Delivery | None:
    """Read a message into `items`; one that cannot be read goes to `failures`."""
    delivery = _Delivery(record)
    sent = int(record.get("attributes", {}).get("SentTimestamp", 0)) // 1000
    try:
        message = parse_message(record["body"], delivery.attributes, delivery.message_id, sent, worker.settings.schema)
        if isinstance(message, Refused):
            delivery.refused = message
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


def _ingestions(deliveries: Sequence[_Delivery]) -> dict[str, Any]:
    """Return which ingestions the messages are of, as the log line names them."""
    ids = list(dict.fromkeys(each.account[0] for each in deliveries if each.account))
    more = len(ids) - MAX_INGESTIONS
    return {"ingestions": ids[:MAX_INGESTIONS], **({"moreIngestions": more} if more > 0 else {})}


def _is_at_fault(delivery: _Delivery, outcome: Outcome) -> bool:
    """Return whether a message is unfinished through a fault of its own, not for want of time."""
    return count_in(delivery.attributes, FAILING) >= MAX_FAILING_ROUNDS and outcome.is_failing(delivery.own)


def _check_refusals(outcome: Outcome, deliveries: Sequence[_Delivery], operation: str) -> None:
    """Raise `ServiceError` when the rows were refused through a fault of the table, see `table_at_fault`.

    Rows that are written already count too, and nothing is concluded from the few that were tried in a short time.
    """
    before = sum(count_in(delivery.attributes, WRITTEN) for delivery in deliveries)
    blame = table_at_fault(outcome.refused.values(), sum(outcome.written) + before)
    if blame and not outcome.out_of_time:
        raise ServiceError(operation, "ValidationException", 400, blame, verdict=Verdict.FATAL)


async def _hand_on(worker: Worker, waiting: Sequence[tuple[_Delivery, Outgoing]], last: Deadline) -> set[int]:
    """Send what is left of these messages back to the queue; return the indexes of those that are there.

    Rows that DynamoDB refused go along: they are recorded when the rest of their message is done, all at once and under
    the same name on each attempt.
    """
    if not waiting or worker.queue is None:
        return set()
    try:
        handed_on = await worker.queue().send_each([rest for _, rest in waiting], last)
    except ServiceError as error:
        log(logging.ERROR, "not handed on", messages=len(waiting), reason=str(error))
        return set()
    if len(handed_on) < len(waiting):
        log(logging.ERROR, "not handed on", messages=len(waiting) - len(handed_on), reason="no time left, or refused")
    return handed_on


def _rest(delivery: _Delivery, outcome: Outcome) -> Outgoing:
    message, own = delivery.message, delivery.own
    assert message is not None  # noqa: S101 - only a message that was read has items that are not written
    left = [index - own.start for index in outcome.unwritten(own)]
    return rest_of(
        delivery.record["body"],
        delivery.attributes,
        message,
        left,
        superseded=sum(index in outcome.superseded for index in own) if outcome.superseded else 0,
        failing=outcome.is_failing(delivery.own),
    )


async def _account_all(worker: Worker, done: Sequence[_Delivery], outcome: Outcome, last: Deadline) -> list[str]:
    """Note in the ledger what became of messages; return the ids of those that must come again.

    A message that cannot be accounted for now is handed on, as after server errors, with all of its rows: they are
    written again, which changes nothing. Raises `ServiceError` where the ledger cannot be written to at all.
    """
    if worker.accounting is None:
        return []
    spans: dict[tuple[str, int, int], list[tuple[int, _Delivery]]] = {}
    for delivery in done:
        if delivery.account:
            ingestion, run, span, number = delivery.account
            spans.setdefault((ingestion, run, span), []).append((number, delivery))
    # Kept for handing on, in case the ledger takes all the time there is.
    deadline = Deadline(last.at - HAND_ON_SECONDS)
    results = await asyncio.gather(
        *(
            worker.accounting.settle(
                ingestion, span, {number: each.counts(outcome) for number, each in messages}, deadline, run=run
            )
            for (ingestion, run, span), messages in spans.items()
        ),
        return_exceptions=True,
    )
    held: list[_Delivery] = []
    for result, messages in zip(results, spans.values(), strict=True):
        if isinstance(result, ServiceError) and result.verdict in (Verdict.EXPIRED, Verdict.FATAL):
            raise result
        if isinstance(result, ServiceError | DeadlineExceeded):
            log(logging.ERROR, "not accounted for", messages=len(messages), reason=str(result))
            held += [delivery for _, delivery in messages]
        elif isinstance(result, BaseException):
            raise result
    return await _hold_back(worker, held, last)


async def _hold_back(worker: Worker, held: Sequence[_Delivery], last: Deadline) -> list[str]:
    """Hand messages on with all of their rows; return the ids of those that come back as failures instead."""
    again = []
    for delivery in held:
        message = delivery.message
        if message and count_in(delivery.attributes, FAILING) < MAX_FAILING_ROUNDS:
            whole = range(len(message.numbers))
            again.append(
                (delivery, rest_of(delivery.record["body"], delivery.attributes, message, whole, failing=True))
            )
    handed_on = await _hand_on(worker, again, last)
    safe = {delivery.message_id for i, (delivery, _) in enumerate(again) if i in handed_on}
    return [delivery.message_id for delivery in held if delivery.message_id not in safe]


def _note_refused(delivery: _Delivery, outcome: Outcome) -> None:
    """Note the rows of a settled message that DynamoDB refused as its rejects."""
    own, message = delivery.own, delivery.message
    assert message is not None  # noqa: S101 - only a message that was read has items
    for index in outcome.unwritten(own):
        place = index - own.start
        record = record_of(message.row(place))
        delivery.rejects.append(Reject(message.numbers[place], None, outcome.refused[index], record))


async def _record_all(worker: Worker, deliveries: Sequence[_Delivery], last: Deadline) -> list[str]:
    """Record the rejects of messages whose rows are all written or refused; return the ids of those that failed."""
    at_once = asyncio.Semaphore(REJECTS_AT_ONCE)

    async def record(delivery: _Delivery) -> bool:
        async with at_once:
            return await _record_rejects(worker, delivery, last)

    having = [delivery for delivery in deliveries if delivery.rejects]
    recorded = await asyncio.gather(*map(record, having))
    return [delivery.message_id for delivery, done in zip(having, recorded, strict=True) if not done]


async def _record_rejects(worker: Worker, delivery: _Delivery, last: Deadline) -> bool:
    """Record the rejects of a message; return whether that was done."""
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
    # One file, as large as it gets from a message of 1 MiB: rows that a sender gave one number would share its name.
    files = RejectFiles(folder, message_part(name, delivery.rejects), file_bytes=sys.maxsize)
    await worker.store.put(files.add(delivery.rejects) + files.flush(), bucket, last)
    return True
