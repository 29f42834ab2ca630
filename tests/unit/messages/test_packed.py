"""Records -> packed messages -> records: limited by count and bytes, valid for SQS, unchanged in the worker."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadFile
from engine.identity import ObjectVersion
from engine.messages.message import HAND_ON_BYTES, Message, Outgoing
from engine.messages.packed import MAX_SHARED_BYTES, Packer
from engine.messages.parse import parse_message
from tests.builders.samples import PROCESSED_AT, PRODUCTS, SOURCE, USERS, rows_of
from tests.builders.texts import LEGAL, texts

COLUMNS = ("name", "email", "phone")
Row = tuple[Any, ...]
ROWS = st.lists(st.tuples(texts(), texts(min_size=1), texts() | st.none()), max_size=30).map(
    lambda rows: [(number, *row) for number, row in enumerate(rows, start=1)]
)
SOURCES = st.builds(
    ObjectVersion, texts(min_size=1), texts(60, min_size=1), st.none() | texts(), texts(), st.integers(0, 10**11)
)


def packer(source: ObjectVersion = SOURCE, *, span: int = 0, max_records: int = 500, max_bytes: int = 61_440) -> Packer:
    return Packer(source, COLUMNS, span=span, max_records=max_records, max_bytes=max_bytes)


def pack(into: Packer, *blocks: list[Row]) -> tuple[list[Outgoing], list[int]]:
    """Return the messages packed from blocks of rows, and the rows that fit into none."""
    messages, oversize = [], []
    for block in blocks:
        full, too_long = into.add(block, PROCESSED_AT)
        messages += full
        oversize += too_long
    return messages + into.flush(PROCESSED_AT), oversize


def parse(message: Outgoing) -> Message:
    """A message as the worker reads it."""
    attributes = {name: {"stringValue": value["StringValue"]} for name, value in message.attributes.items()}
    parsed = parse_message(message.body.decode(), attributes, "id", 5, USERS)
    assert isinstance(parsed, Message)
    return parsed


def rows_in(messages: list[Outgoing]) -> list[Row]:
    return [tuple(row) for message in messages for row in rows_of(parse(message))]


def test_body_of_a_packed_message() -> None:
    into = packer(ObjectVersion("b", "uploads/ü.csv", None, "0123abcd", 1_775_260_800), max_records=2)
    rows = [(1, "John Doe", "john@gmail.com", "9876543210"), (2, 'Ünal "Q"', "u@x", None), (3, "z", "z@x", "N/A")]
    messages, _ = pack(into, rows)
    about = '{"bucket":"b","key":"uploads/ü.csv","version":null,"etag":"0123abcd","modified":1775260800}'
    assert [message.body.decode() for message in messages] == [
        '{"v":1,"object":' + about + ',"span":0,"message":0,"processedAt":"2026-04-04T00:00:01.234Z",'
        '"columns":["name","email","phone"],'
        '"rows":[[1,"John Doe","john@gmail.com","9876543210"],[2,"Ünal \\"Q\\"","u@x",null]]}',
        '{"v":1,"object":' + about + ',"span":0,"message":1,"processedAt":"2026-04-04T00:00:01.234Z",'
        '"columns":["name","email","phone"],"rows":[[3,"z","z@x","N/A"]]}',
    ]


def test_attributes_contain_ingestion_and_record_count() -> None:
    (message,), _ = pack(packer(), [(1, "a", "b", "c"), (2, "a", "b", "c")])
    assert message.records == 2
    assert message.attributes == {
        "ingestion": {"DataType": "String", "StringValue": SOURCE.ingestion},
        "records": {"DataType": "Number", "StringValue": "2"},
    }


@given(SOURCES, ROWS, st.integers(0, 5 * 2**40))
def test_packed_rows_are_parsed_unchanged(source: ObjectVersion, rows: list[Row], span: int) -> None:
    messages, oversize = pack(packer(source, span=span, max_records=7), rows)
    assert oversize == []
    assert rows_in(messages) == rows
    for number, message in enumerate(messages):
        parsed = parse(message)
        assert parsed.source == source
        assert (parsed.modified, parsed.processed_at, parsed.columns) == (source.modified, PROCESSED_AT, COLUMNS)
        assert (parsed.ingestion, parsed.name) == (source.ingestion, f"{span:015d}-{number:06d}")


@given(SOURCES, ROWS)
def test_messages_contain_only_characters_that_sqs_accepts(source: ObjectVersion, rows: list[Row]) -> None:
    for message in pack(packer(source), rows)[0]:
        assert LEGAL.fullmatch(message.body.decode())
        assert all(LEGAL.fullmatch(value["StringValue"]) for value in message.attributes.values())


@given(st.characters(exclude_categories=["Cs"]))
def test_every_character_is_parsed_unchanged(character: str) -> None:
    messages, _ = pack(packer(), [(1, character, f"a{character}b", None)])
    assert LEGAL.fullmatch(messages[0].body.decode())
    assert rows_in(messages) == [(1, character, f"a{character}b", None)]


ENDS = st.text('],["1', min_size=1, max_size=8)


@given(st.lists(st.tuples(ENDS, ENDS, ENDS | st.none()), max_size=9))
def test_values_that_look_like_row_ends_are_parsed_unchanged(values: list[tuple[Any, ...]]) -> None:
    rows = [(number, *row) for number, row in enumerate(values, start=1)]
    assert rows_in(pack(packer(), rows)[0]) == rows


@settings(max_examples=60)
@given(ROWS, st.lists(st.integers(0, 30), max_size=5), st.integers(2, 7), st.integers(0, 400))
def test_message_boundaries_depend_only_on_the_rows(rows: list[Row], cuts: list[int], most: int, spare: int) -> None:
    smallest = 330 + HAND_ON_BYTES + spare
    whole = pack(packer(max_records=most, max_bytes=smallest), rows)
    borders = [0, *sorted(cuts), len(rows)]
    blocks = [rows[low:high] for low, high in pairwise(borders)]
    assert pack(packer(max_records=most, max_bytes=smallest), *blocks) == whole
    messages, oversize = whole
    assert all(1 <= message.records <= most and message.size <= smallest for message in messages)
    assert [row for row in rows if row[0] not in oversize] == rows_in(messages)


def test_messages_are_filled_to_the_limit() -> None:
    rows = [(n, "x" * 50, "m", "p") for n in range(1, 2_000)]
    messages, _ = pack(packer(max_records=10_000, max_bytes=4_096), rows)
    row_bytes = len('[1000,"' + "x" * 50 + '","m","p"],')
    # The envelope is measured for the longest number and time that there can be, and for what handing on adds.
    assert all(message.size > 4_096 - row_bytes - 30 - HAND_ON_BYTES for message in messages[:-1])


def test_full_message_is_returned_at_once() -> None:
    into = packer(max_records=2)
    assert into.add([(1, "a", "b", "c")], PROCESSED_AT) == ([], [])
    messages, _ = into.add([(2, "a", "b", "c"), (3, "a", "b", "c"), (4, "a", "b", "c")], PROCESSED_AT)
    assert [message.records for message in messages] == [2, 2]
    assert into.flush(PROCESSED_AT) == []


def test_only_the_row_that_fits_no_message_is_left_out() -> None:
    rows = [(1, "a", "a", "a"), (2, "x" * 5_000, "b", "b"), (3, "c", "c", "c"), (4, "é" * 3_000, "d", "d")]
    messages, oversize = pack(packer(max_bytes=4_096), rows)
    assert oversize == [2, 4]
    assert rows_in(messages) == [rows[0], rows[2]]


@given(st.integers(0, 120))
def test_longest_row_that_fits_fills_a_message(shorter: int) -> None:
    row = (1, "x" * (3_950 - shorter), "m", "p")
    messages, oversize = pack(packer(max_bytes=4_096), [row])
    assert len(messages) + len(oversize) == 1
    assert all(message.size <= 4_096 for message in messages)


def test_object_whose_name_fills_a_message_is_a_bad_file() -> None:
    with pytest.raises(BadFile, match="the object's key and columns alone fill a message of 4,096 bytes"):
        Packer(SOURCE, ["c" * 5_000], max_records=5, max_bytes=4_096)


def test_long_column_names_leave_fewer_rows_per_message() -> None:
    # Each item repeats the column names: a message of 1 MB must not become gigabytes of items.
    columns = ("name", "email", "n" * 60_000)
    into = Packer(SOURCE, columns, max_records=10_000, max_bytes=1_048_576)
    rows = [(n, "a", f"a{n}@x", "b") for n in range(1, 1_001)]
    messages, oversize = pack(into, rows)
    assert oversize == []
    assert max(message.records for message in messages) == MAX_SHARED_BYTES // (60_009 + len("b" + SOURCE.key))
    assert rows_in(messages) == rows


def test_numbers_and_booleans_keep_their_types() -> None:
    into = Packer(SOURCE, ("sku", "price", "isActive"), max_records=9, max_bytes=9_999)
    messages, _ = pack(into, [(1, "A", "0." + "1" * 38, False), (2, "B", "9" * 38, True), (3, "C", "0", None)])
    parsed = parse_message(messages[0].body.decode(), {}, "id", 5, PRODUCTS)
    assert isinstance(parsed, Message)
    assert rows_of(parsed) == [[1, "A", "0." + "1" * 38, False], [2, "B", "9" * 38, True], [3, "C", "0", None]]


def test_ingestion_id_depends_only_on_the_object_version() -> None:
    # SHA-256 of "b\0uploads/users.csv\0<version or ETag>\x001775260800", so other programs can compute it.
    assert SOURCE.ingestion == "584c7db5a2f84415f014"
    assert SOURCE._replace(version="0123abcd", etag="other").ingestion == SOURCE.ingestion


FEW_SOURCES = st.builds(
    ObjectVersion,
    *[st.sampled_from(pair) for pair in ("bc", "kl")],
    st.sampled_from([None, "v", "e"]),
    st.just("e") | st.just("v"),
    st.integers(0, 1),
)


@given(FEW_SOURCES, FEW_SOURCES)
def test_different_objects_have_different_ingestion_ids(one: ObjectVersion, other: ObjectVersion) -> None:
    def identity(source: ObjectVersion) -> tuple[object, ...]:
        return source.bucket, source.key, source.version or source.etag, source.modified

    assert re.fullmatch("[0-9a-f]{20}", one.ingestion)
    assert (one.ingestion == other.ingestion) == (identity(one) == identity(other))


def test_size_is_counted_as_by_sqs() -> None:
    message = Outgoing(b"12345", 1, {"ab": {"DataType": "String", "StringValue": "é"}})
    assert message.size == 5 + 2 + 6 + 2


def test_packed_message_is_valid_json() -> None:
    messages, _ = pack(packer(), [(1, "\uffff\x00", "m", None)])
    assert json.loads(messages[0].body)["rows"] == [[1, "\uffff\x00", "m", None]]
