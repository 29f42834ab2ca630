"""What loading an object would write, reject and use, found by converting it without sending anything. Pure.

The rows go through the producer's and the worker's own code, so rows, rejects, items, messages and calls are those of
the load. Prices are `engine.prices`' business.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import astuple, dataclass, field

from engine.convert import Converted, Converter
from engine.frequent import Frequent
from engine.identity import ObjectVersion
from engine.item_size import item_bytes, utf8_bytes, write_units
from engine.items import MAX_BATCH_ITEMS, Items
from engine.messages.message import Message, Outgoing, is_full
from engine.messages.parse import parse_message
from engine.reading.block import Reject
from engine.reading.reader import Found
from engine.reject_limit import RejectLimit
from engine.rejects import MAX_REASONS, OTHER_REASONS
from engine.schema.model import Schema
from engine.tallies import FAN_OUT

EVENT_MESSAGES = 10
"""Messages that one invocation of a worker gets: the default of the template's `WorkerBatchSize`."""

BILLED_BYTES = 65_536
"""SQS bills each so many bytes begun as one request."""

PROCESSED_AT = "2000-01-01T00:00:00.000Z"
"""Stands for the time of packing, which has the same length."""

EXAMPLES = 3
"""Rejects of each reason that are kept."""

SAMPLE_EVERY = 101
"""Of so many items one is measured to the byte for the mean size."""


@dataclass(slots=True)
class Reason:
    """Why rows are rejected: how many, and the first ones."""

    rows: int = 0
    first: list[Reject] = field(default_factory=list)


@dataclass(slots=True)
class Usage:
    """What a load uses. Retries, replicas and secondary indexes of the table come on top.

    `write_units` are those of the table if nothing larger is replaced, `ledger_units` about those of the ledger.
    `sqs_requests` are as SQS bills them: sent, received and deleted.
    """

    bytes: int = 0
    rows: int = 0
    valid: int = 0
    items: int = 0
    messages: int = 0
    send_calls: int = 0
    sqs_requests: int = 0
    invocations: int = 0
    write_calls: int = 0
    write_units: int = 0
    ledger_units: int = 0

    def plus(self, other: Usage) -> Usage:
        """Return the sum."""
        return Usage(*map(sum, zip(astuple(self), astuple(other), strict=True)))


