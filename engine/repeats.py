"""Rows of one file with one key, of which only the last stays in the table: how many are replaced. Pure.

Only for schemas whose key does not tell the rows of a file apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

MAX_KEYS = 300_000
"""Different keys that are remembered, as hashes of 8 bytes in a set: 25 MB. With twice as many, the producer's peak was
150 MB for a gzip file of 3 million keys; it must stay below 150 for any file. Beyond 314,572 the set alone would double
to 16 MB. An open-addressed table in an array held 20 times as many keys in 64 MB, but took 0.65 µs a row, the set 0.25,
and everything else 1.0."""


class RepeatedKeys:
    """Counts the rows whose key an earlier row of the file has: each replaces one row.

    `places` are those of the key's values in a row. The count is exact up to `MAX_KEYS` different keys (two of them
    have one hash with a probability of 1 in 400 million). Each time there are more, half of the hashes is forgotten and
    no longer looked at. Then rows are counted for some keys only, and the count is a lower bound.
    """

    def __init__(self, places: Sequence[int], *, most: int = MAX_KEYS) -> None:
        self._key: Callable[[Any], Any] = itemgetter(*places) if places else _no_key
        self._most = most
        self._hashes: set[int] = set()
        self._left_out = 0
        self.count = 0
        """Rows that are replaced."""

    @property
    def is_exact(self) -> bool:
        """Whether no more rows are replaced than `count` says."""
        return not self._left_out

    def add(self, rows: Sequence[Any]) -> None:
        """Take rows, which have row numbers that no rows before have."""
        hashes = self._kept(map(hash, map(self._key, rows)))
        before = len(self._hashes)
        self._hashes.update(hashes)
        self.count += len(hashes) - (len(self._hashes) - before)
        while len(self._hashes) > self._most:
            self._left_out = self._left_out << 1 | 1
            kept = self._kept(self._hashes)
            self._hashes.clear()  # before the smaller set is made beside it
            self._hashes.update(kept)

    def _kept(self, hashes: Iterable[int]) -> list[int]:
        left_out = self._left_out
        return [number for number in hashes if not number & left_out] if left_out else list(hashes)


def _no_key(row: Any) -> tuple[()]:
    """Return the key where all rows of a file have the same: it is made of the object alone."""
    return ()
