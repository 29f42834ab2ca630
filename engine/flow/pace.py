"""How many items a second may be sent: arithmetic only. Time comes in as an argument."""

from __future__ import annotations


class Pace:
    """How many items a second may be sent: as many as one likes, until the service throttles for the first time.

    From then on calls are spread in time. The rate rises while all goes well, and with throttling falls by the share of
    calls that were refused, at least by 15%: so it stays near the capacity of a table while few calls are wasted on
    finding out. Whoever has less rises by a larger part of it, since a part of the rise goes by the square root of the
    rate: that lets several workers on one table drift to equal shares, whatever its capacity. Times are seconds on the
    caller's monotonic clock.
    """

    __slots__ = ("_changed", "_grown", "_hurried", "_next", "_refusals", "_since", "_successes", "_taken", "rate")

    INTERVAL = 0.1
    """Seconds for which calls are watched before the rate is lowered again, unless `ENOUGH` are refused sooner."""

    ENOUGH = 5
    # Simulated against token buckets of 5,000 and 20,000 items/s, one worker and four, 0 and 6 ms: smaller steps down
    # and up leave the shares of workers unequal for longer, larger ones leave capacity unused or waste more calls.
    LEAST_DECREASE = 0.85
    RISE_BY_ROOT, SHARE_OF_RISE = 8.0, 0.02  # times the rate's square root, and part of the rate, that a second adds
    IMPATIENCE = 3.0  # after so many seconds without throttling the rise gets steeper
    COARSE, HURRIED_RISE = 0.8, 1.5  # a larger step down may well have gone too far: back up, quickly
    FIRST_GUESS = 1_000.0  # where nothing was accepted before the first refusal
    MINIMUM = 25.0  # a full batch a second

    def __init__(self) -> None:
        self.rate = float("inf")
        """Items a second."""
        self._next = 0.0  # when the next call may begin
        self._hurried = False
        self._since = self._changed = self._grown = float("-inf")
        self._taken = 0  # items since `_since`
        self._successes = self._refusals = 0  # calls since the last change

    def delay(self, now: float) -> float:
        """Return the seconds to wait before the next call may be sent; see `take`."""
        return max(0.0, self._next - now)

    def take(self, now: float, items: int) -> None:
        """Note that a call with so many items is sent at `now`: the next one has to wait accordingly."""
        self._next = now + items / self.rate

    def accepted(self, now: float, sent: float, items: int) -> None:
        """Note items that the service took from a call that was sent at `sent`."""
        self._successes += sent >= self._changed
        if self.rate == float("inf"):
            if now - self._since > self.INTERVAL:
                self._since, self._taken = now, 0
            self._taken += items
            return
        steeper = max(1.0, (now - self._changed) / self.IMPATIENCE)
        share = self.HURRIED_RISE if self._hurried else self.SHARE_OF_RISE * steeper
        self.rate += (self.RISE_BY_ROOT * self.rate**0.5 + share * self.rate) * min(1.0, now - self._grown)
        self._grown = now

    def throttled(self, now: float, sent: float) -> None:
        """Note that the service refused items of a call that was sent at `sent`."""
        if sent < self._changed:  # that was before the last change, which has taken it into account
            return
        self._refusals += 1
        if self._refusals < self.ENOUGH and now - self._changed < self.INTERVAL:
            return
        if self.rate == float("inf"):
            self.rate, self._hurried = max(self.FIRST_GUESS, self._taken / self.INTERVAL), True
        else:
            # Two more successes than there were: one refusal alone says little.
            accepted_share = (self._successes + 2) / (self._successes + self._refusals + 2)
            self._hurried = accepted_share < self.COARSE
            self.rate *= min(self.LEAST_DECREASE, accepted_share)
        self.rate = max(self.MINIMUM, self.rate)
        self._next = max(self._next, now)
        self._changed = self._grown = now
        self._successes = self._refusals = 0
