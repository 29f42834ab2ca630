"""Dates and times: declared input formats -> ISO 8601 text or seconds since the epoch. Nothing is guessed.

A format is compiled to an expression of its own, stricter than `strptime`: digits are ASCII, months are English, a
field may leave out a leading zero only where no digit can follow it, and a day of the week must be the date's own. A
text that two formats read as two different times is refused, and so is a local time that a change of clocks makes
twice or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any, Final

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MONTHS = ["january", "february", "march", "april", "may", "june"]
_MONTHS += ["july", "august", "september", "october", "november", "december"]
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

# Fields by directive: name, expression with all leading zeros, and one that may leave them out.
_FIELDS: Final = {
    "Y": ("year", "[0-9]{4}", "[0-9]{4}"),
    "y": ("short_year", "[0-9]{2}", "[0-9]{2}"),
    "m": ("month", "[0-9]{2}", "[0-9]{1,2}"),
    "d": ("day", "[0-9]{2}", "[0-9]{1,2}"),
    "H": ("hour", "[0-9]{2}", "[0-9]{1,2}"),
    "I": ("half_hour", "[0-9]{2}", "[0-9]{1,2}"),
    "M": ("minute", "[0-9]{2}", "[0-9]{1,2}"),
    "S": ("second", "[0-9]{2}", "[0-9]{1,2}"),
    "f": ("fraction", "[0-9]{1,9}", "[0-9]{1,9}"),
    "p": ("half", "(?i:[ap]m)", "(?i:[ap]m)"),
    "B": ("month_name", f"(?i:{'|'.join(_MONTHS)})", f"(?i:{'|'.join(_MONTHS)})"),
    "b": ("month_name", f"(?i:{'|'.join(m[:3] for m in _MONTHS)})", f"(?i:{'|'.join(m[:3] for m in _MONTHS)})"),
    "A": ("weekday", f"(?i:{'|'.join(_DAYS)})", f"(?i:{'|'.join(_DAYS)})"),
    "a": ("weekday", f"(?i:{'|'.join(d[:3] for d in _DAYS)})", f"(?i:{'|'.join(d[:3] for d in _DAYS)})"),
    "z": ("offset", "Z|[+-][0-9]{2}:?[0-9]{2}", "Z|[+-][0-9]{2}:?[0-9]{2}"),
}
_DIGITS = frozenset("YymdHIMSf")

_ISO_DATE = re.compile("(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})")
_ISO_TIME = re.compile(
    _ISO_DATE.pattern + r"[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]{1,9}))?)?(?P<offset>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_SECONDS = re.compile(r"(?P<sign>-?)(?P<epoch>[0-9]{1,12})(?:\.(?P<fraction>[0-9]{1,9}))?")
_MILLISECONDS = re.compile("(?P<sign>-?)(?P<epoch_ms>[0-9]{1,15})")

NAMED: Final = {"iso": _ISO_TIME, "epoch": _SECONDS, "epoch-ms": _MILLISECONDS}
"""Input formats that have a name."""

OUTPUTS: Final = {"iso": "S", "iso-ms": "S", "iso-us": "S", "epoch": "N"}
"""Output formats, with their DynamoDB types. Texts of one format have one length, so that they sort by time."""

_DECIMALS: Final = {"iso": 0, "iso-ms": 3, "iso-us": 6}


def pattern_of(form: str, *, time: bool) -> re.Pattern[str]:
    """Return the expression of an input format. Raises `ValueError` with what is wrong with it."""
    if form == "iso":
        return _ISO_TIME if time else _ISO_DATE
    if form in NAMED:
        if not time:
            raise ValueError(f"{form!r} is for type datetime only")
        return NAMED[form]
    pieces = re.findall(r"%.|[^%]|%$", form, re.DOTALL)
    names: list[str] = []
    text = ""
    for place, piece in enumerate(pieces):
        if piece == "%%":
            text += "%"
        elif len(piece) == 1 and piece != "%":
            text += re.escape(piece)
        elif piece[1:] not in _FIELDS:
            raise ValueError(f"{piece!r} is not known; known are {', '.join(f'%{each}' for each in _FIELDS)}")
        else:
            name, exact, loose = _FIELDS[piece[1:]]
            if name in names:
                raise ValueError(f"it has {piece!r} or its like twice")
            names.append(name)
            beside = [*pieces[max(0, place - 1) : place], *pieces[place + 1 : place + 2]]
            text += f"(?P<{name}>{exact if any(map(_has_digits, beside)) else loose})"
    _check(set(names), time=time)
    return re.compile(text)


def _has_digits(piece: str) -> bool:
    return piece.isdigit() or (piece[:1] == "%" and piece[1:] in _DIGITS)


def _check(names: set[str], *, time: bool) -> None:
    """Raise `ValueError` unless a format with these fields determines a date, and a time if it is to."""
    wanted = [("%Y or %y", {"year", "short_year"}), ("%m, %b or %B", {"month", "month_name"}), ("%d", {"day"})]
    if time:
        wanted.append(("%H or %I", {"hour", "half_hour"}))
    for directives, alternatives in wanted:
        if len(names & alternatives) != 1:
            raise ValueError(f"it must have {directives}, once")
    if ("half_hour" in names) != ("half" in names):
        raise ValueError("%I and %p belong together")
    if ("second" in names and "minute" not in names) or ("fraction" in names and "second" not in names):
        raise ValueError("minutes come before seconds, and seconds before their fraction")
    clock = names & {"hour", "half_hour", "half", "minute", "second", "fraction", "offset"}
    if not time and clock:
        raise ValueError("it has a time, which type date would lose: use type datetime")


def needs_first_year(form: str) -> bool:
    """Return whether years in this format have two digits."""
    return form not in NAMED and "%y" in form.replace("%%", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """Conversion of dates, or with `time` of moments, in any of the formats `patterns` (see `pattern_of`).

    `output` is one of `OUTPUTS`. `zone` is that of texts without an offset. Years of two digits are those from
    `first_year` on. `time`: whether the values have a time of day.
    """

    patterns: tuple[re.Pattern[str], ...]
    output: str
    zone: tzinfo = UTC
    time: bool = False
    first_year: int = 0
    type: str = "S"
    strict: bool = True

    def convert(self, texts: Sequence[str]) -> Sequence[str | None]:
        """Return each date in the output format, None for a text that is refused."""
        # Dates come again and again: each different text is read once.
        results = {text: self._read(text)[0] for text in set(texts)}
        return list(map(results.__getitem__, texts))

    def nested(self, value: Any) -> None:
        """Refuse lists and objects."""

    def reason(self, value: Any) -> str:
        """Return what is wrong with a refused value."""
        return self._read(value)[1] if isinstance(value, str) else "is not a date"

    def _read(self, text: str) -> tuple[str | None, str]:
        """Return a date in the output format; None and the reason if it is refused."""
        written: set[str] = set()
        reason = f"is not a {'time' if self.time else 'date'} in the declared form"
        for pattern in self.patterns:
            found = pattern.fullmatch(text)
            if found is None:
                continue
            try:
                written.add(self._written(found.groupdict()))
            except _Refused as error:
                # In one of its forms it is a time that cannot be kept: no other form may replace that.
                return None, str(error)
            except (ValueError, OverflowError):
                reason = f"is not a {'time' if self.time else 'date'} of the calendar"
        if len(written) > 1:
            return None, "reads in two ways in the declared forms"
        return (written.pop(), "") if written else (None, reason)

    def _written(self, fields: dict[str, str | None]) -> str:
        if not self.time:
            day = self._date(fields)
            return day.isoformat() if self.output == "iso" else self._seconds(self._located(_midnight(day)), "")
        moment, fraction = self._moment(fields)
        fraction = fraction.rstrip("0")
        if self.output == "epoch":
            return self._seconds(moment, fraction)
        decimals = _DECIMALS[self.output]
        if len(fraction) > decimals:
            raise _Refused("has a smaller part of a second than the output format keeps")
        moment = moment.astimezone(UTC)
        return f"{moment.replace(tzinfo=None).isoformat()}{'.' * bool(decimals)}{fraction.ljust(decimals, '0')}Z"

    def _date(self, fields: dict[str, str | None]) -> date:
        if name := fields.get("month_name"):
            month = next(i for i, each in enumerate(_MONTHS, start=1) if each[:3] == name[:3].lower())
        else:
            month = int(fields["month"] or "")
        if short := fields.get("short_year"):
            year = self.first_year + (int(short) - self.first_year) % 100
        else:
            year = int(fields["year"] or "")
        day = date(year, month, int(fields["day"] or ""))
        if (name := fields.get("weekday")) and _DAYS[day.weekday()][:3] != name[:3].lower():
            raise _Refused("has the name of another day of the week")
        return day

    def _moment(self, fields: dict[str, str | None]) -> tuple[datetime, str]:
        """Return a moment in whole seconds, with an offset, and the digits of its fraction."""
        fraction = fields.get("fraction") or ""
        sign = -1 if fields.get("sign") else 1
        if (milliseconds := fields.get("epoch_ms")) is not None:
            seconds, rest = divmod(sign * int(milliseconds), 1_000)
            return _EPOCH + timedelta(seconds=seconds), f"{rest:03d}"
        if (whole := fields.get("epoch")) is not None:
            seconds, nanoseconds = divmod(sign * int(f"{whole}{fraction.ljust(9, '0')}"), 1_000_000_000)
            return _EPOCH + timedelta(seconds=seconds), f"{nanoseconds:09d}"
        if half := fields.get("half"):
            hour = int(fields["half_hour"] or "")
            if not 1 <= hour <= 12:
                raise ValueError("no hour of half a day")
            hour = hour % 12 + 12 * (half.lower() == "pm")
        else:
            hour = int(fields["hour"] or "")
        local = _midnight(self._date(fields)).replace(
            hour=hour, minute=int(fields.get("minute") or 0), second=int(fields.get("second") or 0)
        )
        offset = fields.get("offset")
        return (self._located(local) if offset is None else local.replace(tzinfo=_zone_of(offset))), fraction

    def _located(self, local: datetime) -> datetime:
        """Return a local time in the declared zone, if it is there exactly once."""
        early, late = (local.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
        if early.utcoffset() != late.utcoffset():
            raise _Refused("is a local time that a change of clocks makes twice or not at all")
        return early

    def _seconds(self, moment: datetime, fraction: str) -> str:
        """Return seconds since the epoch as canonical decimal text."""
        whole = (moment - _EPOCH) // timedelta(seconds=1)
        if whole < 0 and fraction:
            # The fraction counts from the whole second before: -1 and .25 are -0.75.
            scaled = f"{-whole * 10 ** len(fraction) - int(fraction):0{len(fraction) + 1}d}"
            return f"-{scaled[: -len(fraction)]}.{scaled[-len(fraction) :]}"
        return f"{whole}.{fraction}" if fraction else str(whole)


class _Refused(Exception):
    """A text has the form of a date, but cannot be kept; the text of the error is the reason."""


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def _zone_of(offset: str) -> tzinfo:
    if offset == "Z":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("no offset")
    size = timedelta(hours=hours, minutes=minutes)
    return timezone(-size if offset[0] == "-" else size)
