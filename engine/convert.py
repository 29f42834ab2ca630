"""Chunks of a CSV object -> messages and rejects: records, schema and messages joined. Pure.

The handler only has to move what comes out: this is the whole of the producer's work apart from S3 and SQS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.identity import ObjectVersion
from engine.messages.message import Outgoing
from engine.messages.packed import Packer
from engine.messages.plain import PlainPacker
from engine.reading.block import Block, Reject
from engine.reading.delimited import CsvReader
from engine.schema.columns import RowPlan
from engine.schema.model import Schema


class Converted(NamedTuple):
    """What came out of some bytes: how many rows were valid, messages that are full, and rejects in row order."""

    valid: int
    messages: list[Outgoing]
    rejects: list[Reject]


class Converter:
    """Converts one object; feed it chunks in order, then finish it."""

    def __init__(
        self, source: ObjectVersion, schema: Schema, *, records_per_message: int, max_message_bytes: int
    ) -> None:
        self._source, self._schema = source, schema
        self._records_per_message, self._max_message_bytes = records_per_message, max_message_bytes
        self._reader = CsvReader()
        self._plan: RowPlan | None = None
        self._packer: Packer | PlainPacker | None = None

    def feed(self, chunk: bytes, processed_at: str) -> Iterator[Converted]:
        """Take the next bytes; `processed_at` is the time of packing. Raises `BadFile`."""
        return self._convert(self._reader.feed(chunk), processed_at)

    def finish(self, processed_at: str) -> Iterator[Converted]:
        """Take the end of the object. Raises `BadFile` if it had no usable header."""
        yield from self._convert(self._reader.finish(), processed_at)
        # A header without a row is fine, but it must be the right header.
        _, packer = self._begin()
        yield Converted(0, packer.flush(processed_at), [])

    def _convert(self, blocks: Iterable[Block], processed_at: str) -> Iterator[Converted]:
        for block in blocks:
            plan, packer = self._begin()
            rows, bad = plan.clean(block.numbers, block.rows)
            rejects = block.rejects + [block.reject(i, reason) for i, reason in bad.items()]
            messages, oversize = packer.add(rows, processed_at)
            if oversize:
                index = {number: i for i, number in enumerate(block.numbers)}
                limit = f"the row does not fit into a message of {self._max_message_bytes:,} bytes (MAX_MESSAGE_BYTES)"
                rejects += [block.reject(index[row], limit) for row in oversize]
            rejects.sort()
            yield Converted(len(rows) - len(oversize), messages, rejects)

    def _begin(self) -> tuple[RowPlan, Packer | PlainPacker]:
        if self._plan is None or self._packer is None:
            self._plan = self._schema.plan(self._reader.header or [])
            attributes = self._plan.attributes
            self._packer = (
                PlainPacker(self._source, self._schema, attributes, max_bytes=self._max_message_bytes)
                if self._records_per_message == 1
                else Packer(
                    self._source, attributes, max_records=self._records_per_message, max_bytes=self._max_message_bytes
                )
            )
        return self._plan, self._packer
