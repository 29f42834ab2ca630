"""Write capacity and latency of the stand-in. Pure: time and randomness are arguments."""

from __future__ import annotations

import math
import random
from itertools import cycle

_Z99 = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""


class Bucket:
    """A token bucket: `rate` tokens a second, at most `burst_seconds` of them saved up; full at the start."""

    __slots__ = ("_at", "_most", "_rate", "_tokens")

    def __init__(self, rate: float, burst_seconds: float, now: float) -> None:
        self._rate, self._most, self._at = rate, rate * burst_seconds, now
        self._tokens = self._most

    def available(self, now: float) -> int:
        """Return how many whole tokens there are at `now`."""
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return int(self._tokens)

    def take(self, count: int) -> None:
        """Use up tokens that `available` has just named."""
        self._tokens -= count


class Latency:
    """Delays in seconds, log-normal by median and 99th percentile; the same sequence for the same seed."""

    def __init__(self, median_ms: float, p99_ms: float, seed: int) -> None:
        if not 0 < median_ms <= p99_ms:
            raise ValueError(f"a latency needs 0 < median <= p99, not {median_ms} and {p99_ms} ms")
        sigma = math.log(p99_ms / median_ms) / _Z99
        draw = random.Random(seed)  # noqa: S311 - no secret
        # Drawn once: a table costs less in each call than a draw.
        self._delays = cycle([draw.lognormvariate(math.log(median_ms / 1000), sigma) for _ in range(8192)])

    def next(self) -> float:
        """Return the next delay."""
        return next(self._delays)
