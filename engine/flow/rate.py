"""A stated rate of write units, as slots of time on one line that all workers share: arithmetic only.

A slot of N units takes N divided by the rate seconds. Slots never overlap, so a worker that writes within its own slot
obeys the rate, whatever the number of workers. Where slots come from is `engine.aws.write_rate`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """Time for some calls: `seconds` in all, and for each call its seconds after the beginning and its units."""

    seconds: float
    offsets: Sequence[float]
    units: Sequence[float]
    debt: float
    """Units of earlier calls that this slot pays for; negative if those calls cost less than was reserved."""


class Rate:
    """Sizes slots from estimates of what calls cost, and learns from the service by how much they cost more.

    Indexes and replaced items count too, which no arithmetic on the new items could know. What a call has cost beyond
    its reservation is paid by the next slot, so the sum is exact whatever estimates are worth.
    """

    __slots__ = ("_debt", "_factor", "_known", "call_items", "per_second")

    SLOT_SECONDS = 1.0
    """A slot's length, unless one call alone takes longer. At most this is lost with a worker that is killed. Longer
    slots cost fewer calls for reserving them; with ten workers each one's turn comes every ten slots."""

    WEIGHT = 0.05  # of one call in the running mean of units an estimated unit, once there are enough of them
    CALLS_PER_SECOND = 20
    """Where the rate is low, calls are smaller than they could be: one that takes seconds of the rate is a burst."""

    MAX_CREDIT_SECONDS = 0.2
    """Unused reservations that are given back later: 2% of what may be written in 10 s."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self.call_items = max(1, int(per_second / self.CALLS_PER_SECOND))
        """Items in one call at the most, as far as the rate is concerned."""
        self._factor = 1.0
        self._known = 0  # calls that the factor is the mean of
        self._debt = 0.0

    def slot(self, estimates: Sequence[int], time_left: float) -> Slot:
        """Return a slot for the first of these calls, at least one; each is given by the units it is estimated at.

        Slots get shorter towards the end of the time that is left, so that little of it remains unused.
        """
        most = min(self.SLOT_SECONDS, time_left / 2) * self.per_second
        units: list[float] = []
        total = 0.0
        for estimate in estimates:
            cost = estimate * self._factor
            if units and total + cost > most:
                break
            units.append(cost)
            total += cost
        debt = max(self._debt, -total)
        offsets, before = [], debt
        for cost in units:
            offsets.append(max(0.0, before) / self.per_second)
            before += cost
        return Slot((total + debt) / self.per_second, offsets, units, debt)

    def reserved(self, slot: Slot) -> None:
        """Note that the slot is reserved, and with it what it pays for."""
        self._debt -= slot.debt

    def settle(self, estimate: int, reserved: float, units: float) -> None:
        """Note that a call for which `reserved` units were set aside has cost `units`.

        `estimate` is that of the items it has written, of which some may be left over.
        """
        self._debt = max(self._debt + units - reserved, -self.MAX_CREDIT_SECONDS * self.per_second)
        if estimate:
            self._known += 1
            self._factor += max(self.WEIGHT, 1 / self._known) * (units / estimate - self._factor)
