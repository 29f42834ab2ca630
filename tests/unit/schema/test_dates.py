"""Dates: what declared formats read, against Python's own formatting, and what is refused with which reason."""

import re
from calendar import isleap
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.schema.date_forms import form_of
from engine.schema.dates import Dates
from tests.builders.samples import schema_of

BERLIN = ZoneInfo("Europe/Berlin")


def dates(*forms: str, output: str = "iso", time: bool = False, **settings: Any) -> Dates:
    return Dates(
        forms=tuple(form_of(form, time=time) for form in forms),
        output=output,
        time=time,
        iso=forms == ("iso",),
        **settings,
    )


def read(conversion: Dates, text: str) -> str:
    """Return a value, or the reason for which it is refused."""
    (value,) = conversion.convert([text])
    return value if value is not None else f"refused: {conversion.reason(text)}"


@given(
    st.lists(st.dates(), max_size=5),
    st.sampled_from(
        ["iso", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%d %B %Y", "%d-%b-%Y", "%A, %d. %B %Y", "%a%d%b%Y"]
    ),
)
def test_dates_that_python_writes(days: list[date], form: str) -> None:
    written = "%Y-%m-%d" if form == "iso" else form
    # strftime does not pad years.
    texts = [day.strftime(written.replace("%Y", f"{day.year:04d}")) for day in days]
    assert list(dates(form).convert(texts)) == [day.isoformat() for day in days]
    epoch = [str((day - date(1970, 1, 1)).days * 86_400) for day in days]
    assert list(dates(form, output="epoch", type="N").convert(texts)) == epoch


MOMENTS = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))


@settings(max_examples=60)
@given(MOMENTS, st.integers(-1439, 1439))
def test_times_with_an_offset_that_python_writes(moment: datetime, minutes: int) -> None:
    local = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    utc = local.astimezone(UTC)
    expected = utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    assert read(dates("iso", output="iso-us", time=True), local.isoformat()) == expected
    seconds = Decimal((utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)).scaleb(-6)
    assert Decimal(read(dates("iso", output="epoch", time=True), local.isoformat())) == seconds
    coarse = local.replace(microsecond=0)
    # strftime does not pad years.
    text = f"{coarse:%d.%m.}{coarse.year:04d}{coarse:, %I:%M:%S %p }"
    form = "%d.%m.%Y, %I:%M:%S %p %z"
    assert read(dates(form, time=True), text + coarse.strftime("%z")) == expected[:19] + "Z"


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1)))
@example(datetime(2024, 3, 31, 2, 30))
@example(datetime(2024, 3, 31, 1, 59, 59))
@example(datetime(2024, 3, 31, 3, 0))
@example(datetime(2024, 10, 27, 2, 0))
@example(datetime(2024, 10, 27, 3, 0))
def test_local_times(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    early, late = (moment.replace(tzinfo=BERLIN, fold=fold).astimezone(UTC) for fold in (0, 1))
    found = read(dates("iso", time=True, zone=BERLIN), moment.isoformat())
    if early == late:
        assert found == early.replace(tzinfo=None).isoformat() + "Z"
    else:
        assert found == "refused: is a local time that a change of clocks makes twice or not at all"


@given(
    st.lists(
        st.datetimes(min_value=datetime(1, 1, 1)).map(lambda moment: moment.isoformat(timespec="seconds") + "Z"),
        max_size=4,
    ),
    st.sampled_from(
        [
            "2024-02-30T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00Z\n",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00Z",
        ]
    ),
)
def test_times_that_are_in_the_output_form_already(texts: list[str], odd: str) -> None:
    quick = dates("iso", time=True)
    slow = dates("iso", "%Y-%m-%dT%H:%M:%SZ", time=True)
    for column in (texts, [*texts, odd]):
        assert list(quick.convert(column)) == list(slow.convert(column))


NOT_DECLARED = "refused: is not a date in the declared form"
NO_DATE = "refused: is not a date of the calendar"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("31.01.2024", "2024-01-31"),
        ("1.2.2024", "2024-02-01"),
        ("29.02.2024", "2024-02-29"),
        ("29.02.2023", NO_DATE),
        ("31.02.2024", NO_DATE),
        ("00.01.2024", NO_DATE),
        ("01.13.2024", NO_DATE),
        ("01.01.0000", NO_DATE),
        ("01.01.24", NOT_DECLARED),
        ("01.01.20245", NOT_DECLARED),
        ("001.01.2024", NOT_DECLARED),
        ("1. 2.2024", NOT_DECLARED),
        ("01.01.2024 00:00", NOT_DECLARED),
        ("\uff11.1.2024", NOT_DECLARED),
        ("1.1.2024\n", NOT_DECLARED),
        ("2024-01-31", NOT_DECLARED),
    ],
)
def test_day_month_year(text: str, result: str) -> None:
    assert read(dates("%d.%m.%Y"), text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("13/04/2024", "2024-04-13"),
        ("04/13/2024", "2024-04-13"),
        ("04/04/2024", "2024-04-04"),
        ("03/04/2024", "refused: reads in two ways in the declared forms"),
        ("13/14/2024", NO_DATE),
    ],
)
def test_date_that_reads_in_two_ways_is_refused(text: str, result: str) -> None:
    assert read(dates("%d/%m/%Y", "%m/%d/%Y"), text) == result


