"""Dates and times: declared input formats -> ISO 8601 text or seconds since the epoch. Nothing is guessed.

A text that two formats read as two different times is refused, and so is a local time that a change of clocks makes
twice or not at all. A day of the week must be the date's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta, tzinfo
from functools import lru_cache
from itertools import compress, repeat
from operator import add, not_
from typing import Any, Final

from engine.schema.date_columns import BEFORE, DAYS_AFTER, SAME, UNKNOWN, Columns, Shape, read_columns
from engine.schema.date_forms import DAYS, MONTHS, Form, Texts
from engine.schema.time_zones import CACHED_DAYS as _CACHED
from engine.schema.time_zones import DAY as _DAY
from engine.schema.time_zones import EPOCH_DAY as _EPOCH_DAY
from engine.schema.time_zones import offset_of, starts_of_days

_FIRST_DAY = date.min.toordinal() - _EPOCH_DAY
_LAST_DAY = date.max.toordinal() - _EPOCH_DAY

_ENDS = (date.min.isoformat(), date.max.isoformat())

_MONTH_NUMBERS: Final = {name[:3]: number for number, name in enumerate(MONTHS, start=1)}

OUTPUTS: Final = {"iso": "S", "iso-ms": "S", "iso-us": "S", "epoch": "N"}
"""Output formats, with their DynamoDB types. Texts of one format have one length, so that they sort by time."""

_DECIMALS: Final = {"iso": 0, "iso-ms": 3, "iso-us": 6}

# The whole numbers below 60 as they may be written, faster than `int`.
_SIXTY: Final = {text: number for number in range(60) for text in (str(number), f"{number:02d}")}

_TWO_DIGITS: Final = tuple(f"{number:02d}" for number in range(60))

_HOURS: Final = {text: number for text, number in _SIXTY.items() if number < 24}


_FEW = 32
"""Texts that are read one by one when they have no common shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """Conversion of dates, or with `time` of moments, in any of the input formats `forms`.

    `output` is one of `OUTPUTS`. `zone` is that of texts without an offset. Years of two digits are those from
    `first_year` on. `iso`: whether ISO 8601 is the only input format.
    """

    forms: tuple[Form, ...]
    output: str
    zone: tzinfo = UTC
    time: bool = False
    first_year: int = 0
    type: str = "S"
    iso: bool = False
    strict: bool = True

    def convert(self, texts: Sequence[str]) -> Sequence[str | None]:
        """Return each date in the output format, None for a text that is refused."""
        if len(self.forms) == 1:
            return self._convert_parts(texts)
        # Dates come again and again: each different text is read once.
        different = list(set(texts))
        results = dict(zip(different, self._convert_by_form(different), strict=True))
        return list(map(results.__getitem__, texts))

    def _convert_by_form(self, texts: Sequence[str]) -> list[str | None]:
        """Convert texts of several forms: apart from one another, and one by one if they have two of them."""
        everywhere = []
        for form in self.forms:
            matches = list(map(form.pattern.fullmatch, texts))
            if None not in matches:
                everywhere.append(form)
            elif any(matches):
                of_form = iter(self._convert_by_form(list(compress(texts, matches)))).__next__
                others = iter(self._convert_by_form(list(compress(texts, map(not_, matches))))).__next__
                return [of_form() if each else others() for each in matches]
        if len(everywhere) != 1:
            return self._convert_each(texts)
        return replace(self, forms=(everywhere[0],))._convert_parts(texts)

    def _convert_each(self, texts: Sequence[str]) -> list[str | None]:
        results = {text: self._read(text)[0] for text in set(texts)}
        return list(map(results.__getitem__, texts))

    def _convert_parts(self, texts: Sequence[str]) -> list[str | None]:
        """Convert a whole column of one form at once; where that fails, its halves, so that few are read one by one."""
        form = self.forms[0]
        converted = (
            self._convert_instants(texts, in_seconds="seconds" in form.pattern.groupindex)
            if form.since_epoch
            else self._convert_shaped(texts, form.shapes)
        )
        if converted is not None:
            return converted
        if len(texts) <= _FEW or not (form.shapes or form.since_epoch):
            return self._convert_each(texts)
        middle = len(texts) // 2
        return self._convert_parts(texts[:middle]) + self._convert_parts(texts[middle:])

    def nested(self, value: Any) -> None:
        """Refuse lists and objects."""

    def reason(self, value: Any) -> str:
        """Return what is wrong with a refused value."""
        return self._read(value)[1] if isinstance(value, str) else "is not a date"

    def _convert_shaped(self, texts: Sequence[str], shapes: Sequence[Shape]) -> list[str | None] | None:
        """Convert texts that all have one of the shapes; None if that is left to `_read`."""
        columns = read_columns(texts, shapes, self.first_year)
        if columns is None or not columns.exist():
            return None
        is_utc = not columns.offset and (columns.shape.utc or self.zone is UTC)
        if self.output == "epoch":
            return self._epochs(texts, columns, is_utc=is_utc)
        if not self.time:
            return [*(texts if columns.is_written else columns.iso_texts(None))]
        decimals = _DECIMALS[self.output]
        if columns.has_more_than(decimals):
            return None
        if is_utc:
            as_it_is = columns.is_written and len(columns.fraction) == decimals
            return [*(texts if as_it_is else columns.iso_texts(decimals))]
        in_utc, days = columns.in_utc(self.zone)
        converted: list[str | None] = [*in_utc.iso_texts(decimals)]
        for found in re.finditer(b"[^%c]" % SAME, days):
            i = found.start()
            text = converted[i] or ""
            converted[i] = (
                self._read(texts[i])[0]
                if days[i] == UNKNOWN or text[:10] in _ENDS
                else _neighbour(text[:10], -1 if days[i] == BEFORE else 1) + text[10:]
            )
        return converted

    def _convert_instants(self, texts: Sequence[str], *, in_seconds: bool) -> list[str | None] | None:
        """Convert whole numbers of seconds or milliseconds since the epoch; None if they are left to `_read`."""
        lines = "\n".join(texts)
        if (
            not lines.isascii()
            or lines.encode().translate(None, b"0123456789-\n")
            or lines.count("\n") != len(texts) - 1
            or len(max(texts, key=len)) > (10 if in_seconds else 13)
        ):
            return None
        try:
            numbers = list(map(int, texts))
        except ValueError:
            return None
        fractions: Iterable[str] = repeat("")
        if not in_seconds:
            fractions = [f"{number % 1_000:03d}" for number in numbers]
            numbers = [number // 1_000 for number in numbers]
        if self.output == "epoch":
            return [_decimal(number, each.rstrip("0")) for number, each in zip(numbers, fractions, strict=False)]
        decimals = _DECIMALS[self.output]
        if not decimals and not in_seconds:
            if any(each != "000" for each in fractions):
                return None
            fractions = repeat("")
        minutes, zeros = _minutes(), "0" * (decimals if in_seconds else decimals - 3)
        before, after = ("." if decimals else ""), f"{zeros}Z"
        return [
            f"{_iso_day(number // _DAY)}T{minutes[number % _DAY // 60]}:{_TWO_DIGITS[number % 60]}{before}{each}{after}"
            for number, each in zip(numbers, fractions, strict=False)
        ]

    def _epochs(self, texts: Sequence[str], columns: Columns, *, is_utc: bool) -> list[str | None] | None:
        unusual: list[int] = []
        if columns.offset:
            columns, days = columns.in_utc(self.zone)
            seconds = [
                (day + after - 1) * _DAY + time
                for day, after, time in zip(columns.days(), days.translate(DAYS_AFTER), columns.times(), strict=True)
            ]
            if min(seconds) // _DAY < _FIRST_DAY or max(seconds) // _DAY > _LAST_DAY:
                return None
        elif is_utc:
            seconds = [day * _DAY + time for day, time in zip(columns.days(), columns.times(), strict=True)]
        else:
            starts = list(map(starts_of_days(self.zone).__getitem__, columns.local_days()))
            unusual = [i for i, start in enumerate(starts) if start is None] if None in starts else []
            for i in unusual:
                starts[i] = 0
            seconds = list(map(add, starts, columns.times()))
        converted: list[str | None] = [
            *(map(_decimal, seconds, columns.fractions()) if columns.has_more_than(0) else map(str, seconds))
        ]
        for i in unusual:
            converted[i] = self._read(texts[i])[0]
        return converted

    def _read(self, text: str) -> tuple[str | None, str]:
        """Return a date in the output format; None and the reason if it is refused."""
        written, reason = None, ""
        for form in self.forms:
            found = form.pattern.fullmatch(text)
            if found is None:
                continue
            try:
                again = self._written(form, found.groups(""))
            except _Refused as error:
                # In one of its forms it is a time that cannot be kept: no other form may replace that.
                return None, str(error)
            except ValueError:
                reason = f"is not a {'time' if self.time else 'date'} of the calendar"
                continue
            if written is not None and again != written:
                return None, "reads in two ways in the declared forms"
            written = again
        if written is not None:
            return written, ""
        return None, reason or f"is not a {'time' if self.time else 'date'} in the declared form"

    def _written(self, form: Form, texts: Texts) -> str:
        if not self.time:
            day = _day_of_fields(form.day(texts), self.first_year)
            return _iso_day(day) if self.output == "iso" else str(self._instant(day, 0))
        instant, fraction = _since_epoch(form.epoch(texts)) if form.since_epoch else self._moment(form, texts)
        day, second = divmod(instant, _DAY)
        if not _FIRST_DAY <= day <= _LAST_DAY:
            raise ValueError("no year of four digits")
        if self.output == "epoch":
            return _decimal(instant, fraction)
        decimals = _DECIMALS[self.output]
        if len(fraction) > decimals:
            raise _Refused("has a smaller part of a second than the output format keeps")
        end = _end_of(fraction, decimals)
        minutes, second = divmod(second, 60)
        return "%sT%02d:%02d:%02d%s" % (_iso_day(day), minutes // 60, minutes % 60, second, end)  # noqa: UP031 - faster

    def _moment(self, form: Form, texts: Texts) -> tuple[int, str]:
        """Return the seconds since the epoch, and the digits of the fraction that is to be added to them."""
        hour_text, half_hour, half, minute_text, second_text, fraction, offset = form.clock(texts)
        if half:
            hour = _HOURS.get(half_hour, 0)
            if not 1 <= hour <= 12:
                raise ValueError("no hour of half a day")
            hour = hour % 12 + 12 * (half.lower() == "pm")
        else:
            hour = _HOURS.get(hour_text, 24)
        minute, second = _SIXTY.get(minute_text or "0", 60), _SIXTY.get(second_text or "0", 60)
        if hour > 23 or minute > 59 or second > 59:
            raise ValueError("no time of a day")
        day, time = _day_of_fields(form.day(texts), self.first_year), hour * 3_600 + minute * 60 + second
        instant = day * _DAY + time - _offset(offset) if offset else self._instant(day, time)
        return instant, fraction.rstrip("0")

    def _instant(self, day: int, time: int) -> int:
        """Return the seconds since the epoch of a local time in the declared zone, if it is there exactly once."""
        if self.zone is UTC:
            return day * _DAY + time
        offset = offset_of(self.zone, day * _DAY + time)
        if offset is None:
            raise _Refused("is a local time that a change of clocks makes twice or not at all")
        return day * _DAY + time - offset


def _end_of(fraction: str, decimals: int) -> str:
    return f".{fraction:0<{decimals}}Z" if decimals else "Z"


class _Refused(Exception):
    """A text has the form of a date, but cannot be kept; the text of the error is the reason."""


@lru_cache(_CACHED)
def _day_of_fields(fields: Texts, first_year: int) -> int:
    """Return a day, from the epoch, of the texts of `_DAY_FIELDS`. Raises `ValueError` if the calendar lacks it."""
    year_text, short_year, month_text, month_name, day_text, weekday = fields
    year = int(year_text) if year_text else first_year + (int(short_year) - first_year) % 100
    month = int(month_text) if month_text else _MONTH_NUMBERS[month_name[:3].lower()]
    day = date(year, month, int(day_text)).toordinal() - _EPOCH_DAY
    # The epoch was a Thursday.
    if weekday and DAYS[(day + 3) % 7][:3] != weekday[:3].lower():
        raise _Refused("has the name of another day of the week")
    return day


@lru_cache(1)
def _minutes() -> Sequence[str]:
    """Return the minutes of a day as ISO 8601 writes them."""
    return [f"{hour:02d}:{minute}" for hour in range(24) for minute in _TWO_DIGITS]


@lru_cache(_CACHED)
def _iso_day(day: int) -> str:
    return date.fromordinal(day + _EPOCH_DAY).isoformat()


@lru_cache(_CACHED)
def _neighbour(day: str, days: int) -> str:
    """Return the day that is some days after another."""
    return (date.fromisoformat(day) + timedelta(days)).isoformat()


def _offset(text: str) -> int:
    """Return an offset as ISO 8601 writes it in seconds."""
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("no offset")
    size = hours * 3_600 + minutes * 60
    return -size if text[0] == "-" else size


def _since_epoch(fields: Texts) -> tuple[int, str]:
    """Return a number of seconds or milliseconds since the epoch, of `_EPOCH_FIELDS`, as `Dates._moment` does."""
    sign, whole, milliseconds, fraction = fields
    if milliseconds:
        whole, fraction = milliseconds[:-3] or "0", milliseconds[-3:].zfill(3)
    seconds, fraction = int(whole), fraction.rstrip("0")
    if sign:
        seconds = -seconds
        if fraction:
            # The fraction counts from the whole second before: -0.75 is -1 and 0.25.
            seconds, fraction = seconds - 1, _complement(fraction)
    return seconds, fraction


def _complement(fraction: str) -> str:
    """Return the digits of one minus a fraction."""
    return f"{10 ** len(fraction) - int(fraction):0{len(fraction)}d}"


def _decimal(seconds: int, fraction: str) -> str:
    """Return seconds and their fraction, as `Dates._moment` returns them, as canonical decimal text."""
    if not fraction:
        return str(seconds)
    return f"{seconds}.{fraction}" if seconds >= 0 else f"-{-1 - seconds}.{_complement(fraction)}"
