"""The most frequent of many values, in bounded memory. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

MAX_VALUES = 100_000
"""Different values that are counted at a time: about 20 MB for short texts."""


class Frequent:
    """Counts values. With more than `most` different ones the rare are forgotten, as Misra and Gries do.

    No count is too high, and none is too low by more than `uncertain`, which is at most the number of values divided by
    half of `most`. See https://doi.org/10.1016/0167-6423(82)90012-0.
    """

    def __init__(self, most: int = MAX_VALUES) -> None:
        self._most = most
        self._counts: Counter[Hashable] = Counter()
        self.total = 0
        """Values that were added."""
        self.uncertain = 0
        """By how much a count may be too low."""

    @property
    def is_exact(self) -> bool:
        """Whether nothing was forgotten."""
        return not self.uncertain

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, values: Iterable[Hashable]) -> None:
        """Count some values, a few thousand at a time."""
        values = list(values)
        self._counts.update(values)
        self.total += len(values)
        if len(self._counts) > self._most:
            self._forget()

    def _forget(self) -> None:
        kept = self._counts.most_common(self._most // 2 + 1)
        less = kept.pop()[1]
        self._counts = Counter({value: count - less for value, count in kept if count > less})
        self.uncertain += less

    def top(self, count: int) -> list[tuple[Hashable, int]]:
        """Return the most frequent values with their counts, the first one first."""
        return self._counts.most_common(count)
