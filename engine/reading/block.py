"""The types that every reader yields: blocks of records and rejects."""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.reading.format import Dialect
from engine.reading.lines import line_ends

MAX_RECORD_BYTES = 1_048_576
"""No longer record can reach DynamoDB (an item has at most 400 KB) or fit into an SQS message (1 MiB)."""

# csv's own limit (131,072 characters) is a setting of the process, not of a reader. Readers check lengths themselves.
csv.field_size_limit(2**31 - 1)


class Reject(NamedTuple):
    r"""A record that can never be written: its row number, byte offset in the object, the reason, and its text.

    `record` is the original text without its line end; bytes that are not UTF-8 appear in it as ``\xff``. `offset` is
    None if only a message was available, not the file.
    """

    row: int
    offset: int | None
    reason: str
    record: str


class Position(NamedTuple):
    """A place between two records of a text, from which a new reader can continue.

    `offset`: the first byte to read, of the object's text in UTF-8: for an object that is neither compressed nor in
    another encoding, of the object itself. `row`: the number of the first row there. `header`: the field names (None:
    the first record there is the header). `rescanned`: the bytes that broken records have cost so far; see
    `engine.reading.limits`. `in_long_record`: the bytes up to the next line end belong to a record that is already
    rejected. `dialect`: how a CSV file is written (None: to be found from its first bytes).
    """

    offset: int = 0
    row: int = 1
    header: Sequence[str] | None = None
    rescanned: int = 0
    in_long_record: bool = False
    dialect: Dialect | None = None


FILE_START = Position()


def utf_8_text(record: bytes) -> str:
    r"""Return bytes as text; those that are not UTF-8 become ``\xff``."""
    return record.decode(errors="backslashreplace")


class SourceBytes:
    """The bytes that a block came from; lines are only looked for when a record is asked for.

    `ends` are the ends of its records, relative to the data (None: each line is a record). `as_text` makes a record's
    bytes readable.
    """

    __slots__ = ("_as_text", "_data", "_ends", "_offset", "_record_bytes")

    def __init__(
        self,
        data: bytes,
        offset: int,
        ends: Sequence[int] | None = None,
        record_bytes: int = MAX_RECORD_BYTES,
        as_text: Callable[[bytes], str] = utf_8_text,
    ) -> None:
        self._data, self._offset, self._ends, self._record_bytes = data, offset, ends, record_bytes
        self._as_text = as_text

    def reject(self, place: int, number: int, reason: str) -> Reject:
        """Return the record with index `place` as a reject with that row number."""
        if self._ends is None:
            self._ends = line_ends(self._data)
        low = self._ends[place - 1] if place else 0
        high = min(self._ends[place], low + self._record_bytes)
        return Reject(number, self._offset + low, reason, self._as_text(self._data[low:high].rstrip(b"\r\n")))


@dataclass(frozen=True, slots=True)
class Block:
    """Records that became complete together, in the order of the file.

    `rows[i]` has the fields of row number `numbers[i]`. `rejects` are in the order of their row numbers, which are
    between those of the rows. `end` is where another reader can continue (None: only after a later part of the block).
    `places[i]` is the index of row i among the records of `source`.
    """

    numbers: Sequence[int]
    rows: list[list[str]]
    rejects: list[Reject]
    end: Position | None
    source: SourceBytes
    places: Sequence[int]

    def reject(self, index: int, reason: str) -> Reject:
        """Return row `index` of this block as a reject, with its offset and original text."""
        return self.source.reject(self.places[index], self.numbers[index], reason)

    def parts(self, most: int) -> Iterator[Block]:
        """Yield this block in parts of at most `most` rows, each with the rejects before the first row of the next."""
        if len(self.rows) <= most:
            yield self
            return
        start = rejected = 0
        while start + most < len(self.rows):
            stop = start + most
            own_stop = bisect_left(self.rejects, self.numbers[stop], rejected, key=_row)
            yield self._part(slice(start, stop), slice(rejected, own_stop), None)
            start, rejected = stop, own_stop
        yield self._part(slice(start, None), slice(rejected, None), self.end)

    def _part(self, rows: slice, rejects: slice, end: Position | None) -> Block:
        return Block(self.numbers[rows], self.rows[rows], self.rejects[rejects], end, self.source, self.places[rows])


def _row(reject: Reject) -> int:
    return reject.row
