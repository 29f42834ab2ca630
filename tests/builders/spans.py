"""Objects read in spans: scanned, joined, scanned again where something is missing, and read span by span."""

from collections.abc import Iterator, Sequence

from engine.reading.block import Block, Position
from engine.reading.delimited import CsvReader
from engine.reading.dynamodb_json import DynamoDbJsonReader
from engine.reading.format import NO_QUOTE, RFC_4180, Dialect, Format
from engine.reading.json_lines import JsonLinesReader
from engine.reading.json_members import Members
from engine.reading.limits import Limits
from engine.reading.line_reader import LineReader
from engine.reading.scan import RangeScan, ScannedRange
from engine.reading.spans import Plan, join, ranges
from tests.builders.csv_text import Reading, add_block, cut


def form_of(dialect: Dialect, short_rows: str = "reject") -> Format:
    """The format that declares a dialect."""
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


def scan(
    data: bytes,
    first: Position,
    place: tuple[int, int],
    form: Format,
    limits: Limits,
    sizes: list[int],
    reached: Position | None = None,
) -> ScannedRange:
    """Scan one range of an object, in chunks of these sizes."""
    scan = RangeScan(first, *place, form, limits, reached=reached)
    for chunk in cut(data[place[0] if reached is None else reached.offset :], sizes):
        if scan.done:
            break
        scan.feed(chunk)
    scan.finish()
    assert scan.done
    return scan.result


def plan(
    data: bytes, first: Position, head: int, span_bytes: int, form: Format, limits: Limits, sizes: list[int]
) -> tuple[Plan, int]:
    """Return the spans of an object, and how many ranges had to be scanned again."""
    places = ranges(first, head, len(data), span_bytes)
    scanned = [scan(data, first, place, form, limits, sizes, None if i else first) for i, place in enumerate(places)]
    again = 0
    while (found := join(first, scanned, limits)).missing is not None:
        index, reached = found.missing
        scanned[index] = scan(data, first, places[index], form, limits, sizes, reached)
        again += 1
    return found, again


def read_spans(
    data: bytes,
    spans: Sequence[Position],
    dialect: Dialect | None,
    form: Format,
    limits: Limits,
    sizes: list[int],
) -> Reading:
    """Read each span with a line reader of its own that is fed the bytes of the span alone."""
    reading = Reading()
    stops = [*(span.offset for span in spans[1:]), len(data)]
    for start, stop in zip(spans, stops, strict=True):
        reader = _reader_at(start._replace(dialect=dialect), form, limits)
        for block in _blocks(reader, data[start.offset : stop], sizes):
            add_block(reading, block)
    return reading


def _reader_at(start: Position, form: Format, limits: Limits) -> LineReader:
    """Return the reader of this type of file from a position."""
    match form.type:
        case "jsonl":
            return JsonLinesReader(Members({}), start, limits)
        case "dynamodb-json":
            return DynamoDbJsonReader((), start=start, limits=limits)
        case _:
            return CsvReader(start, limits, form=form, dialect=start.dialect or RFC_4180)


def _blocks(reader: LineReader, data: bytes, sizes: list[int]) -> Iterator[Block]:
    for chunk in cut(data, sizes):
        yield from reader.feed(chunk)
    yield from reader.finish()
