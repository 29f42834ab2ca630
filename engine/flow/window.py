"""How many calls may be in flight: arithmetic only."""

from __future__ import annotations


class Window:
    """How many calls may be in flight: additive increase, multiplicative decrease.

    Until it is throttled for the first time, each success adds a call, which doubles the window with each round. From
    then on a whole round of successes adds one; a throttled call takes away a third, but only once for all the calls
    that were in flight together, for these all carry the same news. Nothing is added while the processor is busy
    throughout: more calls in flight would not be faster, and their bodies would push each other out of its cache.
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

    def succeeded(self, *, busy: bool = False) -> None:
        """Note a call that the service took without complaint; `busy`: this process has used all its time."""
        self._credit += 1
        if not busy and self.limit < self.ceiling and (self._finding or self._credit >= self.limit):
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
