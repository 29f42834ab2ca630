"""How long answers take. Pure: no clock, and the same sequence for the same seed."""

from __future__ import annotations

import math
import random
from itertools import cycle

_Z99 = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""


class Latency:
    """Delays in seconds, log-normal by median and 99th percentile; the same sequence for the same seed."""

    def __init__(self, median_ms: float, p99_ms: float, seed: int) -> None:
        if not 0 < median_ms <= p99_ms:
            raise ValueError(f"a latency needs 0 < median <= p99, not {median_ms} and {p99_ms} ms")
        sigma = math.log(p99_ms / median_ms) / _Z99
        draw = random.Random(seed)
        # Drawn once: a table costs less in each call than a draw.
        self._delays = cycle([draw.lognormvariate(math.log(median_ms / 1000), sigma) for _ in range(8192)])

    def next(self) -> float:
        """Return the next delay."""
        return next(self._delays)