@pytest.mark.parametrize("forms", [("iso", "%m/%d/%Y"), ("%d/%m/%Y", "%m/%d/%Y"), ("%d.%m.%Y", "%d.%m.%y", "iso")])
@given(st.lists(st.dates(), min_size=1, max_size=9), st.lists(st.dates(), max_size=3), st.data())
def test_columns_of_several_forms(
    forms: tuple[str, ...], first: list[date], second: list[date], data: st.DataObject
) -> None:
    usual, other = (data.draw(st.sampled_from(forms)).replace("iso", "%Y-%m-%d") for _ in range(2))
    texts = [day.strftime(usual.replace("%Y", f"{day.year:04d}")) for day in first] * 8
    texts += [day.strftime(other.replace("%Y", f"{day.year:04d}")) for day in second] * 12
    texts = data.draw(st.sampled_from([texts, [*texts[::2], "", *texts[1::2]]]))
    first_year = 1950 if any("%y" in form for form in forms) else 0
    column, one_by_one = dates(*forms, first_year=first_year), dates(*forms, *forms, first_year=first_year)
    assert list(column.convert(texts)) == list(one_by_one.convert(texts))


@pytest.mark.parametrize(("text", "year"), [("50", 1950), ("99", 1999), ("00", 2000), ("49", 2049)])
def test_years_of_two_digits_are_those_from_the_first_year_on(text: str, year: int) -> None:
    assert read(dates("%d.%m.%y", first_year=1950), f"01.02.{text}") == f"{year}-02-01"


def test_fields_without_a_separator_have_all_their_digits() -> None:
    assert read(dates("%d%m%Y"), "01122024") == "2024-12-01"
    assert read(dates("%d%m%Y"), "1122024") == NOT_DECLARED


def test_day_of_the_week_must_be_the_dates_own() -> None:
    assert read(dates("%a %d %b %Y"), "WED 31 jan 2024") == "2024-01-31"
    assert read(dates("%a %d %b %Y"), "Tue 31 Jan 2024") == "refused: has the name of another day of the week"


TIMES = [
    ("2024-06-01T12:00", "2024-06-01T12:00:00Z"),
    ("2024-06-01 12:00:01,000Z", "2024-06-01T12:00:01Z"),
    ("2024-06-01T12:00:00+02", "2024-06-01T10:00:00Z"),
    ("2024-01-01T00:00:00+0530", "2023-12-31T18:30:00Z"),
    ("2024-06-01T12:00:00.5Z", "refused: has a smaller part of a second than the output format keeps"),
    ("2024-06-01", "refused: is not a time in the declared form"),
    ("2024-06-01T12:00:00 Europe/Berlin", "refused: is not a time in the declared form"),
    ("2024-06-01T12:00:00z", "refused: is not a time in the declared form"),
    ("2024-06-01T24:00:00Z", "refused: is not a time of the calendar"),
    ("2024-06-01T12:60:00Z", "refused: is not a time of the calendar"),
    ("2024-06-30T23:59:60Z", "refused: is not a time of the calendar"),
    ("2024-06-01T12:00:00+24:00", "refused: is not a time of the calendar"),
    ("0001-01-01T00:00:00+01:00", "refused: is not a time of the calendar"),
    ("9999-12-31T23:00:00-01:00", "refused: is not a time of the calendar"),
]


@pytest.mark.parametrize(("text", "result"), TIMES)
def test_iso_times(text: str, result: str) -> None:
    assert read(dates("iso", time=True), text) == result


@pytest.mark.parametrize(
    ("text", "iso", "epoch"),
    [
        ("0", "1970-01-01T00:00:00.000Z", "0"),
        ("1706745600", "2024-02-01T00:00:00.000Z", "1706745600"),
        ("1706745600.250", "2024-02-01T00:00:00.250Z", "1706745600.25"),
        ("-0.75", "1969-12-31T23:59:59.250Z", "-0.75"),
        ("-1.05", "1969-12-31T23:59:58.950Z", "-1.05"),
        ("-1", "1969-12-31T23:59:59.000Z", "-1"),
    ],
)
def test_seconds_since_the_epoch(text: str, iso: str, epoch: str) -> None:
    assert read(dates("epoch", output="iso-ms", time=True), text) == iso
    assert read(dates("epoch", output="epoch", time=True), text) == epoch