class Estimate:
    """Takes the bytes of one object in chunks, then its end; then it has the figures.

    `records_per_message`, `max_message_bytes`, `max_batch_bytes` and `max_rejects` are the producer's settings.
    """

    def __init__(
        self,
        source: ObjectVersion,
        schema: Schema,
        *,
        records_per_message: int,
        max_message_bytes: int,
        max_batch_bytes: int,
        max_rejects: RejectLimit,
    ) -> None:
        self._schema, self._max_batch_bytes, self._max_rejects = schema, max_batch_bytes, max_rejects
        self._converter = Converter(
            source, schema, records_per_message=records_per_message, max_message_bytes=max_message_bytes
        )
        self.usage = Usage()
        self.reasons: dict[str, Reason] = {}
        self.partition_keys = Frequent()
        self.largest = 0
        """Bytes of the largest item."""
        self.fails_after: int | None = None
        """The rows after which the load is given up, for more rejects than are allowed; the figures are of all rows."""
        self._sampled, self._sampled_bytes = 0, 0
        self._batch, self._batch_bytes = 0, 0
        self._group: list[Message] = []

    @property
    def found(self) -> Found | None:
        """What the object's first bytes turned out to be."""
        return self._converter.found

    @property
    def columns(self) -> tuple[Sequence[str | int], Sequence[str | int]]:
        """The columns that only the object has, and those that only the schema has."""
        plan = self._converter.plan
        return (plan.ignored, plan.absent) if plan else ((), ())

    @property
    def rejected(self) -> int:
        """Rows that are rejected."""
        return self.usage.rows - self.usage.valid

    @property
    def replaced(self) -> tuple[int, bool]:
        """How many rows a later row with the same key replaces, and whether it is no more than that."""
        repeated = self._converter.repeated
        return (repeated.count, repeated.is_exact) if repeated else (0, True)

    @property
    def mean_item_bytes(self) -> float:
        """Bytes of an item in the mean of a sample."""
        return self._sampled_bytes / self._sampled if self._sampled else 0.0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises `BadFile` if the object is refused: then `stop`."""
        self.usage.bytes += len(chunk)
        for converted in self._converter.feed(chunk, PROCESSED_AT):
            self._add(converted)

    def finish(self) -> None:
        """Take the end of the object. Raises `BadFile` if the object is refused: then `stop`."""
        for converted in self._converter.finish(PROCESSED_AT):
            self._add(converted)
        self._check_rejects(at_end=True)
        self._end()

    def stop(self) -> None:
        """Count what is sent of an object that is refused: the rows before the fault."""
        if self._converter.plan:
            self._add_messages(self._converter.flush(PROCESSED_AT))
        self._end()

    def _add(self, converted: Converted) -> None:
        self.usage.valid += converted.valid
        self.usage.rows += converted.valid + len(converted.rejects)
        for reject in converted.rejects:
            known = reject.reason in self.reasons or len(self.reasons) < MAX_REASONS
            reason = self.reasons.setdefault(reject.reason if known else OTHER_REASONS, Reason())
            reason.rows += 1
            if len(reason.first) < EXAMPLES:
                reason.first.append(reject)
        self._add_messages(converted.messages)
        self._check_rejects(at_end=False)

    def _check_rejects(self, *, at_end: bool) -> None:
        """Note where the producer would give up the object."""
        if self.fails_after is None and self._max_rejects.problem(self.usage.rows, self.rejected, at_end=at_end):
            self.fails_after = self.usage.rows

    def _add_messages(self, messages: Sequence[Outgoing]) -> None:
        for outgoing in messages:
            size = outgoing.size
            if is_full(self._batch, self._batch_bytes + size, self._max_batch_bytes):
                self._end_batch()
            self._batch += 1
            self._batch_bytes += size
            self.usage.messages += 1
            message = parse_message(outgoing.body.decode(), {}, "", 0, self._schema)
            if isinstance(message, Message):  # what the producer packs is never refused
                self._group.append(message)
            if len(self._group) == EVENT_MESSAGES:
                self._end_group()

    def _end_batch(self) -> None:
        self.usage.send_calls += 1
        self.usage.sqs_requests += 2 * -(-self._batch_bytes // BILLED_BYTES)  # sent, and received
        self._batch = self._batch_bytes = 0

    def _end_group(self) -> None:
        """Count what an invocation of a worker does with its messages."""
        items = Items(self._schema)
        for message in self._group:
            items.add(message)
            self.partition_keys.add(self._partition_keys(message))
        self._group.clear()
        self.usage.invocations += 1
        self.usage.sqs_requests += 1  # deleted
        written: Sequence[int] = range(len(items))
        if self._schema.conflict == "newest":
            # Each key has a call of its own, with its highest version; see `engine.aws.newest_writer`.
            written = sorted(versions[-1] for versions in items.by_key())
            self.usage.write_calls += len(written)
        else:
            self.usage.write_calls += sum(-(-len(wave) // MAX_BATCH_ITEMS) for wave in items.waves())
        texts = items.each(written)
        self.usage.items += len(texts)
        self.usage.write_units += sum(map(write_units, texts))
        sample = [item_bytes(text) for text in texts[::SAMPLE_EVERY]]
        self._sampled += len(sample)
        self._sampled_bytes += sum(sample)
        # The longest JSON is the largest item, but for numbers, of which two digits take a byte.
        self.largest = max(self.largest, item_bytes(max(texts, key=utf8_bytes)), *sample)

    def _partition_keys(self, message: Message) -> Sequence[Hashable]:
        """Return the partition keys of a message's rows; none where each row has its own by definition."""
        name = self._schema.partition_key
        if name in message.columns:
            return message.values[message.columns.index(name)]
        if self._schema.generated.get(name) in ("version", "row_number"):
            return ()
        return [name] * len(message.numbers)

    def _end(self) -> None:
        if self._batch:
            self._end_batch()
        if self._group:
            self._end_group()
        # 8 units for the object, and one for each tally that an invocation of a worker touches; see docs/ledger.md.
        self.usage.ledger_units = 8 + self.usage.invocations + -(-self.usage.messages // FAN_OUT)
