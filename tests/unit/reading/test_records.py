"""Bytes -> records: independent of the chunks, equal to Python's csv; a fault costs one record."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import BadFile
from engine.reading.block import MAX_RECORD_BYTES, Reject
from engine.reading.closely import TOO_BROKEN
from engine.reading.delimited import CsvReader
from engine.reading.fields import BAD_QUOTES, NEVER_CLOSED
from engine.reading.format import RFC_4180, Dialect
from engine.reading.layout import Layout, Quiet, View
from engine.reading.limits import USUAL_LIMITS, Limits, Waste
from engine.reading.records import HEADER_AGAIN, NOT_UTF8, read_first, read_lines
from tests.builders.csv_text import (
    LIMITS,
    ROOMY,
    RUBBISH,
    SIZES,
    SOME_DIALECT,
    Reading,
    add_block,
    csv_rows,
    cut,
    fields_of,
    read,
    read_whole,
    valid_files,
    written_in,
)

HEADER = b"name,mail\n"


@settings(max_examples=300)
@given(data=RUBBISH, dialect=SOME_DIALECT, sizes=SIZES, limits=LIMITS)
@example(data=b'a,b\n"aaaa\r\n"aa\r', dialect=RFC_4180, sizes=[1], limits=Limits(record_bytes=9, slice_bytes=1))
@example(data=b"a,b\n" + b"x" * 8 + b"\r\ny\n", dialect=RFC_4180, sizes=[13, 1], limits=Limits(record_bytes=9))
def test_any_chunking_of_any_bytes_makes_the_same_records(
    data: bytes, dialect: Dialect, sizes: list[int], limits: Limits
) -> None:
    data = written_in(dialect, data)
    assert read(cut(data, sizes), limits, dialect=dialect) == read_whole(data, limits, dialect)


@settings(max_examples=150)
@given(data=RUBBISH, dialect=SOME_DIALECT)
def test_each_row_is_what_its_text_says_and_no_text_is_lost(data: bytes, dialect: Dialect) -> None:
    data = written_in(dialect, data)
    reading = read([data], dialect=dialect)
    if reading.fault:
        return
    for fields, _, text in reading.rows.values():
        assert fields == fields_of(text, dialect)
    places = [(offset, text) for _, offset, text in reading.rows.values()]
    places += [(reject.offset or 0, reject.record) for reject in reading.rejects]
    places.sort()
    for (offset, text), (following, _) in pairwise([*places, (len(data), "")]):
        lines = data[offset:following].decode(errors="backslashreplace").rstrip("\r\n")
        rest = lines.removeprefix(text).lstrip("\r\n")
        assert lines.startswith(text)
        assert not rest or dialect.comment, "a text that is neither row nor reject"
        assert all(line.startswith("#") for line in rest.splitlines() if line and dialect.comment == "#")


@settings(max_examples=150)
@given(data=st.data(), dialect=SOME_DIALECT, sizes=SIZES, piece=st.sampled_from([1, 3, ROOMY]))
def test_valid_files_equal_pythons_csv(data: st.DataObject, dialect: Dialect, sizes: list[int], piece: int) -> None:
    dialect = dialect._replace(multiline=True, comment="")
    file = data.draw(valid_files(dialect))
    reading = read(cut(file.data, sizes), Limits(slice_bytes=piece), dialect=dialect)
    assert file.records == csv_rows(file.data, dialect)
    header, *rows = file.records
    names = [name.strip().casefold() for name in header]
    again = [row for row in rows if [each.removeprefix("\ufeff").strip().casefold() for each in row] == names]
    assert [reading.header, *reading.fields] == [header, *(row for row in rows if row not in again)]
    assert [reject.reason for reject in reading.rejects] == [HEADER_AGAIN] * len(again)
    assert reading.fault is None


QUOTED = st.sampled_from(
    ['"b c"', '"b, c"', '"b\nc, d"', '"b, "', '" ,"', '""', '"b ""c"""', '"b \\"c\\""', '"\\\\"', "d", " d", ""]
)
AROUND = st.sampled_from(["", "", " ", " ", "  ", "\t"])
LINES = st.lists(
    st.lists(st.tuples(AROUND, QUOTED, AROUND).map("".join), min_size=2, max_size=4).map(",".join),
    min_size=1,
    max_size=6,
).map("\n".join)


@settings(max_examples=150)
@given(text=LINES, escape=st.sampled_from(["double", "backslash"]), multiline=st.sampled_from([None, True, False]))
@example(text='a, "b, ",c\na, "b", " ,"', escape="double", multiline=None)
@example(text='a,"b\n, "c",d\n"e",f', escape="double", multiline=None)
@example(text='a,"b\nx,", "\nc",d', escape="double", multiline=None)
@example(text='a,"{""k"": 1, ""l"": [""x"", ""y""]}",c\n"b, ""x","y\nz",""", """\n', escape="double", multiline=None)
def test_fast_readers_come_to_the_same_as_the_close_one(text: str, escape: str, multiline: bool | None) -> None:
    dialect, data = Dialect(escape=escape, multiline=multiline), text.encode()
    layout = Layout(dialect, USUAL_LIMITS, ["name", "mail", "phone"])

    def view(start: int, waste: Waste) -> View:
        return View(data[start:], start, final=True, waste=waste, quiet=Quiet())

    entries, ends, waste = [], [0], Waste(USUAL_LIMITS, 0)
    while ends[-1] < len(data):
        first = read_first(view(ends[-1], waste), layout)
        assert first is not None
        assert first.ends is not None
        entries += first.entries
        ends += [ends[-1] + end for end in first.ends]
    records = read_lines(view(0, Waste(USUAL_LIMITS, 0)), data, layout)
    assert records.entries == entries
    assert records.ends is None or records.ends == ends[1:]