@given(st.integers(-(10**14), 2 * 10**14))
def test_milliseconds_since_the_epoch(milliseconds: int) -> None:
    value = dates("epoch-ms", output="epoch", time=True).convert([str(milliseconds)])[0]
    inside = (
        datetime.min <= datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)
        if milliseconds > -62135596800000
        else False
    )
    assert (value is not None) == inside
    if value is not None:
        assert Decimal(value) * 1000 == milliseconds


INSTANTS = (
    st.integers(-(10**10), 10**10)
    | st.integers(-(10**14), 10**14)
    | st.integers(-(10**6), 10**6).map(lambda n: n * 1000)
)


@given(
    st.sampled_from(["epoch", "epoch-ms"]),
    st.sampled_from(["iso", "iso-ms", "iso-us", "epoch"]),
    st.lists(INSTANTS.map(str), min_size=1, max_size=5),
    st.lists(INSTANTS.map(str) | st.text("0123456789-+._ \n٣", min_size=1, max_size=8), max_size=2),
)
def test_column_of_instants_is_converted_as_its_values(
    form: str, output: str, usual: list[str], others: list[str]
) -> None:
    texts = usual * 10 + others
    column, one_by_one = (dates(*forms, output=output, time=True) for forms in ([form], [form, form]))
    assert list(column.convert(texts)) == list(one_by_one.convert(texts))


def test_dates_as_epoch_are_midnight_in_the_declared_zone() -> None:
    assert read(dates("iso", output="epoch", zone=BERLIN), "2024-06-01") == str(1_717_200_000 - 7_200)
    cairo = dates("iso", output="epoch", zone=ZoneInfo("Africa/Cairo"))
    assert read(cairo, "2024-04-26") == "refused: is a local time that a change of clocks makes twice or not at all"


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ('input = ["%d.%m"]', "'%d.%m' is not a format: it must have %Y or %y, once"),
        ('input = ["%d.%Y"]', "it must have %m, %b or %B, once"),
        ('input = ["%Y-%m-%d %d"]', "it has '%d' or its like twice"),
        ('input = ["%Y-%m-%d %H:%M"]', "it has a time, which type date would lose"),
        ('input = ["%Y-%m-%d %Z"]', "'%Z' is not known; known are %Y"),
        ('input = ["%Y-%m-%d%"]', "'%' is not known"),
        ('input = ["epoch"]', "'epoch' is for type datetime only"),
        ('input = "iso"', "must be a list of formats"),
        ('input = ["%d.%m.%y"]', "is needed with %y"),
        ("first_year = 1950", "is needed with %y, and only there"),
        ('output = "iso-ms"', "must be iso or epoch for type date"),
        ('timezone = "Mars/Olympus"', "must be UTC or a name as Europe/Berlin, not 'Mars/Olympus'"),
        ('timezone = "../etc/passwd"', "must be UTC or a name as Europe/Berlin"),
        ('default = "31.01.2024"', "must be a text in one of the input forms for type date"),
    ],
)
def test_settings_that_are_refused(toml: str, reason: str) -> None:
    with pytest.raises(Exception, match=r"columns\.d\.") as caught:
        schema_of(f'[key]\npartition = "k"\n[columns.k]\nrequired = true\n[columns.d]\ntype = "date"\n{toml}')
    assert reason in str(caught.value)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y-%m-%d %I:%M", "%Y-%m-%d %H:%S", "%Y-%m-%d %H:%M.%f"])
def test_formats_that_do_not_determine_a_time_are_refused(form: str) -> None:
    with pytest.raises(ValueError, match=r"must have|belong together|come before"):
        form_of(form, time=True)


def test_default_is_converted_like_a_value() -> None:
    schema = schema_of(
        '[key]\npartition = "k"\n[columns.k]\nrequired = true\n[columns.d]\ntype = "date"\ndefault = 2024-01-31'
    )
    assert schema.columns[1].default == "2024-01-31"


@pytest.mark.parametrize("text", ["5 \u017fep 2024", "5 SEP\u017f 2024"])
def test_letters_of_other_alphabets_are_not_those_of_months(text: str) -> None:
    assert dates("%d %b %Y").convert(["5 SEP 2024", text]) == ["2024-09-05", None]
    assert dates("%A %d %B %Y").convert([f"Fr\u0131day {text}"]) == [None]


def test_blanks_around_dates_are_dropped_whatever_stands_in_other_rows() -> None:
    toml = '[key]\npartition = "k"\n[columns.k]\nrequired = true\n[columns.d]\ntype = "date"\n'
    column = schema_of(toml).columns[1]
    assert column.clean([" 2024-01-31 ", "2024-01-31"], {}) == ["2024-01-31", "2024-01-31"]
    assert column.clean([" 2024-01-31 ", " "], {}) == ["2024-01-31", None]
    with pytest.raises(ValueError, match="begins or ends with a blank"):
        form_of("%Y-%m-%d ", time=False)


