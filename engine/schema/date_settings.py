"""The settings of date and datetime columns -> their conversion."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from engine.schema.date_forms import form_of, needs_first_year
from engine.schema.dates import OUTPUTS, Dates
from engine.schema.settings import Settings


def read_dates(settings: Settings, *, time: bool) -> Dates:
    """Return the conversion of a column of type date, or datetime with `time`. Raises `SchemaError`."""
    forms = settings.texts("input", "formats") or ("iso",)
    compiled = []
    for form in forms:
        try:
            compiled.append(form_of(form, time=time))
        except ValueError as error:
            raise settings.wrong("input", f"{form!r} is not a format: {error}") from None
    first_year = settings.count("first_year")
    if any(map(needs_first_year, forms)) != (first_year is not None):
        raise settings.wrong(
            "first_year", "is needed with %y, and only there: the first of the hundred years that two digits stand for"
        )
    if first_year is not None and first_year > 9_900:
        raise settings.wrong("first_year", f"must be at most 9900, not {first_year}")
    output = settings.choice("output", tuple(OUTPUTS))
    if not time and output not in ("iso", "epoch"):
        raise settings.wrong("output", f"must be iso or epoch for type date, not {output!r}")
    return Dates(
        forms=tuple(compiled),
        output=output,
        zone=_zone(settings),
        time=time,
        first_year=first_year or 0,
        type=OUTPUTS[output],
        iso=forms == ("iso",),
    )


def _zone(settings: Settings) -> tzinfo:
    name = settings.text("timezone")
    if name is None or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not found is a KeyError; a folder, or a name with .., is another
        raise settings.wrong("timezone", f"must be UTC or a name as Europe/Berlin, not {name!r}") from None
