"""Any object, cut anywhere into spans, makes the same rows, row numbers and rejects as one reader."""

from dataclasses import replace
from itertools import chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.convert import Converted, Converter
from engine.errors import BadFile
from engine.reading.block import FILE_START, Position, Reject
from engine.reading.delimited import CsvReader
from engine.reading.dynamodb_json import DynamoDbJsonReader
from engine.reading.format import NO_QUOTE, RFC_4180, Dialect, Format
from engine.reading.json_lines import JsonLinesReader
from engine.reading.json_members import Members
from engine.reading.limits import USUAL_LIMITS, Limits
from engine.reading.reader import Found, ObjectReader
from engine.reading.spans import can_split, first_position, join, ranges
from engine.schema.parse import parse_schema
from engine.spans import ResumePoint
from tests.builders.csv_text import (
    LIMITS,
    RUBBISH,
    SIZES,
    SOME_DIALECT,
    Reading,
    add_block,
    cut,
    valid_files,
    written_in,
)
from tests.builders.samples import SOURCE
from tests.builders.spans import form_of, plan, read_spans, scan
from tests.oracles.files import make


def read_once(
    reader: CsvReader | JsonLinesReader, data: bytes, sizes: list[int]
) -> tuple[Reading, list[tuple[Position, int]]] | None:
    """Read an object with one reader; return what it reads, and the ends of the blocks with how many bytes were fed.

    Returns None if the object is refused.
    """
    reading, ends, fed = Reading(), [], 0
    try:
        for chunk in [*cut(data, sizes), None]:
            fed += len(chunk or b"")
            for block in reader.finish() if chunk is None else reader.feed(chunk):
                add_block(reading, block)
                if block.end is not None and not block.end.in_long_record:
                    ends.append((block.end, fed))
    except BadFile:
        return None
    return reading, ends


def check_csv(
    data: bytes,
    dialect: Dialect,
    limits: Limits,
    sizes: list[int],
    span_bytes: int,
    first: int = 0,
    short_rows: str = "reject",
) -> None:
    form = form_of(dialect, short_rows)
    reader = CsvReader(limits=limits, form=form, dialect=dialect)
    check(reader, data, form, limits, sizes, span_bytes, first)


def check(
    reader: CsvReader | JsonLinesReader,
    data: bytes,
    form: Format,
    limits: Limits,
    sizes: list[int],
    span_bytes: int,
    first: int = 0,
    feed: int = 2,
) -> int:
    """Compare spans with one reader; return how many spans there are."""
    once = read_once(reader, data, [feed])
    if once is None or not once[1]:
        return 0
    whole, ends = once
    start, head = ends[min(first, len(ends) - 1)]
    found, _ = plan(data, start, head, span_bytes, form, limits, sizes)
    other, _ = plan(data, start, head, span_bytes, form, limits, [len(data)])
    assert found == other
    assert found.rows == len(whole.numbers)
    assert found.spans[0] == FILE_START
    reading = read_spans(data, found.spans, start.dialect, form, limits, sizes)
    assert reading.rows == whole.rows
    assert reading.rejects == whole.rejects
    return len(found.spans)


SPAN_BYTES = st.sampled_from([1, 2, 3, 5, 8, 12, 20, 40, 64])
ESCAPES = st.sampled_from(["double", "backslash"])
QUOTES = st.sampled_from(['"', '"', "'", ""])


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    return Dialect(
        delimiter=draw(st.sampled_from(",;\t| ^")),
        quote=draw(QUOTES),
        escape=draw(ESCAPES),
        comment=draw(st.sampled_from(["", "", "#"])),
        multiline=draw(st.sampled_from([None, None, True, False])),
    )


ANY_DIALECT = SOME_DIALECT | dialects()


@settings(max_examples=400)
@given(
    data=RUBBISH,
    dialect=ANY_DIALECT,
    short_rows=st.sampled_from(["reject", "pad"]),
    limits=LIMITS,
    sizes=SIZES,
    span_bytes=SPAN_BYTES,
    first=st.integers(0, 3),
)
def test_any_bytes_in_spans(
    data: bytes, dialect: Dialect, short_rows: str, limits: Limits, sizes: list[int], span_bytes: int, first: int
) -> None:
    check_csv(written_in(dialect, data), dialect, limits, sizes, span_bytes, first, short_rows)


@settings(max_examples=200)
@given(data=st.data(), dialect=ANY_DIALECT, limits=LIMITS, sizes=SIZES, span_bytes=SPAN_BYTES)
def test_valid_files_in_spans(
    data: st.DataObject, dialect: Dialect, limits: Limits, sizes: list[int], span_bytes: int
) -> None:
    file = data.draw(valid_files(dialect))
    check_csv(file.data, dialect, limits, sizes, span_bytes)


PIECES = [
    b'"',
    b'""',
    b",",
    b",",
    b"a",
    b"b",
    b"\n",
    b"\n",
    b'"\n"',
    b'","',
    b'",',
    b',"',
    b"x,y\n",
    b'"c\nd"',
    b"#",
    b"\r\n",
    b"a" * 100,
]


@settings(max_examples=400)
@given(
    pile=st.lists(st.sampled_from(PIECES), min_size=10, max_size=150),
    dialect=ANY_DIALECT,
    record=st.sampled_from([8, 20, 60, 1_000]),
    piece=st.sampled_from([4, 16, 40, 1_000]),
    width=st.integers(1, 4),
    sizes=SIZES,
    span_bytes=SPAN_BYTES,
)
def test_quotes_everywhere(
    pile: list[bytes],
    dialect: Dialect,
    record: int,
    piece: int,
    width: int,
    sizes: list[int],
    span_bytes: int,
) -> None:
    data = written_in(dialect, b",".join([b"h"] * width) + b"\n" + b"".join(pile))
    check_csv(data, dialect, Limits(record, piece), sizes, span_bytes)


