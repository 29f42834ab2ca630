"""How many calls may be in flight: arithmetic only. Time comes in as an argument."""

from __future__ import annotations


class Window:
    """How many calls may be in flight: additive increase, multiplicative decrease.

    Until the service throttles or slows down for the first time, each success adds a call, which doubles the window
    with each round trip. After that a whole round of successes adds one. A throttled call takes away a third, a slow
    one as much as brings its latency back to the limit; either counts once for all the calls that were in flight
    together, since these carry the same news. Nothing is added
    to `busy_limit` while the processor is busy throughout: more calls in flight would not be faster, and their bodies
    would push each other out of its cache.

    A call is slow when it takes more than `SLOW_SECONDS` and more than `SLOW_RATIO` times what a call takes alone:
    then calls wait in the server's queue, and more of them would only wait longer, until they time out although the
    server does the work. A server that answers quickly never reaches that limit. What a call takes alone is measured
    at the smallest window, where nothing of this process waits in front of it, so a service that is slow by nature
    still gets many calls at a time.
    """

    __slots__ = ("_credit", "_finding", "alone", "busy_limit", "ceiling", "epoch", "floor", "latency", "limit", "slow")

    DECREASE = 0.67

    # A server that answers one call after the other is kept at about SLOW_SECONDS of queue, whatever a call takes.
    # Well below the timeout of a call, and far above the latency of a service that keeps up (tens of milliseconds).
    SLOW_SECONDS = 1.0
    SLOW_RATIO = 2.0
    SLIGHTEST_DECREASE, STEEPEST_DECREASE = 0.8, 0.25

    LATENCY_GAIN = 0.2  # weight of the latest call in the running mean

    def __init__(self, initial: int, ceiling: int, floor: int = 1, *, busy_limit: int | None = None) -> None:
        if not 1 <= floor <= initial <= ceiling:
            raise ValueError(f"a window needs 1 <= floor <= initial <= ceiling, not {floor}, {initial}, {ceiling}")
        self.limit, self.ceiling, self.floor, self.busy_limit = initial, ceiling, floor, busy_limit or ceiling
        self.epoch = 0
        """Changes with each decrease: what a call that began in an earlier epoch says is known already."""
        self.latency = 0.0
        """Running mean of the seconds that a call takes."""
        self.alone = 0.0
        """Seconds that a call takes with nothing else under way; 0 while there was no reason to find out."""
        self.slow = self.SLOW_SECONDS
        """Seconds from which on a call counts as slow."""
        self._finding = True
        self._credit = 0

    def succeeded(self, epoch: int, seconds: float, *, busy: bool = False) -> None:
        """Note a call that the service took without complaint, begun in `epoch` and answered after `seconds`.

        `busy`: this process has used all its processor time.
        """
        self.latency += self.LATENCY_GAIN * (seconds - self.latency)
        if seconds < self.alone:
            self._takes_alone(seconds)
        slow = self.slow
        if seconds > slow:
            self.lagged(epoch, seconds)
            return
        self._credit += 1
        if self.limit >= self.ceiling or seconds > slow / 2 or (busy and self.limit >= self.busy_limit):
            return
        if self._finding or self._credit >= self.limit:
            self.limit += 1
            self._credit = 0

    def throttled(self, epoch: int) -> None:
        """Note a throttled call that began in `epoch`."""
        self._decrease(epoch, self.DECREASE)

    def lagged(self, epoch: int, seconds: float) -> None:
        """Note a call that began in `epoch` and has taken `seconds`, answered or not."""
        if epoch == self.epoch and self.limit == self.floor:
            self._takes_alone(seconds)
        if seconds > self.slow:
            self._decrease(epoch, max(self.STEEPEST_DECREASE, min(self.SLIGHTEST_DECREASE, self.slow / seconds)))

    def _takes_alone(self, seconds: float) -> None:
        self.alone = seconds
        self.slow = max(self.SLOW_SECONDS, self.SLOW_RATIO * seconds)

    def _decrease(self, epoch: int, factor: float) -> None:
        if epoch != self.epoch:
            return
        self._finding = False
        self.limit = max(self.floor, int(self.limit * factor))
        self.epoch += 1
        self._credit = 0
