"""Local times of named time zones -> UTC. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache

from engine.schema.date_columns import DAY, EPOCH_DAY

CACHED_DAYS = 32_768
"""Days that are remembered: a file has the same ones again and again. 90 years of them, as dates of birth have."""


class _Offsets(dict[int, int | None]):
    """The offsets of a time zone in seconds during whole local days; None for a day on which it changes."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def __missing__(self, day: int) -> int | None:
        if len(self) >= CACHED_DAYS:
            self.clear()
        # No zone has ever changed its clocks twice in a day.
        first, last = offset_of(self._zone, day, 0), offset_of(self._zone, day, DAY - 1)
        self[day] = offset = first if first == last else None
        return offset


offsets_of_days = lru_cache(8)(_Offsets)
"""By time zone. A dict is read twice as fast as a cache that knows which value was used last."""


def in_utc(zone: tzinfo, days: Sequence[int], times: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the seconds since midnight of local times in UTC, below zero on the day before, above `DAY` after it.

    And the places of those that are not there exactly once.
    """
    offsets = list(map(offsets_of_days(zone).__getitem__, days))
    refused = []
    if None in offsets:
        for i, offset in enumerate(offsets):
            if offset is None:
                offsets[i] = offset_of(zone, days[i], times[i])
                if offsets[i] is None:
                    refused.append(i)
    return [time - (offset or 0) for time, offset in zip(times, offsets, strict=True)], refused


def offset_of(zone: tzinfo, day: int, time: int) -> int | None:
    """Return the offset of a time zone in seconds at a local time; None if there is no such time, or there are two."""
    local = datetime.combine(date.fromordinal(day + EPOCH_DAY), datetime.min.time()) + timedelta(seconds=time)
    early, late = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if early is None or early != late:
        return None
    # Local mean times of long ago have offsets of fractions of a minute, but of whole seconds.
    return early // timedelta(seconds=1)
