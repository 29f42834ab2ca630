"""Numbers out of several rounds. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Summary(NamedTuple):
    """Median, and between what the rounds lay."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half of the range as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


def summarise(rounds: Sequence[Mapping[str, float]]) -> dict[str, Summary]:
    """Summarise each figure over the rounds; a figure that a round lacks is left out of that round only."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    result = {}
    for name in names:
        values = [figures[name] for figures in rounds if name in figures]
        result[name] = Summary(statistics.median(values), min(values), max(values))
    return result


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie (nearest rank). Raises `ValueError` for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def steady(slots: Sequence[tuple[int, int]], first: int, behind: int) -> int:
    """Return what was counted in the slots from `first` to before `behind`."""
    return sum(count for slot, count in slots if first <= slot < behind)


def fairness(shares: Sequence[float]) -> float:
    """Return the largest distance of a share from an equal one, as a part of it: 0 is fair."""
    if not shares or not sum(shares):
        return 1.0
    equal = sum(shares) / len(shares)
    return max(abs(share - equal) / equal for share in shares)


def short(value: float) -> str:
    """Write a figure with three significant digits or as a whole number with separators."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        digits = len(str(int(abs(value)))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"