@given(data=RUBBISH, limits=LIMITS)
def test_row_numbers_have_no_gaps(data: bytes, limits: Limits) -> None:
    numbers = read([data], limits).numbers
    assert numbers == list(range(1, len(numbers) + 1))


@given(data=RUBBISH, sizes=SIZES)
def test_offset_points_at_the_original_text(data: bytes, sizes: list[int]) -> None:
    reading = read(cut(data, sizes))
    places = [(offset, text) for _, offset, text in reading.rows.values()]
    places += [(reject.offset or 0, reject.record) for reject in reading.rejects]
    for offset, text in places:
        assert offset > 0
        assert data[offset:].decode(errors="backslashreplace").startswith(text)
        assert data[offset - 1 : offset] in (b"\n", b"\r")


@settings(max_examples=150)
@given(data=RUBBISH, dialect=SOME_DIALECT, sizes=SIZES, limits=LIMITS)
def test_reading_can_continue_in_another_reader_after_any_block(
    data: bytes, dialect: Dialect, sizes: list[int], limits: Limits
) -> None:
    data = written_in(dialect, data)
    whole = read(cut(data, sizes), limits, dialect=dialect)
    if whole.fault:
        return
    reader, before = CsvReader(limits=limits, dialect=dialect), Reading()
    for chunk in cut(data, sizes):
        for block in reader.feed(chunk):
            add_block(before, block)
            assert block.end is not None
            assert block.end.dialect is not None
            rest = read([data[block.end.offset :]], limits, block.end, block.end.dialect)
            assert {**before.rows, **rest.rows} == whole.rows
            assert before.rejects + rest.rejects == whole.rejects
            assert (rest.header, rest.fault) == (whole.header, None)


@given(data=RUBBISH, limits=LIMITS, most=st.integers(1, 5))
def test_parts_of_a_block_equal_the_block(data: bytes, limits: Limits, most: int) -> None:
    reader = CsvReader(limits=limits)
    try:
        blocks = [*reader.feed(data), *reader.finish()]
    except BadFile:
        return
    for block in blocks:
        whole, joined = Reading(), Reading()
        add_block(whole, block)
        parts = list(block.parts(most))
        for part in parts:
            assert len(part.rows) <= most
            before = joined.numbers
            add_block(joined, part)
            assert joined.numbers[: len(before)] == before
        assert joined == whole
        assert [part.end for part in parts] == [None] * (len(parts) - 1) + [block.end]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("sizes", [[1], [2], [1000]])
def test_ordinary_file(line_end: bytes, sizes: list[int]) -> None:
    lines = [b"\xef\xbb\xbf Name ,mail", b'"Doe "J" Roe",x', b"", b'"two' + line_end + b'lines",y', b"", b"last,z"]
    reading = read(cut(line_end.join(lines), sizes))
    assert reading.header == [" Name ", "mail"]
    assert reading.fields == [["two" + line_end.decode() + "lines", "y"], ["last", "z"]]
    assert [(reject.row, reject.reason) for reject in reading.rejects] == [(1, BAD_QUOTES)]


@pytest.mark.parametrize("sizes", [[1], [2], [3], [7], [8], [9], [14], [100]])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_lines_before_the_header_are_skipped_wherever_chunks_end(line_end: bytes, sizes: list[int]) -> None:
    data = line_end.join([b"Export", b"", b"of May", b"a,b", b"1,2", b""])
    reading = read(cut(data, sizes), skip_lines=3)
    assert (reading.header, reading.fields) == (["a", "b"], [["1", "2"]])


def test_offset_counts_the_byte_order_mark_and_every_byte() -> None:
    head = "\ufeffnäme,mail\r\n€,😀\r\n".encode()
    reading = read([head + b"a\xffb,c\n"])
    assert reading.rejects == [Reject(2, len(head), NOT_UTF8, r"a\xffb,c")]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b'"stray,x', BAD_QUOTES),
        (b'x,"stray', BAD_QUOTES),
        (b'"a"b,x', BAD_QUOTES),
        (b'x,"a" x', BAD_QUOTES),
        (b"caf\xe9,x", NOT_UTF8),
        (b"x,\xe2\x82", NOT_UTF8),
        (b"\xed\xa0\x80,x", NOT_UTF8),
    ],
)
def test_broken_row_is_one_reject(broken: bytes, reason: str) -> None:
    good = [b'"row %d",x' % i for i in range(6)]
    reading = read([HEADER + b"\n".join([*good[:3], broken, *good[3:]]) + b"\n"])
    assert reading.fields == [[f"row {i}", "x"] for i in range(6)]
    text = broken.decode(errors="backslashreplace")
    assert reading.rejects == [Reject(4, len(HEADER) + 3 * len(good[0] + b"\n"), reason, text)]


