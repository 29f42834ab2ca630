"""Why rows of an object were rejected, from its reject files. Pure; a bit a row, whatever the object's size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.reading.block import Reject
from engine.rejects import MAX_REASONS, OTHER_REASONS


class RowSet:
    """A set of row numbers, from 1 to `rows`; it takes a bit for each up to the highest one in it."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._bits = bytearray()
        self._count = 0
        self.last = 0
        """The highest row in it."""

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row: int) -> bool:
        return 1 <= row <= self.last and bool(self._bits[row >> 3] & 1 << (row & 7))

    def add(self, row: int) -> bool:
        """Add a row; return whether it is new. A number that no row of the object has is ignored."""
        if row in self or not 1 <= row <= self._rows:
            return False
        if row > self.last:
            self._bits.extend(bytes((row >> 3) + 1 - len(self._bits)))
            self.last = row
        self._bits[row >> 3] |= 1 << (row & 7)
        self._count += 1
        return True


@dataclass(slots=True)
class Reason:
    """Why rows were rejected: how many, and the first of them."""

    text: str
    rows: int
    first: Reject


class Reasons:
    """Counts the rejects of an object with so many `rows` by reason.

    Each row counts once: a message that is delivered twice may leave it in two files.
    """

    def __init__(self, rows: int) -> None:
        self.rows = RowSet(rows)
        """The rows that were rejected."""
        self._reasons: dict[str, Reason] = {}

    def add(self, rejects: Iterable[Reject]) -> None:
        """Take the rejects of one file."""
        for reject in rejects:
            if not self.rows.add(reject.row):
                continue
            known = reject.reason in self._reasons or len(self._reasons) < MAX_REASONS
            text = reject.reason if known else OTHER_REASONS
            reason = self._reasons.setdefault(text, Reason(text, 0, reject))
            reason.rows += 1
            if reject.row < reason.first.row:
                reason.first = reject

    def by_count(self) -> list[Reason]:
        """Return the reasons, the most frequent first."""
        return sorted(self._reasons.values(), key=lambda reason: (-reason.rows, reason.text))
