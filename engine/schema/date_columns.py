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
from itertools import chain, product, repeat
from operator import add
from typing import Final, NamedTuple

from engine.schema.lanes import chosen, reached, total, values
from engine.schema.time_zones import EPOCH_DAY, shifts_of_days

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
    # Spellings of %f and %z.
    "3": ("fraction", 3),
    "6": ("fraction", 6),
    "+": ("sign", 1),
    "h": ("offset_hour", 2),
    "n": ("offset_minute", 2),
}

_SPELLINGS: Final = {"%f": ("%3", "%6"), "%z": ("%Z", "%+%h:%n", "%+%h%n")}
"""What has no fixed place has one in most columns. ``%Z`` is the letter, which says that the time is UTC."""

_ISO_TIMES: Final = tuple(
    f"%Y-%m-%d{blank}%H:%M{second}{zone}" for second in (":%S", ":%S.%f", "") for blank in "T " for zone in ("%z", "")
)

_WRITTEN: Final = ("%Y-%m-%d", *(f"%Y-%m-%dT%H:%M:%S{fraction}%Z" for fraction in ("", ".%3", ".%6")))
"""What `Columns.iso_texts` writes."""

_LOOSE: Final = frozenset(f"%{each}" for each in "mdHIMS")
"""Fields that may lack a leading zero, where no digits are beside them."""

_DIGITS: Final = _LOOSE | {"%Y", "%y", "%3", "%6"}


def _only(value: int) -> bytes:
    """Return the table of a mask: 255 for one value, and 0 for all others."""
    return bytes(value) + b"\xff" + bytes(255 - value)


_IS_NO_DIGIT: Final = b"\xff" * 48 + bytes(10) + b"\xff" * 198
_IS_PLUS: Final = _only(ord("+"))

# Of numbers of two digits.
_IS_ZERO: Final = _only(0)
_IS_FEBRUARY: Final = _only(2)
_IS_FOURTH: Final = b"\1\0\0\0" * 64
_MONTH_DAYS: Final = bytes([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]).ljust(256, b"\0")
_HOURS: Final = bytes(range(24))
_MINUTES: Final = bytes(range(60))
_MINUS_23, _MINUS_60 = (bytes(range(most, -1, -1)).ljust(256, b"\0") for most in (23, 60))
_PLUS_24: Final = bytes([*range(24, 256), *range(24)])

SAME, BEFORE, AFTER, UNKNOWN = b"=<>?"
"""Of which day a time in UTC is: the local one, the one before or after it; or its day is `UNUSUAL`."""

# By hours and minutes in UTC, counted from the day before, and hours of an unusual day from 128 on.
_DAY_OF_HOUR: Final = bytes([BEFORE] * 24 + [SAME] * 24 + [AFTER] * 80 + [UNKNOWN] * 128)
DAYS_AFTER: Final = bytes.maketrans(bytes([BEFORE, SAME, AFTER]), bytes(range(3)))
"""How many days after the one before the local one these are."""
_CARRY: Final = bytes.maketrans(b"\x80", b"\1")


def _digits_of(modulus: int) -> tuple[bytes, bytes]:
    """Return tables for the two digits of numbers modulo `modulus`."""
    digits = b"".join(b"%02d" % each for each in range(modulus)) * 11
    return digits[0:512:2], digits[1:512:2]


_HOUR_DIGITS: Final = _digits_of(24)
_MINUTE_DIGITS: Final = _digits_of(60)


class Shape(NamedTuple):
    """Texts of one length: names, places from 1 and widths of their fields, and the characters at all other places.

    `loose` are the places where a leading zero may be missing, the last one first. `utc`: whether the text says that
    it is UTC. `form` is the input format with the spellings of its fields.
    """

    width: int
    fields: tuple[tuple[str, int, int], ...]
    literals: tuple[tuple[int, bytes], ...]
    loose: tuple[int, ...]
    utc: bool
    form: str


Digits = Sequence[bytes]
"""The digits of a field of a whole column: a lane for each place."""


