"""Local times of named time zones -> UTC. Pure."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
DAY: Final = 86_400

_FIRST_DAY, _LAST_DAY = (day.toordinal() - EPOCH_DAY for day in (date.min, date.max))

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


SAME, BEFORE, AFTER = b"=<>"
"""Whether a time in UTC is of the local day, of the one before or of the one after it."""


class LocalDay(NamedTuple):
    """A whole day of one offset: its beginning in seconds from the epoch, and its times in UTC; see `clock_of`."""

    start: int
    clock: Mapping[int, bytes]


@lru_cache(64)
def clock_of(offset: int) -> Mapping[int, bytes]:
    """Return the four digits of a time in UTC and what day it is of, by the four digits of a local time.

    Those are numbers as a memory view shows them; `offset` is in seconds, of whole minutes.
    """
    clock = {}
    for local in range(1_440):
        utc = local - offset // 60
        day = BEFORE if utc < 0 else AFTER if utc >= 1_440 else SAME
        key = int.from_bytes(b"%02d%02d" % divmod(local, 60), sys.byteorder)
        clock[key] = b"%02d%02d%c" % (*divmod(utc % 1_440, 60), day)
    return clock


UNUSUAL: Final = LocalDay(0, defaultdict(lambda: b"0000%c" % SAME))
"""A day whose times have to be looked at one by one."""


class _LocalDays(dict[int, LocalDay]):
    """The days of a time zone by their eight digits, as a memory view shows them.

    `UNUSUAL` are those on which the offset changes or has seconds, and the first and the last one of the calendar.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._offsets = offsets_of_days(zone)

    def __missing__(self, key: int) -> LocalDay:
        digits = key.to_bytes(8, sys.byteorder)
        try:
            day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).toordinal() - EPOCH_DAY
        except ValueError:
            raise KeyError(key) from None
        if len(self) >= CACHED_DAYS:
            self.clear()
        offset = self._offsets[day]
        usual = offset is not None and not offset % 60 and _FIRST_DAY < day < _LAST_DAY
        self[key] = found = LocalDay(day * DAY - (offset or 0), clock_of(offset or 0)) if usual else UNUSUAL
        return found


local_days = lru_cache(8)(_LocalDays)
"""By time zone."""


def offset_of(zone: tzinfo, day: int, time: int) -> int | None:
    """Return the offset of a time zone in seconds at a local time; None if there is no such time, or there are two."""
    local = datetime.combine(date.fromordinal(day + EPOCH_DAY), datetime.min.time()) + timedelta(seconds=time)
    early, late = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if early is None or early != late:
        return None
    # Local mean times of long ago have offsets of fractions of a minute, but of whole seconds.
    return early // timedelta(seconds=1)
