"""Conversion of a file to messages and rejects, in chunks of any size."""

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.convert import Converted, Converter
from engine.errors import BadFile
from engine.messages.message import HAND_ON_BYTES, Outgoing
from engine.reading.block import Position, Reject
from engine.reading.format import Format
from engine.reading.limits import USUAL_LIMITS, Limits
from engine.rejects import RejectFiles
from engine.schema.model import Schema
from engine.spans import SPAN_START, Progress, Rest, ResumePoint, read_rest, span_body
from tests.builders.choices import choices
from tests.builders.csv_text import RUBBISH, SIZES, cut, read
from tests.builders.samples import PROCESSED_AT, PRODUCTS, SOURCE, USERS, schema_of

ROOM = 61_440


@dataclass
class Outcome:
    """Everything converted from one file."""

    valid: int = 0
    messages: list[Outgoing] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    fault: str | None = None

    def add(self, *parts: Converted) -> None:
        """Add the results of some rows."""
        for converted in parts:
            assert converted.rejects == sorted(converted.rejects)
            self.valid += converted.valid
            self.messages += converted.messages
            self.rejects += converted.rejects


def convert(
    chunks: Iterable[bytes],
    *,
    schema: Schema = USERS,
    per_message: int = 500,
    max_bytes: int = ROOM,
    limits: Limits = USUAL_LIMITS,
    start: ResumePoint = SPAN_START,
    whole: bytes = b"",
) -> Outcome:
    """Convert a file, or the rest of `whole` from a resume point."""
    converter = Converter(
        SOURCE, schema, records_per_message=per_message, max_message_bytes=max_bytes, limits=limits, start=start
    )
    outcome = Outcome()
    try:
        for chunk in chunks:
            outcome.add(*converter.feed(chunk, PROCESSED_AT))
            place = converter.jump()
            if place is not None:
                outcome.add(*converter.feed(whole[place:], PROCESSED_AT))
                break
        outcome.add(*converter.finish(PROCESSED_AT))
    except BadFile as error:
        outcome.fault = str(error)
    return outcome


LINES = [b"Ann,ann@x,1", b'"B, ob",BOB@X,', b"C\xc3\xa9line,c@x,3", b'"two\r\nlines",t@x,4', b"x" * 300 + b",long@x,5"]
LINES += [b"", b"no,mail", b",none@x,6", b"  ,blank@x,7", b'"bad"quote,q@x,8', b"n\xffo,utf8@x,9", b'open,"o@x,10']
ENDED = [line + end for line in LINES for end in (b"\n", b"\r\n", b"\r")]
FILES = choices(ENDED, max_size=25).map(lambda lines: b"name,mail,phone\n" + b"".join(lines))

JSON_LINES = [b'{"name":"Ann","mail":"a@x"}', b'{"mail":"b@x"}', b"", b"x" * 300, b'{"name":"\xc3\xa9","mail":"c@x"}']
JSON_FILES = choices(JSON_LINES, max_size=25).map(
    lambda lines: b'{"name":"first","mail":"f@x"}\n' + b"".join(line + b"\n" for line in lines)
)
STORED: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda text: text,
    "with a mark": lambda text: b"\xef\xbb\xbf" + text,
    "gzip": gzip.compress,
    "utf-16": lambda text: text.decode("latin-1").encode("utf-16"),
}
"""How the text of a file may be kept."""


@settings(max_examples=80)
@given(FILES, SIZES, st.sampled_from([1, 2, 3, 500]), st.sampled_from([420, 700, ROOM]), st.sampled_from([3, 1000]))
def test_any_split_of_a_file_makes_the_same_messages_and_rejects(
    data: bytes, sizes: list[int], per_message: int, max_bytes: int, piece: int
) -> None:
    whole = convert([data], per_message=per_message, max_bytes=max_bytes)
    limits = Limits(slice_bytes=piece)
    assert convert(cut(data, sizes), per_message=per_message, max_bytes=max_bytes, limits=limits) == whole
    assert whole.fault is None
    assert all(1 <= message.records <= per_message and message.size <= max_bytes for message in whole.messages)


@settings(max_examples=60)
@given(FILES | RUBBISH.map(lambda pile: b"name,mail,phone\n" + pile), st.sampled_from([1, 3, 500]))
def test_every_row_is_accounted_for(data: bytes, per_message: int) -> None:
    # What would be found in rubbish is another matter.
    schema = replace(USERS, format=Format(delimiter=",", quote='"', escape="double"))
    outcome = convert([data], per_message=per_message, schema=schema)
    total = read([data]).numbers
    assert outcome.valid == sum(message.records for message in outcome.messages)
    assert outcome.valid + len(outcome.rejects) == len(total)
    sent = [number for message in outcome.messages for number in numbers_in(message)]
    assert sorted([*sent, *(reject.row for reject in outcome.rejects)]) == total
    assert sent == sorted(sent)


