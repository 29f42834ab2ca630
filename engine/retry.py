"""When to try again, and how much at once: arithmetic only. Time and randomness come in as arguments.

Nobody sleeps here; the one place that does is `engine.aws`.
"""

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
        """Tell whether the moment has come."""
        return now >= self.at


NEVER = Deadline(float("inf"))


class Window:
    """How many calls may be in flight: additive increase, multiplicative decrease.

    Until it is throttled for the first time, each success adds a call, which doubles the window with each round. From
    then on a whole round of successes adds one; a throttled call takes away a third, but only once for all the calls
    that were in flight together, for these all carry the same news. So a worker finds the capacity of a table by
    itself, and several share it.
    """

    __slots__ = ("_credit", "_finding", "ceiling", "epoch", "floor", "limit")

    DECREASE = 0.67

    def __init__(self, initial: int, ceiling: int, floor: int = 1) -> None:
        if not 1 <= floor <= initial <= ceiling:
            raise ValueError(f"a window needs 1 <= floor <= initial <= ceiling, not {floor}, {initial}, {ceiling}")
        self.limit, self.ceiling, self.floor = initial, ceiling, floor
        self.epoch = 0
        self._finding = True
        self._credit = 0

    def succeeded(self) -> None:
        """Note a call that the service took without complaint."""
        self._credit += 1
        if self.limit < self.ceiling and (self._finding or self._credit >= self.limit):
            self.limit += 1
            self._credit = 0

    def throttled(self, epoch: int) -> None:
        """Note a throttled call that began in `epoch` (the value of `epoch` at that time)."""
        if epoch != self.epoch:
            return
        self._finding = False
        self.limit = max(self.floor, int(self.limit * self.DECREASE))
        self.epoch += 1
        self._credit = 0