JSON_PIECES = [b'{"a":1}', b"{}", b"\n", b"\n", b"\n", b" ", b"\t", b"\r", b"\r\n", b"\x0b", b"x", b'"', b"{", b"\xff"]


@settings(max_examples=200)
@given(
    pile=st.lists(st.sampled_from(JSON_PIECES), min_size=10, max_size=100),
    type_=st.sampled_from(["jsonl", "dynamodb-json"]),
    record=st.sampled_from([5, 9, 20, 1_000]),
    piece=st.sampled_from([1, 7, 1_000]),
    sizes=SIZES,
    span_bytes=SPAN_BYTES,
)
def test_lines_of_json_in_spans(
    pile: list[bytes], type_: str, record: int, piece: int, sizes: list[int], span_bytes: int
) -> None:
    limits, form = Limits(record, piece), Format(type=type_, encoding="utf-8", compression="none")
    reader = JsonLinesReader(Members({}), limits=limits) if type_ == "jsonl" else DynamoDbJsonReader((), limits=limits)
    check(reader, b"{}\n" + b"".join(pile), form, limits, sizes, span_bytes)


@pytest.mark.parametrize("part", range(4))
def test_files_of_every_dialect_in_spans(part: int) -> None:
    spans = 0
    for number in range(part, 600, 4):
        file = make(str(number))
        form = replace(file.form, encoding=None, compression=None)
        reader = ObjectReader(form)
        try:
            for _ in chain(reader.feed(file.text), reader.finish()):
                pass
        except BadFile:
            continue
        limits = Limits(slice_bytes=file.slice_bytes)
        again: CsvReader | JsonLinesReader = JsonLinesReader(Members({}), limits=limits)
        form = replace(form, type=reader.type)
        if reader.type == "csv" and reader.found is not None:
            delimiter, quote, escape = reader.found[3:6]
            assert delimiter is not None
            assert quote is not None
            assert escape is not None
            form = replace(form, delimiter=delimiter, quote=quote, escape=escape)
            dialect = Dialect(delimiter, quote.replace(NO_QUOTE, ""), escape, form.comment or "", form.multiline)
            again = CsvReader(limits=limits, form=form, dialect=dialect)
        spans += check(again, file.text, form, limits, file.sizes, 1 + number % 200, feed=50)
    assert spans > 500


def test_converted_spans_make_the_same_rows_and_rejects() -> None:
    columns = '[columns.id]\ntype = "N"\nrequired = true\n[columns.note]\n'
    schema = parse_schema(f'version = 1\ncollection = "c"\n[key]\npartition = "id"\n{columns}', "c")
    rows = [f'{i},"a ""note"" of\nrow {i}"\n' if i % 3 else f"x,{i}\n" for i in range(40_000)]
    data = "".join(["id,note\n", *rows]).encode()
    first = first_position(ObjectReader(schema.format), data[:70_000])
    assert first is not None
    found, _ = plan(data, first, 70_000, 100_000, schema.format, USUAL_LIMITS, [50_000])
    assert len(found.spans) == len(data) // 100_000 + 1

    def convert(start: Position, stop: int) -> tuple[list[int], list[Reject]]:
        point = ResumePoint(start, start.row)
        converter = Converter(SOURCE, schema, records_per_message=100, max_message_bytes=10**6, start=point)
        place, results = 0, list[Converted]()
        while place < stop:
            part = data[place : min(place + 70_000, stop)]
            results += converter.feed(part, "now")
            jump = converter.jump()
            place = place + len(part) if jump is None else jump
        results += converter.finish("now")
        return [each.valid for each in results], [reject for each in results for reject in each.rejects]

    whole = convert(FILE_START, len(data))
    parts = [
        convert(start, len(data) if stop is None else stop.offset)
        for start, stop in pairwise([*found.spans, None])
        if start is not None
    ]
    assert sum(sum(valid) for valid, _ in parts) == sum(whole[0])
    assert [reject for _, rejects in parts for reject in rejects] == whole[1]


def test_a_broken_record_at_the_edge_of_a_range_is_found_by_scanning_again() -> None:
    line = b"name,mail\n"
    data = line * 20 + b'x,"stray\n' + line * 3 + b'"a"b,c\n' + line * 40
    limits, form = Limits(100, 50), form_of(RFC_4180)
    first = Position(len(line), 1, ["name", "mail"], dialect=RFC_4180)
    edge = data.index(b"stray") + 12
    places = ranges(first, len(line), len(data), edge)
    scanned = [scan(data, first, place, form, limits, [7], None if i else first) for i, place in enumerate(places)]
    found = join(first, scanned, limits)
    assert found.missing is not None
    assert (found.missing.place, found.rows, found.spans) == (1, None, [FILE_START])
    scanned[1] = scan(data, first, places[1], form, limits, [7], found.missing.reached)
    assert join(first, scanned, limits).missing is None


@pytest.mark.parametrize(
    ("compression", "encoding", "expected"),
    [("none", "utf-8", True), ("gzip", "utf-8", False), ("none", "utf-16-le", False), ("none", "cp1252", False)],
)
def test_only_plain_utf_8_can_be_split(compression: str, encoding: str, expected: bool) -> None:
    assert can_split(Found("csv", compression, encoding)) is expected