@settings(max_examples=60)
@given(
    FILES | JSON_FILES,
    SIZES,
    st.sampled_from([1, 2, 3, 500]),
    st.sampled_from([420, ROOM]),
    st.sampled_from([3, 30, 1000]),
    st.sampled_from(sorted(STORED)),
    st.integers(0, 30),
)
def test_conversion_from_any_resume_point_makes_the_rest_of_the_messages_and_rejects(
    text: bytes, sizes: list[int], per_message: int, max_bytes: int, piece: int, stored: str, stop: int
) -> None:
    data, limits = STORED[stored](text), Limits(slice_bytes=piece)
    whole = convert([data], per_message=per_message, max_bytes=max_bytes)
    converter = Converter(SOURCE, USERS, records_per_message=per_message, max_message_bytes=max_bytes, limits=limits)
    before, progress, files = Outcome(), Progress(SPAN_START), RejectFiles("", "")
    steps = chain((converter.feed(chunk, PROCESSED_AT) for chunk in cut(data, sizes)), [converter.finish(PROCESSED_AT)])
    for converted in islice(chain.from_iterable(steps), stop):
        before.add(converted)
        files.add(converted.rejects)
        progress.moved(converted.row, converted.message, converted.end, files.count, files.reasons)
    point = read_rest(json.loads(span_body(SOURCE.ref, Rest(progress.point, SOURCE.modified)))).point
    assert point == progress.point
    rest = convert(
        cut(data, sizes), per_message=per_message, max_bytes=max_bytes, start=point, limits=limits, whole=data
    )
    assert (rest.fault, before.fault) == (whole.fault, None)
    assert before.messages + rest.messages == whole.messages
    assert point.message == len(before.messages)
    # Those after the point's row are found by both.
    assert sorted({*before.rejects, *rest.rejects}) == whole.rejects
    assert {reject for reject in rest.rejects if reject.row < point.row} <= set(before.rejects)
    assert point.rejected == sum(reject.row < point.position.row for reject in whole.rejects)
    assert point.rejected + len(rest.rejects) == len(whole.rejects)
    assert point.position.row - 1 - point.rejected + rest.valid == whole.valid


def numbers_in(message: Outgoing) -> list[int]:
    body = orjson.loads(message.body)
    return [row[0] for row in body["rows"]] if "rows" in body else [body["rowNumber"]]


def test_file_becomes_messages_and_rejects() -> None:
    data = b"\n".join(
        [b"phone,NAME,x,email", *(b"5,Row %d,?,R%d@X" % (i, i) for i in range(1, 4)), b"6,,?,none@x", b"7"]
    )
    outcome = convert([data], per_message=2)
    assert [orjson.loads(message.body)["rows"] for message in outcome.messages] == [
        [[1, "Row 1", "r1@x", "5"], [2, "Row 2", "r2@x", "5"]],
        [[3, "Row 3", "r3@x", "5"]],
    ]
    assert outcome.rejects == [
        Reject(4, data.index(b"6,,"), "name is required, but empty", "6,,?,none@x"),
        Reject(5, len(data) - 1, "the row has 1 field, the header has 4", "7"),
    ]


def test_one_record_per_message_uses_the_plain_format() -> None:
    outcome = convert([b"mail,name\nA@X,a\nb@x,\nc@x,c\n"], per_message=1)
    assert [message.body for message in outcome.messages] == [
        b'{"name":"a","mail":"a@x","phone":"N/A","processedAt":"2026-04-04T00:00:01.234Z","rowNumber":1}',
        b'{"name":"c","mail":"c@x","phone":"N/A","processedAt":"2026-04-04T00:00:01.234Z","rowNumber":3}',
    ]
    assert [message.attributes["email"]["StringValue"] for message in outcome.messages] == ["a@x", "c@x"]


def test_messages_of_a_span_are_named_by_its_first_byte() -> None:
    data, start = b"name,mail,phone\nAnn,ann@x,1\nBob,bob@x,2\n", ResumePoint(Position(28, 2), 2)
    messages: list[Outgoing] = []
    for per_message in (500, 1):
        converter = Converter(
            SOURCE, USERS, records_per_message=per_message, max_message_bytes=ROOM, start=start, span=28
        )
        parts = [*converter.feed(data, PROCESSED_AT), *converter.finish(PROCESSED_AT)]
        messages += [message for part in parts for message in part.messages]
    packed, plain = messages
    assert (orjson.loads(packed.body)["span"], orjson.loads(packed.body)["message"]) == (28, 0)
    assert plain.attributes["place"]["StringValue"] == "28-0"


