"""Input formats of dates and times, compiled to expressions. Pure.

They are stricter than `strptime`: digits are ASCII, months are English, and a field may leave out a leading zero only
where no digit can follow it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Final, NamedTuple

from engine.schema.date_columns import Shape, shapes_of

MONTHS = ["january", "february", "march", "april", "may", "june"]
MONTHS += ["july", "august", "september", "october", "november", "december"]
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

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
    "B": ("month_name", f"(?i:{'|'.join(MONTHS)})", f"(?i:{'|'.join(MONTHS)})"),
    "b": ("month_name", f"(?i:{'|'.join(m[:3] for m in MONTHS)})", f"(?i:{'|'.join(m[:3] for m in MONTHS)})"),
    "A": ("weekday", f"(?i:{'|'.join(DAYS)})", f"(?i:{'|'.join(DAYS)})"),
    "a": ("weekday", f"(?i:{'|'.join(d[:3] for d in DAYS)})", f"(?i:{'|'.join(d[:3] for d in DAYS)})"),
    "z": ("offset", "Z|[+-][0-9]{2}:?[0-9]{2}", "Z|[+-][0-9]{2}:?[0-9]{2}"),
}
_DIGITS = frozenset("YymdHIMSf")

_ISO_DATE = "(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_ISO_TIME = (
    _ISO_DATE + r"[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]{1,9}))?)?(?P<offset>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_SECONDS = r"(?P<sign>-?)(?P<seconds>[0-9]{1,12})(?:\.(?P<fraction>[0-9]{1,9}))?"
_MILLISECONDS = "(?P<sign>-?)(?P<milliseconds>[0-9]{1,15})"

NAMED: Final = {"iso": _ISO_TIME, "epoch": _SECONDS, "epoch-ms": _MILLISECONDS}
"""Input formats that have a name."""

_DAY_FIELDS: Final = ("year", "short_year", "month", "month_name", "day", "weekday")
_CLOCK_FIELDS: Final = ("hour", "half_hour", "half", "minute", "second", "fraction", "offset")
_EPOCH_FIELDS: Final = ("sign", "seconds", "milliseconds", "fraction")

Texts = tuple[str, ...]


class Form(NamedTuple):
    """A compiled input format: its expression, and how to take the texts of fields from the texts of its groups.

    The fields are those of `_DAY_FIELDS`, `_CLOCK_FIELDS` and `_EPOCH_FIELDS`; those that the format lacks are empty.
    `since_epoch`: whether it is a number of seconds or milliseconds. `shapes`: what its texts mostly look like.
    """

    pattern: re.Pattern[str]
    day: Callable[[Texts], Texts]
    clock: Callable[[Texts], Texts]
    epoch: Callable[[Texts], Texts]
    since_epoch: bool
    shapes: tuple[Shape, ...]


def form_of(form: str, *, time: bool) -> Form:
    """Compile an input format. Raises `ValueError` with what is wrong with it."""
    # The last group is always there, and empty: it stands for each field that the format lacks.
    # ASCII: in any case, "s" would else be the long s too, and "i" the dotless one.
    pattern = re.compile(f"{_expression(form, time=time)}()", re.ASCII)
    day, clock, epoch = (
        itemgetter(*(pattern.groupindex.get(name, pattern.groups) - 1 for name in names))
        for names in (_DAY_FIELDS, _CLOCK_FIELDS, _EPOCH_FIELDS)
    )
    shapes = () if form in NAMED and form != "iso" else shapes_of(form, time=time)
    return Form(pattern, day, clock, epoch, "sign" in pattern.groupindex, shapes)


def _expression(form: str, *, time: bool) -> str:
    if form == "iso":
        return _ISO_TIME if time else _ISO_DATE
    if form in NAMED:
        if not time:
            raise ValueError(f"{form!r} is for type datetime only")
        return NAMED[form]
    if form != form.strip():
        raise ValueError("it begins or ends with a blank, and blanks around dates are dropped")
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
    return text


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
