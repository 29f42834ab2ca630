"""A huge CSV file with quotes and line breaks in them, of which any range can be made without what is before. Pure.

Blocks of `BLOCK_ROWS` rows differ in nothing but the number of the block, which is in each row. With the row's place in
the block it makes the number of the row in the file, so that a message shows whether its row numbers are right.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import data

BLOCK_ROWS = 10_000
LINE_BREAK_EVERY, DOUBLED_EVERY = 50, 20
"""One row in so many has a line break in a quoted field, and one has doubled quotes."""

_BLOCK_DIGITS = 6
_KEY = re.compile(rf"uploads/quoted-([0-9]{{1,{_BLOCK_DIGITS}}})\.csv")
_PLACE = b"#" * _BLOCK_DIGITS
_MAIL = re.compile(r"user([0-9]{10})@example\.com")


def _row(index: int) -> str:
    name = (
        f'Doe, John Alexandra Maria Theodora Benedict "JA{index % 97}"'
        if index % DOUBLED_EVERY == 7
        else f"John Alexandra Maria Theodora Benedict Constantine {index}"
    )
    if index % LINE_BREAK_EVERY == 3:
        name = name.replace(" ", "\n", 2)
    name = name.replace('"', '""')
    return f'"{name}","user{_PLACE.decode()}{index:04d}@example.com",98{index:08d}\n'


_BLOCK = "".join(map(_row, range(BLOCK_ROWS))).encode()


@dataclass(frozen=True, slots=True)
class QuotedObject:
    """An object that was never stored."""

    key: str
    blocks: int
    modified: int = data.MODIFIED
    content_type: str = "text/csv"
    version: str | None = None

    @property
    def rows(self) -> int:
        """Its records without the header."""
        return self.blocks * BLOCK_ROWS

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(data.HEADER) + self.blocks * len(_BLOCK)

    @property
    def etag(self) -> str:
        """Its ETag, without quotes."""
        return hashlib.md5(self.key.encode(), usedforsecurity=False).hexdigest()

    def pieces(self, first: int, behind: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `first` on, before `behind`."""
        at = first
        while at < behind:
            if at < len(data.HEADER):
                start, piece = at, data.HEADER
            else:
                number, start = divmod(at - len(data.HEADER), len(_BLOCK))
                piece = _BLOCK.replace(_PLACE, b"%0*d" % (_BLOCK_DIGITS, number))
            part = memoryview(piece)[start : start + behind - at]
            yield part
            at += len(part)


def of_size(size: int) -> QuotedObject:
    """Return an object of about that many bytes."""
    blocks = max(1, round(size / len(_BLOCK)))
    return QuotedObject(f"uploads/quoted-{blocks}.csv", blocks)


def quoted(bucket: str, key: str) -> QuotedObject | None:
    """Return the object of that key; None if it is none."""
    found = _KEY.fullmatch(key)
    return QuotedObject(key, int(found[1])) if found else None


def is_right(numbers: Sequence[int], mails: Sequence[str]) -> bool:
    """Return whether rows with these mail addresses have these numbers."""
    found = [int(match[1]) + 1 for match in map(_MAIL.fullmatch, mails) if match]
    return found == numbers