@pytest.mark.parametrize("per_message", [1, 500])
def test_row_too_long_for_a_message_is_rejected(per_message: int) -> None:
    long = b"x" * 5_000 + b",long@x,1"
    outcome = convert([b"name,mail,phone\na,a@x,1\n" + long + b"\nb,b@x,2\n"], per_message=per_message, max_bytes=4_096)
    assert outcome.valid == 2
    reason = "the row does not fit into a message of 4,096 bytes (MAX_MESSAGE_BYTES)"
    assert outcome.rejects == [Reject(2, 24, reason, long.decode())]


def test_memory_for_ragged_rows_does_not_depend_on_the_header_width() -> None:
    data = b"name,mail," + b",".join(b"c%d" % i for i in range(2_000)) + b"\n" + b"a\n" * 20_000
    tracemalloc.start()
    try:
        outcome = convert([data])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (outcome.valid, len(outcome.rejects)) == (0, 20_000)
    assert {reject.reason for reject in outcome.rejects} == {"the row has 1 field, the header has 2002"}
    assert peak < 30_000_000


def test_products_keep_unknown_columns_and_types() -> None:
    data = b"Artikel-Nr.,PRICE,Active,Colour\nA-1, 1.50 ,no,red\nB-2,x,no,red\nC-3,7,,\n"
    outcome = convert([data], schema=PRODUCTS)
    (message,) = outcome.messages
    assert orjson.loads(message.body)["columns"] == ["sku", "price", "stock", "isActive", "grade", "title", "Colour"]
    assert orjson.loads(message.body)["rows"] == [
        [1, "A-1", "1.5", "0", False, "N/A", None, "red"],
        [3, "C-3", "7", "0", True, "N/A", None, None],
    ]
    assert [reject.reason for reject in outcome.rejects] == ["price is not a number that DynamoDB can hold"]


@pytest.mark.parametrize("data", [b"name,mail", b"mail,name,phone\r\n\r\n", b"\xef\xbb\xbfName,eMail\n"])
@pytest.mark.parametrize("per_message", [1, 500])
def test_header_without_rows_yields_nothing(data: bytes, per_message: int) -> None:
    assert convert([data], per_message=per_message) == Outcome()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "the file is empty: it has no header line"),
        (b"\n\n", "the file is empty: it has no header line"),
        (b"name,phone\n", "the header lacks the required column mail: of its 2 columns the schema knows name, phone"),
        (
            b"name,phone\na,b\n",
            "the header lacks the required column mail: of its 2 columns the schema knows name, phone",
        ),
        (b"name,mail,name\na,b,c\n", "the header has the column name twice: in places 1 and 3"),
        (b"PK\x03\x04", "the file is a zip archive or a spreadsheet; export it as CSV"),
    ],
)
@pytest.mark.parametrize("sizes", [[1], [1000]])
def test_bad_file_is_refused_before_any_output(data: bytes, fault: str, sizes: list[int]) -> None:
    assert convert(cut(data, sizes)) == Outcome(fault=fault)


def test_messages_of_a_large_file_are_within_all_limits() -> None:
    rows = [b"User %d,user%d@example.com,%010d" % (i, i, i) for i in range(1, 20_001)]
    data = b"name,mail,phone\n" + b"\n".join(rows)
    outcome = convert([data])
    assert (outcome.valid, outcome.rejects) == (20_000, [])
    assert [number for message in outcome.messages for number in numbers_in(message)] == list(range(1, 20_001))
    assert [message.records for message in outcome.messages[:-1]] == [500] * (len(outcome.messages) - 1)
    assert convert(cut(data, [65_536])) == outcome
    assert convert([data], per_message=10_000).messages[0].size > ROOM - 100 - HAND_ON_BYTES


REPEATING = schema_of(
    'unknown_columns = "store"\n[key]\npartition = "sku"\nsort = "size"\n[columns.size]\ntype = "N"\nrequired = true\n'
    "[columns.sku]\nrequired = true\nlower = true\n"
)