def test_unclosed_quote_is_one_reject() -> None:
    reading = read([HEADER + b'a,b\nc,"d\ne,f\ng,h\n'])
    assert reading.fields == [["a", "b"], ["e", "f"], ["g", "h"]]
    assert reading.rejects == [Reject(2, 14, NEVER_CLOSED, 'c,"d')]


def test_quote_inside_an_unquoted_field_is_a_character() -> None:
    assert read([HEADER + b'5" nail,x\n']).fields == [['5" nail', "x"]]


@pytest.mark.parametrize("sizes", [[1 << 16], [1 << 22]])
def test_over_long_line_is_one_reject_and_uses_no_memory(sizes: list[int]) -> None:
    long = b"x" * (3 * MAX_RECORD_BYTES)
    reading = read(cut(HEADER + b"a,b\n" + long + b"\r\nc,d\n", sizes))
    assert reading.fields == [["a", "b"], ["c", "d"]]
    assert reading.rejects == [Reject(2, 14, USUAL_LIMITS.too_long, "x" * MAX_RECORD_BYTES)]
    assert reading.rows[3][1] == 14 + len(long) + 2


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_record_of_exactly_the_limit_is_accepted(quote: bytes) -> None:
    row = quote + b"x" * (MAX_RECORD_BYTES - 2 * len(quote) - 1) + quote
    reading = read(cut(HEADER + row + b"\n" + row + b"x\n" + b"a,b\n", [100_000]))
    assert list(reading.rows) == [1, 3]
    assert len(reading.fields[0][0]) == MAX_RECORD_BYTES - 2 * len(quote) - 1
    assert [reject.row for reject in reading.rejects] == [2]


def test_unclosed_quote_in_a_long_file_rejects_only_its_first_line() -> None:
    rest = (b"a" * 61 + b",b\n") * 20_000
    reading = read(cut(HEADER + b'x,"y\n' + rest, [1 << 18]))
    assert reading.rejects == [Reject(1, 10, USUAL_LIMITS.too_long, 'x,"y')]
    assert len(reading.rows) == 20_000


def test_scanning_of_many_broken_rows_is_bounded() -> None:
    # The first line of each pile is scanned to the end of the pile, where the quotes break, and then each line again.
    limits = Limits(waste_allowed=20_000, waste_share=0)
    pile = b'a,"b\n' + b"good,row\n" * 1_000 + b'"x" y,z\n"1","2"\n'
    data = HEADER + pile * 4
    reading = read(cut(data, [20_000]), limits)
    assert len(reading.rows) == 2 * 1_000 + 4
    assert [reject.reason for reject in reading.rejects if reject.reason != BAD_QUOTES] == [TOO_BROKEN] * 2
    assert read([data], limits) == reading


def test_records_across_slice_boundaries() -> None:
    row = b'"%06d","line\r\nbreak, ""quoted"" \xe2\x82\xac"\r\n'
    data = HEADER + b"".join(row % i for i in range(20_000))
    assert len(data) > 3 * USUAL_LIMITS.slice_bytes
    reading = read([data])
    assert reading.fields == [[f"{i:06d}", 'line\r\nbreak, "quoted" €'] for i in range(20_000)]
    assert reading.rows[20_000][1] == len(data) - len(row % 0)


@given(data=RUBBISH, record=st.integers(4, 20), piece=st.integers(1, 20))
def test_held_bytes_are_always_bounded(data: bytes, record: int, piece: int) -> None:
    reader = CsvReader(limits=Limits(record_bytes=record, slice_bytes=piece))
    try:
        for _ in reader.feed(data * 3):
            assert reader.held <= record + piece
    except BadFile:
        return
    assert reader.held <= record


@pytest.mark.parametrize("data", [b"", b"\n\r\n\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_file_without_a_header_is_refused(data: bytes) -> None:
    assert read([data]).fault == "the file is empty: it has no header line"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b'"name"x,mail\n', BAD_QUOTES),
        (b'"name,mail\n', NEVER_CLOSED),
        (b"n\xe4me,mail\n", NOT_UTF8),
        (b"n" * 2_000_000, USUAL_LIMITS.too_long),
        (b"n" * 2_000_000 + b"\n", USUAL_LIMITS.too_long),
    ],
)
def test_unreadable_header_is_a_bad_file(header: bytes, reason: str) -> None:
    assert read([header]).fault == f"the header line cannot be read: {reason}"


@pytest.mark.parametrize("data", [b"a", b"a\n", b"a\r", b"a,b"])
def test_header_alone_is_a_file_without_rows(data: bytes) -> None:
    reading = read([data])
    assert reading.fault is None
    assert reading.header == data.decode().strip().split(",")
    assert reading.numbers == []
