"""Chunks of a CSV object -> messages and rejects: records, schema and messages joined. Pure.

This is all of the producer's work apart from S3 and SQS: the job only moves the results.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.identity import ObjectVersion
from engine.messages.message import Outgoing
from engine.messages.packed import Packer
from engine.messages.plain import PlainPacker
from engine.reading.block import Block, Position, Reject
from engine.reading.limits import USUAL_LIMITS, Limits
from engine.reading.reader import Found, ObjectReader
from engine.repeats import RepeatedKeys
from engine.schema.model import ORIGINS, Schema
from engine.schema.plan import RowPlan
from engine.spans import SPAN_START, ResumePoint

PART_BYTES = 4 * 1_048_576
"""About how much memory the rows that are converted together may take. Measured: with 2, 4 and 8 MiB the speed is the
same, and a file of short rows that become plain messages of 100 columns takes 29, 40 and 63 MB."""


class Converted(NamedTuple):
    """The result for some rows: how many were valid, full messages, and rejects in row order.

    Messages up to here have the numbers before `message`; they hold every row before number `row` that is no reject.
    `end` is where a reader can continue (None: only after a later `Converted`).
    """

    valid: int
    messages: list[Outgoing]
    rejects: list[Reject]
    end: Position | None
    row: int
    message: int


class Converter:
    """Converts one object, or the rest of it from a resume point; feed it chunks in order, then finish it.

    Either way it takes the object from its first byte, but see `jump`. From a resume point it makes the messages, and
    finds the rejects, that a converter of the whole object makes from there. It counts the rows from the point's
    position, also those in messages before the point. `span` is the first byte of the span that the point is in.
    """

    def __init__(
        self,
        source: ObjectVersion,
        schema: Schema,
        *,
        records_per_message: int,
        max_message_bytes: int,
        start: ResumePoint = SPAN_START,
        span: int = 0,
        run: int = 0,
        limits: Limits = USUAL_LIMITS,
    ) -> None:
        self._source, self._schema = source, schema
        self._records_per_message, self._max_message_bytes = records_per_message, max_message_bytes
        self._run = run
        self._start, self._next_row, self._message = start, start.row, start.message
        self._span = span
        self._reader = ObjectReader(schema.format, schema.wanted, start.position, limits)
        self.plan: RowPlan | None = None
        """How rows are cleaned, once there is a header."""
        self._packer: Packer | PlainPacker | None = None
        self.repeated: RepeatedKeys | None = None
        """The rows that replace others read here, once there is a header; None: the schema tells rows apart."""

    @property
    def found(self) -> Found | None:
        """What the object's first bytes turned out to be; None until there are enough of them."""
        return self._reader.found

    @property
    def waiting(self) -> int:
        """How many valid rows have not filled a message yet."""
        return self._packer.waiting if self._packer else 0

    def jump(self) -> int | None:
        """Return the offset of the byte to be fed next, if that is not the byte after the last one."""
        return self._reader.jump()

    def feed(self, chunk: bytes, processed_at: str) -> Iterator[Converted]:
        """Take the next bytes; `processed_at` is the time of packing. Raises `BadFile`."""
        return self._convert(self._reader.feed(chunk), processed_at)

    def finish(self, processed_at: str) -> Iterator[Converted]:
        """Take the end of the object. Raises `BadFile` if it had no usable header."""
        yield from self._convert(self._reader.finish(), processed_at)
        messages = self.flush(processed_at)
        self._message += len(messages)
        yield Converted(0, messages, [], None, self._next_row, self._message)

    def flush(self, processed_at: str) -> list[Outgoing]:
        """Return the rows that have not filled a message yet, as the last messages of the span. Raises `BadFile`."""
        # A header without a row is fine, but it must be the right header.
        _, packer = self._begin()
        return packer.flush(processed_at)

    def _convert(self, blocks: Iterable[Block], processed_at: str) -> Iterator[Converted]:
        for block in blocks:
            plan, packer = self._begin()
            for part in block.parts(max(1, PART_BYTES // plan.row_bytes)):
                yield self._convert_part(part, plan, packer, processed_at)

    def _convert_part(self, block: Block, plan: RowPlan, packer: Packer | PlainPacker, processed_at: str) -> Converted:
        rows, bad = plan.clean(block.numbers, block.rows)
        rejects = block.rejects + [block.reject(i, reason) for i, reason in bad.items()]
        messages, oversize = packer.add(rows, processed_at)
        if oversize:
            index = {number: i for i, number in enumerate(block.numbers)}
            limit = f"the row does not fit into a message of {self._max_message_bytes:,} bytes (MAX_MESSAGE_BYTES)"
            rejects += [block.reject(index[row], limit) for row in oversize]
        rejects.sort()
        if self.repeated:
            self.repeated.add([row for row in rows if row[0] not in oversize] if oversize else rows)
        self._message += len(messages)
        last = max(block.numbers[-1] if block.numbers else 0, block.rejects[-1].row if block.rejects else 0)
        self._next_row = max(self._next_row, last + 1)
        row = packer.first_waiting or self._next_row
        return Converted(len(rows) - len(oversize), messages, rejects, block.end, row, self._message)

    def _begin(self) -> tuple[RowPlan, Packer | PlainPacker]:
        if self.plan is None or self._packer is None:
            plan = self._schema.plan(self._reader.header or [], ORIGINS[self._reader.type])
            attributes = plan.attributes
            if not self._schema.tells_rows_apart:
                # What is generated is the same for all rows of an object; a row begins with its number.
                self.repeated = RepeatedKeys(
                    [1 + attributes.index(name) for name in self._schema.keys if name in attributes]
                )
            self._packer = (
                PlainPacker(
                    self._source,
                    self._schema,
                    attributes,
                    span=self._span,
                    number=self._start.message,
                    first_row=self._start.row,
                    run=self._run,
                    max_bytes=self._max_message_bytes,
                )
                if self._records_per_message == 1 and self._schema.is_plain and not plan.rest
                else Packer(
                    self._source,
                    attributes,
                    span=self._span,
                    number=self._start.message,
                    first_row=self._start.row,
                    run=self._run,
                    max_records=self._records_per_message,
                    max_bytes=self._max_message_bytes,
                )
            )
            self.plan = plan
        return self.plan, self._packer