class Columns(NamedTuple):
    """The digits of a whole column by field; those of the fraction and of the offset, with its sign, may be none."""

    rows: int
    year: Digits
    month: Digits
    day: Digits
    hour: Digits
    minute: Digits
    second: Digits
    fraction: Digits
    offset: Digits
    shape: Shape

    def exist(self) -> bool:
        """Return whether all days are of the calendar, and all times of a day."""
        century, year = values(*self.year[:2]), values(*self.year[2:])
        month, day = values(*self.month), values(*self.day)
        # Of years that end with 00, the century decides.
        leap = chosen(year.translate(_IS_ZERO), century, year).translate(_IS_FOURTH)
        february = chosen(month.translate(_IS_FEBRUARY), leap, bytes(self.rows))
        return (
            b"\0" not in total(century, year)
            and b"\0" not in day
            and b"\0" not in reached(total(month.translate(_MONTH_DAYS), february), day)
            and not values(*self.hour).translate(None, _HOURS)
            and not (self.minute[0] + self.second[0]).translate(None, b"012345")
            and (not self.offset or self._offsets_exist())
        )

    def _offsets_exist(self) -> bool:
        sign, *digits = self.offset
        return not (
            sign.translate(None, b"+-")
            or values(*digits[:2]).translate(None, _HOURS)
            or values(*digits[2:]).translate(None, _MINUTES)
        )

    @property
    def is_written(self) -> bool:
        """Return whether the texts are what `iso_texts` writes, with as many decimals as they have."""
        return not self.shape.loose and self.shape.form in _WRITTEN

    def has_more_than(self, decimals: int) -> bool:
        """Return whether the fraction of a second has more decimals than that, apart from zeros."""
        return bool(b"".join(self.fraction[decimals:]).strip(b"0"))

    def fractions(self) -> list[str]:
        """Return the digits of the fractions of a second, without zeros at the end."""
        digits, width = _interleaved(self.fraction).decode(), len(self.fraction)
        return [digits[i : i + width].rstrip("0") for i in range(0, len(digits), width)]

    def iso_texts(self, decimals: int | None) -> list[str]:
        """Return the texts of ISO 8601; `decimals` are those of the seconds (None: only the days are wanted)."""
        fields = [(self.year, 0), (self.month, 5), (self.day, 8)]
        line = "0000-00-00"
        if decimals is not None:
            fields += [(self.hour, 11), (self.minute, 14), (self.second, 17), (self.fraction[:decimals], 20)]
            line += f"T00:00:00{'.' * bool(decimals)}{'0' * decimals}Z"
        lines, stride = bytearray(f"{line}\n".encode() * self.rows), len(line) + 1
        for digits, place in fields:
            for i, lane in enumerate(digits, start=place):
                lines[i::stride] = lane
        return lines.decode().split("\n")[:-1]

    def days(self) -> list[int]:
        """Return the days from the epoch, if all of them `exist`."""
        years = map(_days_of_year, memoryview(_interleaved(self.year)).cast("I"))
        month_days = memoryview(_interleaved([*self.month, *self.day])).cast("I")
        return [first + days[month_day] for (first, days), month_day in zip(years, month_days, strict=True)]

    def local_days(self) -> memoryview:
        """Return the digits of the days as the tables of `engine.schema.time_zones` have them."""
        return memoryview(_interleaved([*self.year, *self.month, *self.day])).cast("Q")

    def in_utc(self, zone: tzinfo) -> tuple[Columns, bytes]:
        """Return the columns with hours and minutes of UTC, and of which day each is: `SAME` and so on.

        Only if all of them `exist`. `zone` is that of texts without an offset.
        """
        shifts = self._shifts() if self.offset else self._shifts_of_days(zone)
        minutes = total(values(*self.minute), shifts[1])
        carried = reached(minutes, b"\x3c" * self.rows).translate(_CARRY)
        hours = total(values(*self.hour), shifts[0], carried)
        columns = self._replace(
            hour=[hours.translate(table) for table in _HOUR_DIGITS],
            minute=[minutes.translate(table) for table in _MINUTE_DIGITS],
        )
        return columns, hours.translate(_DAY_OF_HOUR)

    def _shifts_of_days(self, zone: tzinfo) -> tuple[bytes, bytes]:
        """Return how many hours and minutes are to be added for the time of UTC, counted from the day before."""
        shifts = b"".join(map(shifts_of_days(zone).__getitem__, self.local_days()))
        return shifts[0::2], shifts[1::2]

    def _shifts(self) -> tuple[bytes, bytes]:
        """Return the same for texts with an offset."""
        sign, *digits = self.offset
        plus, hours, minutes = sign.translate(_IS_PLUS), values(*digits[:2]), values(*digits[2:])
        return (
            chosen(plus, hours.translate(_MINUS_23), hours.translate(_PLUS_24)),
            chosen(plus, minutes.translate(_MINUS_60), minutes),
        )

    def times(self) -> list[int]:
        """Return the seconds since midnight, if all times `exist`."""
        minutes = map(_minutes().__getitem__, memoryview(_interleaved([*self.hour, *self.minute])).cast("I"))
        if not b"".join(self.second).strip(b"0"):
            return list(minutes)
        return list(map(add, minutes, map(_SECONDS.__getitem__, memoryview(_interleaved(self.second)).cast("H"))))