@given(st.lists(st.tuples(st.sampled_from("aAbBcC"), st.sampled_from(["1", "1.0", "2", "x"])), max_size=40), SIZES)
def test_rows_with_the_key_of_an_earlier_row_are_counted(rows: list[tuple[str, str]], sizes: list[int]) -> None:
    data = "note,sku,size\n" + "".join(f"{number},{sku},{size}\n" for number, (sku, size) in enumerate(rows))
    converter = Converter(SOURCE, REPEATING, records_per_message=7, max_message_bytes=ROOM)
    for chunk in cut(data.encode(), sizes):
        list(converter.feed(chunk, PROCESSED_AT))
    list(converter.finish(PROCESSED_AT))
    keys = [(sku.lower(), size[0]) for sku, size in rows if size != "x"]  # what is rejected replaces nothing
    assert converter.repeated
    assert (converter.repeated.count, converter.repeated.is_exact) == (len(keys) - len(set(keys)), True)


def test_row_that_fits_no_message_replaces_nothing() -> None:
    rows = [f"{'x' * length},a,1\n" for length in (1, 9_000, 1, 9_000)]
    converter = Converter(SOURCE, REPEATING, records_per_message=7, max_message_bytes=4_096)
    list(converter.feed(("note,sku,size\n" + "".join(rows)).encode(), PROCESSED_AT))
    *_, last = converter.finish(PROCESSED_AT)
    assert last.messages
    assert converter.repeated
    assert converter.repeated.count == 1


def test_where_the_key_tells_rows_apart_none_is_counted() -> None:
    converter = Converter(SOURCE, USERS, records_per_message=7, max_message_bytes=ROOM)
    list(converter.feed(b"name,mail\nA,a@b\nA,a@b\n", PROCESSED_AT))
    list(converter.finish(PROCESSED_AT))
    assert USERS.tells_rows_apart
    assert converter.repeated is None


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (
            b"other,name of nothing\n1,2\n",
            "the header has no column of the schema: of its 2 columns the schema knows none",
        ),
        (b'{"other": 1}\n', "the line has no key that the schema knows"),
    ],
)
def test_file_without_any_column_of_the_schema_makes_no_empty_items(data: bytes, outcome: str) -> None:
    schema = schema_of('[key]\npartition = "at"\n[columns.a]\n[columns.b]\n[generated]\nat = "version"\n')
    converter = Converter(SOURCE, schema, records_per_message=7, max_message_bytes=4_096)
    try:
        done = [*converter.feed(data, PROCESSED_AT), *converter.finish(PROCESSED_AT)]
    except BadFile as error:
        said = str(error)
    else:
        assert sum(each.valid for each in done) == 0
        said = done[0].rejects[0].reason
    assert said.startswith(outcome)


def test_plain_messages_are_made_of_a_file() -> None:
    converter = Converter(SOURCE, USERS, records_per_message=1, max_message_bytes=61_440)
    converted = [*converter.feed(b"name,mail,phone\nA,a@x.org,1\n", PROCESSED_AT), *converter.finish(PROCESSED_AT)]
    assert [json.loads(message.body)["mail"] for each in converted for message in each.messages] == ["a@x.org"]


def test_json_number_in_a_text_column_has_one_text_however_it_is_written() -> None:
    schema = schema_of('[key]\npartition = "a"\n[columns.a]\nrequired = true\n[columns.b]\n')
    lines = "".join(
        f'{{"a": "x", "b": {number}}}\n' for number in ("1.10", "1.1", "1E5", "100000", "1.10000000000000000001")
    )
    converter = Converter(SOURCE, schema, records_per_message=7, max_message_bytes=4_096)
    done = [*converter.feed(lines.encode(), PROCESSED_AT), *converter.finish(PROCESSED_AT)]
    (message,) = (message for each in done for message in each.messages)
    texts = [row[2] for row in json.loads(message.body)["rows"]]
    assert texts == ["1.1", "1.1", "100000", "100000", "1.10000000000000000001"]


@pytest.mark.parametrize("lines", [[r'{"a":"\u003a","t":1.7E9}'], [r'{"a":"\u003a","t":1.7E9}', '{"a":"x:","t":0}']])
def test_json_number_read_as_a_time_has_one_text_whatever_lines_are_read_with_it(lines: list[str]) -> None:
    toml = '[key]\npartition = "a"\n[columns.a]\nrequired = true\n[columns.t]\ntype = "datetime"\ninput = ["epoch"]\n'
    outcome = convert(["\n".join([*lines, ""]).encode()], schema=schema_of(toml))
    assert outcome.rejects == []
    assert json.loads(outcome.messages[0].body)["rows"][0][2] == "2023-11-14T22:13:20Z"
