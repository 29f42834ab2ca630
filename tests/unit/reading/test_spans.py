"""Any object, cut anywhere into spans, makes the same rows, row numbers and rejects as one reader."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadFile
from engine.reading.block import FILE_START, Position
from engine.reading.format import FIND_ALL, NO_QUOTE, Dialect, Format
from engine.reading.limits import Limits
from engine.reading.delimited import CsvReader
from engine.reading.json_lines import JsonLinesReader
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
from tests.builders.spans import plan, read_spans


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


def form_of(dialect: Dialect, short_rows: str = "reject") -> Format:
    return Format(
        type="csv",
        encoding="utf-8",
        compression="none",
        delimiter=dialect.delimiter,
        quote=dialect.quote or NO_QUOTE,
        escape=dialect.escape,
        comment=dialect.comment or None,
        multiline=dialect.multiline,
        short_rows=short_rows,
    )


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
) -> None:
    """Compare spans with one reader."""
    once = read_once(reader, data, [2])
    if once is None or not once[1]:
        return
    whole, ends = once
    start, head = ends[min(first, len(ends) - 1)]
    found, again = plan(data, start, head, span_bytes, form, limits, sizes)
    other, _ = plan(data, start, head, span_bytes, form, limits, [len(data)])
    assert found == other
    assert found.rows == len(whole.numbers)
    assert found.spans[0] == FILE_START
    reading = read_spans(data, found.spans, form, limits, sizes)
    assert reading.rows == whole.rows
    assert reading.rejects == whole.rejects
    COUNTS.update(spans=len(found.spans), files=1, again=again)


COUNTS = Counter()
import atexit

atexit.register(lambda: open("/tmp/counts", "a").write(str(COUNTS) + "\n"))
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
