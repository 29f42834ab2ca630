"""Whole columns of dates whose fields have fixed places: checked and rearranged by slices of all their bytes. Pure.

With one text a line and all lines of one length, a slice with that stride has one character of every text. So a column
is checked and converted by a few dozen calls that run in C. What does not fit is left to `engine.schema.dates`, which
decides value by value; a column that is converted here becomes what would come of it there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, tzinfo
from functools import lru_cache
from operator import add
from typing import Final, NamedTuple

from engine.schema.time_zones import EPOCH_DAY, LocalDay, local_days

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# Fields that may have a fixed place: name and characters.
_FIELDS: Final = {
    "Y": ("year", 4),
    "y": ("short_year", 2),
    "m": ("month", 2),
    "b": ("month_name", 3),
    "d": ("day", 2),
    "H": ("hour", 2),
    "I": ("half_hour", 2),
    "p": ("half", 2),
    "M": ("minute", 2),
    "S": ("second", 2),
}

_ISO_TIMES: Final = tuple(
    f"%Y-%m-%d{blank}%H:%M{second}{zone}" for second in (":%S", "") for blank in "T " for zone in ("Z", "")
)

# Where a leading zero is missing: before a digit that stands alone.
_NO_ZERO = re.compile(r"(?<![0-9])(?=[0-9](?![0-9]))")


class Shape(NamedTuple):
    """Texts of one length: the places of their fields, and the characters at all other places.

    `pads`: whether fields may lack a leading zero. `iso_end`: if the texts are ISO 8601 with seconds or without a time,
    what follows that. `utc`: whether the text says that it is UTC.
    """

    width: int
    fields: tuple[tuple[str, int], ...]
    literals: tuple[tuple[int, bytes], ...]
    pads: bool
    utc: bool
    iso_end: str | None


class Columns(NamedTuple):
    """The digits of a whole column by field: those of all texts one after the other."""

    rows: int
    year: bytes
    month: bytes
    day: bytes
    hour: bytes
    minute: bytes
    second: bytes
    utc: bool
    iso_end: str | None

    def exist(self) -> bool:
        """Return whether all days are of the calendar, and all times of a day."""
        month_days = memoryview(_pairs(self.month, self.day)).cast("I")
        unusual = set(month_days) - _USUAL_DAYS.keys()
        if unusual:
            if unusual != {_LEAP_DAY}:
                return False
            years = {int(self.year[4 * i : 4 * i + 4]) for i, each in enumerate(month_days) if each == _LEAP_DAY}
            if not all(map(_is_leap_year, years)):
                return False
        if b"0000" in self.year and _key("0000") in set(memoryview(self.year).cast("I")):
            return False
        tens = self.minute[0::2] + self.second[0::2]
        return not tens.translate(None, b"012345") and set(memoryview(self.hour).cast("H")) <= _HOURS

    def iso_texts(self, end: str) -> list[str]:
        """Return the texts of ISO 8601; `end` is what follows the seconds (empty: only the days are wanted)."""
        fields = [(self.year, 4, 0), (self.month, 2, 5), (self.day, 2, 8)]
        line = "0000-00-00"
        if end:
            fields += [(self.hour, 2, 11), (self.minute, 2, 14), (self.second, 2, 17)]
            line += f"T00:00:00{end}"
        lines, stride = bytearray(f"{line}\n".encode() * self.rows), len(line) + 1
        for digits, width, place in fields:
            for i in range(width):
                lines[place + i :: stride] = digits[i::width]
        return lines.decode().split("\n")[:-1]

    def days(self) -> list[int]:
        """Return the days from the epoch. Raises `KeyError` if the calendar lacks one."""
        years = map(_days_of_year, memoryview(self.year).cast("I"))
        month_days = memoryview(_pairs(self.month, self.day)).cast("I")
        return [first + days[month_day] for (first, days), month_day in zip(years, month_days, strict=True)]

    def local_days(self, zone: tzinfo) -> list[LocalDay]:
        """Return the days in a time zone. Raises `KeyError` if the calendar lacks one."""
        year, month, day = self.year, self.month, self.day
        digits = [*(year[i::4] for i in range(4)), month[0::2], month[1::2], day[0::2], day[1::2]]
        return list(map(local_days(zone).__getitem__, memoryview(_interleaved(digits)).cast("Q")))

    def in_utc(self, days: Sequence[LocalDay]) -> tuple[Columns, bytes]:
        """Return the columns with hours and minutes of UTC, and whether each is of the `SAME` day, `BEFORE` or `AFTER`.

        Raises `KeyError` if there is no such time.
        """
        if self.second[0::2].translate(None, b"012345"):
            raise KeyError("seconds")
        minutes = memoryview(_pairs(self.hour, self.minute)).cast("I")
        times = b"".join([clock[minute] for (_, clock), minute in zip(days, minutes, strict=True)])
        hour, minute = (_interleaved([times[i::5], times[i + 1 :: 5]]) for i in (0, 2))
        return self._replace(hour=hour, minute=minute), times[4::5]

    def times(self) -> list[int]:
        """Return the seconds since midnight. Raises `KeyError` if there is no such time."""
        minutes = map(_minutes().__getitem__, memoryview(_pairs(self.hour, self.minute)).cast("I"))
        if not self.second.strip(b"0"):
            return list(minutes)
        return list(map(add, minutes, map(_SECONDS.__getitem__, memoryview(self.second).cast("H"))))


def shapes_of(form: str, *, time: bool) -> tuple[Shape, ...]:
    """Return the shapes that texts of a valid input format mostly have; none if its fields have no fixed places."""
    if form == "iso":
        forms = _ISO_TIMES if time else ("%Y-%m-%d",)
        return tuple(shape for each in forms if (shape := _shape_of(each, pads=False, utc=each.endswith("Z"))))
    shape = _shape_of(form, pads=True, utc=False)
    return (shape,) if shape else ()


def _shape_of(form: str, *, pads: bool, utc: bool) -> Shape | None:
    fields: dict[str, int] = {}
    literals: list[tuple[int, bytes]] = []
    place = 0
    for piece in re.findall(r"%.|[^%]", form, re.DOTALL):
        if piece[0] != "%" or piece == "%%":
            # Digits would count as digits of the field beside them.
            if not piece.isascii() or piece.isdigit() or piece == "\n":
                return None
            literals.append((place, piece[-1].encode()))
            place += 1
        elif piece[1] in _FIELDS:
            name, width = _FIELDS[piece[1]]
            fields[name] = place
            place += width
        else:
            return None
    iso_end = {"%Y-%m-%d": "", "%Y-%m-%dT%H:%M:%SZ": "Z"}.get(form) if not pads else None
    # Two digits of a year are never one.
    return (
        Shape(place, tuple(fields.items()), tuple(literals), pads and "short_year" not in fields, utc, iso_end)
        if fields
        else None
    )


def read_columns(texts: Sequence[str], shapes: Iterable[Shape], first_year: int) -> Columns | None:
    """Return the fields of a column if all texts have one of the shapes, with digits in the places of digits.

    Returns None otherwise. That a month, an hour and so on exist is not checked.
    """
    lines = "\n".join(texts) + "\n"
    for shape in shapes:
        if shape.pads and len(lines) != len(texts) * (shape.width + 1):
            lines = _NO_ZERO.sub("0", lines)
        data = lines.encode() if lines.isascii() else b""
        if not _fits(data, shape, len(texts)):
            continue
        columns = _columns(data, shape, len(texts), first_year)
        if columns is not None:
            return columns
    return None


def _fits(data: bytes, shape: Shape, count: int) -> bool:
    stride = shape.width + 1
    return (
        len(data) == count * stride
        # A text that has a line break would pass for two.
        and data.count(b"\n") == data[shape.width :: stride].count(b"\n") == count
        and all(data[place::stride].count(literal) == count for place, literal in shape.literals)
    )


def _columns(data: bytes, shape: Shape, count: int, first_year: int) -> Columns | None:
    fields = dict(shape.fields)

    def digits(name: str, width: int = 2) -> bytes:
        place = fields.get(name)
        if place is None:
            return b"0" * (width * count)
        return _interleaved([data[place + i :: shape.width + 1] for i in range(width)])

    zeros = bytes(count)
    try:
        year = _each(digits("short_year"), "H", _years(first_year)) if "short_year" in fields else digits("year", 4)
        if "month_name" in fields:
            name = digits("month_name", 3).lower()
            month = _each(_interleaved([name[0::3], name[1::3], name[2::3], zeros]), "I", _MONTH_OF_NAME)
        else:
            month = digits("month")
        if "half" in fields:
            hour, half = digits("half_hour"), digits("half").lower()
            hour = _each(_interleaved([hour[0::2], hour[1::2], half[0::2], half[1::2]]), "I", _HOUR_OF_HALF)
        else:
            hour = digits("hour")
    except KeyError:
        return None
    columns = Columns(
        count, year, month, digits("day"), hour, digits("minute"), digits("second"), shape.utc, shape.iso_end
    )
    return columns if b"".join(columns[1:-2]).isdigit() else None


def _interleaved(parts: Sequence[bytes]) -> bytes:
    """Return the first bytes of all parts, then the second ones, and so on."""
    joined = bytearray(len(parts) * len(parts[0]))
    for i, part in enumerate(parts):
        joined[i :: len(parts)] = part
    return bytes(joined)


def _each(column: bytes, size: str, table: Mapping[int, bytes]) -> bytes:
    """Return what a table has for each value of a column. Raises `KeyError`."""
    return b"".join(map(table.__getitem__, memoryview(column).cast(size)))  # type: ignore[call-overload]


def _key(text: str) -> int:
    """Return the number that the bytes of a text are to a memory view."""
    return int.from_bytes(text.encode(), sys.byteorder)


@lru_cache(8)
def _years(first_year: int) -> Mapping[int, bytes]:
    return {_key(f"{year % 100:02d}"): b"%04d" % year for year in range(first_year, first_year + 100)}


_MONTH_OF_NAME: Final = {_key(f"{name}\0"): b"%02d" % i for i, name in enumerate(MONTHS, start=1)}

_HOUR_OF_HALF: Final = {
    _key(f"{hour:02d}{half}"): b"%02d" % (hour % 12 + 12 * (half == "pm"))
    for hour in range(1, 13)
    for half in ("am", "pm")
}

_LEAP_DAY: Final = _key("0229")

_SECONDS: Final = {_key(f"{number:02d}"): number for number in range(60)}

_HOURS: Final = frozenset(_key(f"{hour:02d}") for hour in range(24))


@lru_cache(1)
def _minutes() -> Mapping[int, int]:
    """Return the seconds since midnight by the digits of hour and minute."""
    return {_key(f"{minute // 60:02d}{minute % 60:02d}"): minute * 60 for minute in range(1_440)}


def _pairs(first: bytes, second: bytes) -> bytes:
    return _interleaved([first[0::2], first[1::2], second[0::2], second[1::2]])


def _numbered(lengths: Sequence[int]) -> Mapping[int, int]:
    """Return the number of each day of a year, from 0, by the digits of month and day."""
    days = ((month, day) for month, length in enumerate(lengths, start=1) for day in range(1, length + 1))
    return {_key(f"{month:02d}{day:02d}"): number for number, (month, day) in enumerate(days)}


_USUAL_DAYS: Final = _numbered((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31))
_LEAP_YEARS_DAYS: Final = _numbered((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31))


@lru_cache(10_000)
def _days_of_year(key: int) -> tuple[int, Mapping[int, int]]:
    """Return the first day of a year, from the epoch, and the numbers of its days; year 0 has none."""
    year = int(key.to_bytes(4, sys.byteorder))
    if not year:
        return 0, {}
    return date(year, 1, 1).toordinal() - EPOCH_DAY, _LEAP_YEARS_DAYS if _is_leap_year(year) else _USUAL_DAYS


def _is_leap_year(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
