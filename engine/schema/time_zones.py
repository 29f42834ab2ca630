"""Local times of named time zones -> UTC. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, TypeVar

EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
DAY: Final = 86_400

_EPOCH: Final = datetime(1970, 1, 1)
_HOUR: Final = 3_600

_FIRST_DAY, _LAST_DAY = (day.toordinal() - EPOCH_DAY for day in (date.min, date.max))

CACHED_DAYS = 32_768
"""Days that are remembered: a file has the same ones again and again. 90 years of them, as dates of birth have."""


Known = TypeVar("Known")


class _Offsets(dict[int, int | None]):
    """The offsets of a time zone in seconds during whole local days, or hours; None for those in which it changes."""

    def __init__(self, zone: tzinfo, length: int) -> None:
        self._zone, self._length = zone, length

    def __missing__(self, number: int) -> int | None:
        if len(self) >= CACHED_DAYS:
            self.clear()
        # No zone has ever changed its clocks twice in a day.
        start = number * self._length
        first, last = _changing_offset(self._zone, start), _changing_offset(self._zone, start + self._length - 1)
        self[number] = offset = first if first == last else None
        return offset


_offsets = lru_cache(16)(_Offsets)
"""By time zone and length in seconds. A dict is read twice as fast as a cache that knows which value was used last."""


def offset_of(zone: tzinfo, local: int) -> int | None:
    """Return the offset of a time zone in seconds at a local time; None if there is no such time, or there are two.

    The local time is in seconds from the epoch, as if it were in UTC.
    """
    offset = _offsets(zone, DAY)[local // DAY]
    if offset is None:
        offset = _offsets(zone, _HOUR)[local // _HOUR]
    return _changing_offset(zone, local) if offset is None else offset


def _changing_offset(zone: tzinfo, local: int) -> int | None:
    time = _EPOCH + timedelta(seconds=local)
    early, late = (time.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if early is None or early != late:
        return None
    # Local mean times of long ago have offsets of fractions of a minute, but of whole seconds.
    return early // timedelta(seconds=1)


UNUSUAL: Final = bytes([128, 0])
"""The shift of a day whose times have to be looked at one by one."""


@lru_cache(256)
def _shift(offset: int) -> bytes:
    """Return how many hours and minutes are to be added to local times for those of UTC of the next day."""
    return bytes(divmod((DAY - offset) // 60, 60))


class _LocalDays(dict[int, Known]):
    """What `known` makes of the days of a time zone and their offsets.

    Keys are the eight digits of days as a memory view shows them; a day that the calendar lacks raises `ValueError`.
    The offset is None on days on which it changes or has seconds, and on the first and the last one of the calendar.
    """

    def __init__(self, zone: tzinfo, known: Callable[[int, int | None], Known]) -> None:
        self._offsets, self._known = _offsets(zone, DAY), known

    def __missing__(self, key: int) -> Known:
        digits = key.to_bytes(8, sys.byteorder)
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).toordinal() - EPOCH_DAY
        if len(self) >= CACHED_DAYS:
            self.clear()
        offset = self._offsets[day]
        usual = offset is not None and not offset % 60 and _FIRST_DAY < day < _LAST_DAY
        self[key] = known = self._known(day, offset if usual else None)
        return known


@lru_cache(8)
def shifts_of_days(zone: tzinfo) -> Mapping[int, bytes]:
    """Return the shifts of the days of a time zone, or `UNUSUAL`; see `_LocalDays` for their keys."""
    return _LocalDays(zone, lambda _, offset: UNUSUAL if offset is None else _shift(offset))


@lru_cache(8)
def starts_of_days(zone: tzinfo) -> Mapping[int, int | None]:
    """Return the beginnings of the days of a time zone in seconds from the epoch, None for unusual ones."""
    return _LocalDays(zone, lambda day, offset: None if offset is None else day * DAY - offset)
