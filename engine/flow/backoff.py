"""Back-off and deadlines: arithmetic only. Time and randomness come in as arguments."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter: each wait is drawn from 0 to `base` x 2^attempt seconds, at most `cap`.

    Full jitter, since many workers that were throttled together must not come back together. There is no last
    attempt: what ends the trying is the deadline.
    """

    base: float = 0.05
    cap: float = 5.0

    def delay(self, attempt: int, draw: float) -> float:
        """Return the seconds to wait before trying again after failure number `attempt` (from 0); 0 <= draw < 1."""
        # 2**60 x base is far beyond any cap: bounding the exponent keeps a long outage from making huge integers.
        return draw * min(self.cap, self.base * 2.0 ** min(attempt, 60))


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the caller's monotonic clock, in seconds, after which no new work may begin."""

    at: float

    def remaining(self, now: float) -> float:
        """Return the seconds left at `now`, never below 0."""
        return max(0.0, self.at - now)

    def passed(self, now: float) -> bool:
        """Return whether the moment has come."""
        return now >= self.at


NEVER = Deadline(float("inf"))
