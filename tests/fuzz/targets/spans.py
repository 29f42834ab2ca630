"""A file cut into spans, scanned in ranges of a few bytes -> the same rows as one reader finds."""

from itertools import pairwise

from engine.errors import BadFile
from engine.reading.block import FILE_START, Position
from engine.reading.delimited import CsvReader
from engine.reading.dynamodb_json import DynamoDbJsonReader
from engine.reading.format import Dialect, Format
from engine.reading.json_lines import JsonLinesReader
from engine.reading.json_members import Members
from engine.reading.limits import Limits
from engine.reading.line_reader import LineReader
from tests.builders.csv_text import DIALECTS, Reading, add_block, cut
from tests.builders.spans import form_of, plan, read_spans
from tests.fuzz.source import Source, seed
from tests.fuzz.targets import reading

MOST = 600

LIMITS = (Limits(1_000, 40), Limits(20, 7, 0, 20, 1), Limits(64, 1_000), Limits(8, 16))
SEEDS = [seed(b'a,b\n1,"x\ny"\n2,"z""\n"\n3,4\n'), seed(b'{"a":1}\n{}\n\n{"a":2}\n', 11) + b"\x0e", *reading.SEEDS[:6]]
TOKENS = reading.TOKENS


def check(data: bytes) -> None:
    """Rows, their numbers and the rejects are those of one reader, wherever ranges and chunks are cut."""
    source = Source(data)
    dialect: Dialect | None = source.pick((*DIALECTS, None))
    type_ = "csv" if dialect else source.pick(("jsonl", "dynamodb-json"))
    limits, sizes = source.pick(LIMITS), source.sizes()
    span_bytes = source.pick((12, 1, 3, 5, 8, 20, 40, 64))
    file = source.rest(MOST)
    whole, ends = Reading(), []
    fed = 0
    try:
        reader = _reader(type_, dialect, limits)
        for chunk in [*cut(file, [2]), None]:
            fed += len(chunk or b"")
            for block in reader.finish() if chunk is None else reader.feed(chunk):
                add_block(whole, block)
                if block.end is not None and not block.end.in_long_record:
                    ends.append((block.end, fed))
    except BadFile:
        return
    if not ends:
        return
    start, head = ends[0]
    form = _form(type_, dialect)
    found, _ = plan(file, start, head, span_bytes, form, limits, sizes)
    assert found.rows == len(whole.numbers)
    assert found.spans[0] == FILE_START
    assert all(one.offset < other.offset for one, other in pairwise(found.spans))
    read = read_spans(file, found.spans, start.dialect, form, limits, sizes)
    assert (read.rows, read.rejects) == (whole.rows, whole.rejects)


def _form(type_: str, dialect: Dialect | None) -> Format:
    if dialect is None:
        return Format(type=type_, encoding="utf-8", compression="none")
    return form_of(dialect)


def _reader(type_: str, dialect: Dialect | None, limits: Limits) -> LineReader:
    if dialect is not None:
        return CsvReader(limits=limits, form=_form(type_, dialect), dialect=dialect)
    if type_ == "jsonl":
        return JsonLinesReader(Members({}), Position(0, 1), limits)
    return DynamoDbJsonReader((), start=Position(0, 1), limits=limits)