@lru_cache(64)
def shapes_of(form: str, *, time: bool) -> tuple[Shape, ...]:
    """Return the shapes that texts of a valid input format mostly have; none if its fields have no fixed places."""
    pads = form != "iso"
    forms = (form,) if pads else _ISO_TIMES if time else ("%Y-%m-%d",)
    spelled = chain.from_iterable(map(_spelled, forms))
    return tuple(shape for each in spelled if (shape := _shape_of(each, pads=pads)))


def _spelled(form: str) -> Iterable[str]:
    """Return a format with its fields in each of their spellings."""
    choices = [_SPELLINGS.get(piece, (piece,)) for piece in re.findall(r"%.|[^%]", form, re.DOTALL)]
    return map("".join, product(*choices))


def _shape_of(form: str, *, pads: bool) -> Shape | None:
    fields: list[tuple[str, int, int]] = []
    literals: list[tuple[int, bytes]] = [(0, b"\n")]
    loose: list[int] = []
    pieces = re.findall(r"%.|[^%]", form, re.DOTALL)
    place = 1
    for i, piece in enumerate(pieces):
        if piece[0] != "%" or piece in ("%%", "%Z"):
            # Digits would count as digits of the field beside them.
            if not piece.isascii() or piece.isdigit() or piece == "\n":
                return None
            literals.append((place, piece[-1].encode()))
            place += 1
        elif piece[1] in _FIELDS:
            name, width = _FIELDS[piece[1]]
            fields.append((name, place, width))
            beside = {*pieces[max(0, i - 1) : i], *pieces[i + 1 : i + 2]}
            if pads and piece in _LOOSE and beside.isdisjoint(_DIGITS):
                loose.append(place)
            place += width
        else:
            return None
    if not fields:
        return None
    return Shape(place - 1, tuple(fields), tuple(literals), tuple(reversed(loose)), "%Z" in pieces, form)


def read_columns(texts: Sequence[str], shapes: Iterable[Shape], first_year: int) -> Columns | None:
    """Return the fields of a column if all texts have one of the shapes, with digits in the places of digits.

    Returns None otherwise. That a month, an hour and so on exist is not checked.
    """
    lines = "\n".join(["", *texts])
    if not lines.isascii() or lines.count("\n") != len(texts):
        return None
    for shape in shapes:
        places = _places(lines, texts, shape)
        columns = _columns(places, shape, len(texts), first_year) if places else None
        if columns is not None:
            return columns
    return None


