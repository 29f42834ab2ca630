"""What every reader yields: blocks of records, and rejects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

MAX_RECORD_BYTES = 1_048_576
"""No record longer than this can reach DynamoDB (an item has at most 400 KB) nor fit an SQS message (1 MiB)."""


class Reject(NamedTuple):
    r"""A record that can never be written: its row number, byte offset in the object, the reason, and its text.

    `record` is the original text without its line end; bytes that are not UTF-8 stand in it as ``\xff``. `offset` is
    None where only a message was at hand, not the file.
    """

    row: int
    offset: int | None
    reason: str
    record: str


@dataclass(slots=True)
class Block:
    """Records that became complete together, in the order of the file.

    `rows[i]` has the fields of row number `numbers[i]`; `end` is the byte offset just behind the last record of the
    block, where another reader could go on.
    """

    numbers: Sequence[int]
    rows: list[list[str]]
    rejects: list[Reject]
    end: int
    _source: SourceBytes

    def reject(self, index: int, reason: str) -> Reject:
        """Return row `index` of this block as a reject, with its offset and original text."""
        return self._source.reject(index, self.numbers[index], reason)


class SourceBytes:
    """The bytes that the rows of a block came from; lines are looked for only once something asks for them."""

    __slots__ = ("_data", "_offsets", "decoded", "offset", "spans")

    def __init__(self, data: bytes, offset: int) -> None:
        self._data, self.offset = data, offset
        self._offsets: list[int] = []
        self.decoded = True
        """False once the bytes have turned out not to be UTF-8 throughout."""
        self.spans: list[tuple[int, int]] | None = None
        """First line and line behind the last one of each row; None where row i is line i."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self._data)

    @property
    def has_quotes(self) -> bool:
        """Whether there is a quote among the bytes."""
        return b'"' in self._data

    def text(self) -> str:
        """Return the bytes as text; what is not UTF-8 becomes surrogates, and `decoded` False."""
        try:
            return self._data.decode()
        except UnicodeDecodeError:
            self.decoded = False
            return self._data.decode(errors="surrogateescape")

    def line_offsets(self) -> list[int]:
        """Return where each line begins, relative to the data, and then the end of the last one."""
        if not self._offsets:
            self._offsets = [0, *accumulate(map(len, self._data.splitlines(keepends=True)))]
        return self._offsets

    def reject(self, index: int, number: int, reason: str) -> Reject:
        """Return row `index` as a reject with that row number."""
        first, behind = (index, index + 1) if self.spans is None else self.spans[index]
        offsets = self.line_offsets()
        low, high = offsets[first], min(offsets[behind], offsets[first] + MAX_RECORD_BYTES)
        return Reject(number, self.offset + low, reason, as_text(self._data[low:high]))

    def keep(self, kept: list[int]) -> None:
        """Note that only the rows with these indexes are left."""
        self.spans = [(i, i + 1) for i in kept] if self.spans is None else [self.spans[i] for i in kept]


def as_text(record: bytes) -> str:
    r"""Return the text of a record without its line end; bytes that are not UTF-8 become ``\xff``."""
    return record.rstrip(b"\r\n").decode("utf-8", errors="backslashreplace")
