"""Which rows of an object are written, rejected or missing. Pure; two bits a row, whatever the object's size.

rows = written + rejected + missing, at any time. A row that is both in the table and in a reject file is written: the
reject is from an attempt under other settings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.reading.block import Reject
from engine.rejects import MAX_REASONS, OTHER_REASONS


class RowSet:
    """A set of row numbers, from 1 to `rows`."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._bits = bytearray(rows // 8 + 1)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row: int) -> bool:
        return 1 <= row <= self._rows and bool(self._bits[row >> 3] & 1 << (row & 7))

    def add(self, row: int) -> bool:
        """Add a row; return whether it is new. A number that no row of the object has is ignored."""
        if row in self or not 1 <= row <= self._rows:
            return False
        self._bits[row >> 3] |= 1 << (row & 7)
        self._count += 1
        return True


class Accounts:
    """The account of an object with this many `rows`."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._written, self._refused = RowSet(rows), RowSet(rows)
        self._both = 0

    @property
    def written(self) -> int:
        """Rows that were found in the table."""
        return len(self._written)

    @property
    def rejected(self) -> int:
        """Rows that are in a reject file, and not in the table."""
        return len(self._refused) - self._both

    @property
    def missing(self) -> int:
        """Rows that are neither written nor rejected, as far as is known."""
        return self.rows - self.written - self.rejected

    def is_written(self, row: int) -> bool:
        """Return whether the row was found in the table."""
        return row in self._written

    def is_rejected(self, row: int) -> bool:
        """Return whether the row is in a reject file, and was not found in the table."""
        return row in self._refused and row not in self._written

    def write(self, rows: Iterable[int]) -> None:
        """Take rows that were found in the table."""
        for row in rows:
            if self._written.add(row) and row in self._refused:
                self._both += 1

    def reject(self, rows: Iterable[int]) -> None:
        """Take rows that are in a reject file. A message that is delivered twice may leave a row in two of them."""
        for row in rows:
            if self._refused.add(row) and row in self._written:
                self._both += 1


@dataclass(slots=True)
class Reason:
    """Why rows were rejected: how many, and the first of them."""

    text: str
    rows: int
    first: Reject


class Reasons:
    """Counts the rejected rows of an account by reason, each row once."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._counted = RowSet(accounts.rows)
        self._reasons: dict[str, Reason] = {}

    def add(self, rejects: Iterable[Reject]) -> None:
        """Take the rejects of one file."""
        for reject in rejects:
            if not self._accounts.is_rejected(reject.row) or not self._counted.add(reject.row):
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