SHAPED = ["iso", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%y", "%Y%m%d", "%d-%b-%Y", "%d%%%mZ%Y", "%d%m/%Y"]
SHAPED_TIMES = ["iso", "%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%H%M%S %y%m%d", "%Y-%m-%d %H", "%H:%M:%S %m/%d/%y"]
SHAPED_TIMES += ["%d.%m.%Y %H:%M:%S.%f", "%Y%m%d %H%M%S%z"]
ISO_TIMES = ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%d %H:%M:%S.%f%z"]
ISO_TIMES += ["%Y-%m-%dT%H:%M%z"]
ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")]
NEAR = st.text("0123456789.-/:% TZJanFEBdecPMam\n٣", max_size=20)


@given(data=st.data(), time=st.booleans(), zone=st.sampled_from([UTC, *ZONES]))
def test_column_is_converted_as_its_values(data: st.DataObject, time: bool, zone: Any) -> None:
    form = data.draw(st.sampled_from(SHAPED_TIMES if time else SHAPED))
    output = data.draw(st.sampled_from(["iso", "iso-ms", "iso-us", "epoch"] if time else ["iso", "epoch"]))
    usual = data.draw(st.sampled_from(ISO_TIMES if time else ["%Y-%m-%d"])) if form == "iso" else form
    offset = data.draw(st.sampled_from(["Z", "+0100", "-05:30", "+23:59", "-2400"]))
    digits = data.draw(st.integers(2, 6))

    def written(moment: datetime) -> str:
        # strftime does not pad years.
        fraction = f"{moment.microsecond:06d}"[:digits]
        spelled = {"%Y": f"{moment.year:04d}", "%f": fraction, "%z": offset}
        return moment.strftime(re.sub("%[Yfz]", lambda found: spelled[found[0]], usual))

    changes = st.datetimes(datetime(2024, 3, 30), datetime(2024, 4, 1)) | st.sampled_from(
        [datetime(2024, 10, 27, hour, 30) for hour in range(4)]
    )
    ends = st.sampled_from([datetime.min, datetime.max])
    valid = (st.datetimes() | changes | ends).map(written)
    broken = valid.map(lambda text: text.replace("29", "31")) | valid.map(lambda text: text.replace("0", "")) | NEAR
    loose = valid.map(lambda text: re.sub(r"\b0(?=\d\b)", "", text))
    texts = data.draw(st.lists(valid, min_size=1, max_size=5) | st.lists(loose, min_size=1, max_size=5))
    texts = texts * 10 + data.draw(st.lists(valid | broken, max_size=5))
    column = dates(form, output=output, time=time, zone=zone, first_year=1950)
    # Of two forms, each value is read in both, one by one.
    one_by_one = dates(form, form, output=output, time=time, zone=zone, first_year=1950)
    assert list(column.convert(texts)) == list(one_by_one.convert(texts))


@pytest.mark.parametrize("year", [0, 1, 400, 1900, 2000, 2023, 2024, 9999])
def test_days_of_the_calendar(year: int) -> None:
    days = {f"{year:04d}-{month:02d}-{day:02d}" for month in range(14) for day in range(33)}
    calendar = {(date(year, 1, 1) + timedelta(i)).isoformat() for i in range(365 + isleap(year))} if year else set()
    for day in days:
        assert dates("iso").convert([day]) == [day if day in calendar else None]


@pytest.mark.parametrize("day", ["2023-02-29", "1900-02-29", "2024-02-30", "0000-01-01", "2024-00-10", "2024-04-31"])
def test_column_with_a_day_that_the_calendar_lacks(day: str) -> None:
    for output, type_ in (("iso", "S"), ("epoch", "N")):
        column = dates("iso", output=output, type=type_).convert(["2024-02-29"] * 99 + [day])
        assert [i for i, value in enumerate(column) if value is None] == [99]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "time",
    ["2024-02-29 23:59:60", "2024-02-29 24:00:00", "2024-02-30 00:00:00", "0001-01-01 00:10:00", "9999-12-31 23:50:00"],
)
def test_column_with_a_local_time_that_may_not_be_kept(time: str, zone: ZoneInfo) -> None:
    for output in ("iso", "epoch"):
        column = dates("iso", output=output, time=True, zone=zone).convert(["2024-02-29 23:59:59"] * 99 + [time])
        one_by_one = dates("iso", "iso", output=output, time=True, zone=zone)
        assert column[99] == one_by_one.convert([time])[0]
        assert column[:99] == one_by_one.convert(["2024-02-29 23:59:59"] * 99)