def _places(lines: str, texts: Sequence[str], shape: Shape) -> list[bytes] | None:
    """Return a lane for each place of a shape, filled up with zeros; None if a text has another shape.

    Place 0 has the line end before each text. Where a text is shorter there are more of them, and each makes way for
    a missing zero.
    """
    stride = shape.width + 1
    if shape.loose and len(lines) != len(texts) * stride:
        lines = "".join(map(str.rjust, texts, repeat(stride), repeat("\n")))
    if len(lines) != len(texts) * stride:
        return None
    data = lines.encode()
    places = [data[i::stride] for i in range(stride)]
    for place in shape.loose:
        missing = places[place].translate(_IS_NO_DIGIT)
        if b"\xff" in missing:
            moved = [*places[1 : place + 1], b"0" * len(texts)]
            places[: place + 1] = map(chosen, repeat(missing), moved, places)
    fits = all(places[place].count(literal) == len(texts) for place, literal in shape.literals)
    return places if fits else None


def _columns(places: list[bytes], shape: Shape, count: int, first_year: int) -> Columns | None:
    fields = {name: places[place : place + width] for name, place, width in shape.fields}
    zeros = [b"0" * count] * 2
    try:
        year = _each(fields["short_year"], "H", _years(first_year), 4) if "short_year" in fields else fields["year"]
        if "month_name" in fields:
            name = [lane.lower() for lane in fields["month_name"]]
            month = _each([*name, bytes(count)], "I", _MONTH_OF_NAME, 2)
        else:
            month = fields["month"]
        if "half" in fields:
            half = [lane.lower() for lane in fields["half"]]
            hour = _each([*fields["half_hour"], *half], "I", _HOUR_OF_HALF, 2)
        else:
            hour = fields.get("hour", zeros)
    except KeyError:
        return None
    minute, second, fraction = fields.get("minute", zeros), fields.get("second", zeros), fields.get("fraction", [])
    offset = [*fields.get("sign", []), *fields.get("offset_hour", []), *fields.get("offset_minute", [])]
    digits = chain(year, month, fields["day"], hour, minute, second, fraction, offset[1:])
    columns = Columns(count, year, month, fields["day"], hour, minute, second, fraction, offset, shape)
    return columns if b"".join(digits).isdigit() else None


def _interleaved(parts: Sequence[bytes]) -> bytes:
    """Return the first bytes of all parts, then the second ones, and so on."""
    joined = bytearray(len(parts) * len(parts[0]))
    for i, part in enumerate(parts):
        joined[i :: len(parts)] = part
    return bytes(joined)


def _each(lanes: Digits, size: str, table: Mapping[int, bytes], width: int) -> Digits:
    """Return the digits that a table has for what is in some lanes together. Raises `KeyError`."""
    found = b"".join(map(table.__getitem__, memoryview(_interleaved(lanes)).cast(size)))  # type: ignore[call-overload]
    return [found[i::width] for i in range(width)]


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

_SECONDS: Final = {_key(f"{number:02d}"): number for number in range(60)}


@lru_cache(1)
def _minutes() -> Mapping[int, int]:
    """Return the seconds since midnight by the digits of hour and minute."""
    return {_key(f"{minute // 60:02d}{minute % 60:02d}"): minute * 60 for minute in range(1_440)}


@lru_cache(2)
def _numbers_of_days(*, leap: bool) -> Mapping[int, int]:
    """Return the number of each day of a year, from 0, by the digits of month and day."""
    lengths = (31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    days = ((month, day) for month, length in enumerate(lengths, start=1) for day in range(1, length + 1))
    return {_key(f"{month:02d}{day:02d}"): number for number, (month, day) in enumerate(days)}


@lru_cache(10_000)
def _days_of_year(key: int) -> tuple[int, Mapping[int, int]]:
    """Return the first day of a year, from the epoch, and the numbers of its days."""
    year = int(key.to_bytes(4, sys.byteorder))
    first, last = (date(year, month, day).toordinal() for month, day in ((1, 1), (12, 31)))
    return first - EPOCH_DAY, _numbers_of_days(leap=last - first == 365)
