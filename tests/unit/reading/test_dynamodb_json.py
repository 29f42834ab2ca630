"""DynamoDB JSON lines -> attribute values as they are; what DynamoDB would refuse is a reject."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadFile
from engine.reading.attribute_values import MAX_LEVELS, column_faults, fault_of
from engine.reading.block import Position
from engine.reading.dynamodb_json import INCREMENTAL, DynamoDbJsonReader, find_json_type
from engine.reading.json_values import KEY_TWICE
from tests.builders.csv_text import SIZES, cut
from tests.builders.json_text import JsonReading, plain, read_json

TEXTS = st.text(max_size=4)
NAMES = st.text(min_size=1, max_size=4)
NUMBERS = st.integers(-(10**37), 10**37).map(str) | st.sampled_from(["1.50", "-0.001", "1E+20", "9.9E+125", "1E-130"])
BINARY = st.binary(max_size=5).map(lambda data: base64.b64encode(data).decode())
SCALARS = st.one_of(
    TEXTS.map(lambda text: {"S": text}),
    NUMBERS.map(lambda text: {"N": text}),
    BINARY.map(lambda text: {"B": text}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(lambda texts: {"SS": texts}),
    st.lists(st.integers(), min_size=1, max_size=3, unique=True).map(lambda numbers: {"NS": list(map(str, numbers))}),
    st.lists(BINARY, min_size=1, max_size=3, unique=True).map(lambda texts: {"BS": texts}),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda values: {"L": values})
        | st.dictionaries(NAMES, inner, max_size=3).map(lambda values: {"M": values})
    ),
    max_leaves=5,
)
ITEMS = st.dictionaries(st.sampled_from(["pk", "PK", "n", "x", "y"]), VALUES, max_size=4)


def read(data: bytes, unknown: str = "store") -> JsonReading:
    return read_json([data], reader=DynamoDbJsonReader(["pk", "n"], unknown=unknown))


@given(items=st.lists(ITEMS, max_size=6), wrapped=st.booleans(), sizes=SIZES)
def test_attribute_values_are_read_as_they_are(items: list[Any], wrapped: bool, sizes: list[int]) -> None:
    data = b"".join(json.dumps({"Item": item} if wrapped else item).encode() + b"\n" for item in items)
    reading = read_json(cut(data, sizes), reader=DynamoDbJsonReader(["pk", "n"], unknown="store"))
    assert reading.rejects == {}
    assert reading.fields == [
        [
            plain(item.get("pk")),
            plain(item.get("n")),
            plain({key: value for key, value in item.items() if key not in ("pk", "n")} or None),
        ]
        for item in items
    ]


@settings(max_examples=80)
@given(
    items=st.lists(ITEMS, min_size=1, max_size=6),
    changes=st.lists(st.tuples(st.integers(0), st.sampled_from(list(b'{}[]",:\\0\nSNLM'))), max_size=4),
    sizes=SIZES,
)
def test_damaged_lines_are_rejects_however_they_are_split(
    items: list[Any], changes: list[tuple[int, int]], sizes: list[int]
) -> None:
    data = bytearray(b"".join(json.dumps({"Item": item}).encode() + b"\n" for item in items))
    for place, byte in changes:
        data[place % len(data)] = byte
    whole = read(bytes(data))
    assert read_json(cut(bytes(data), sizes), reader=DynamoDbJsonReader(["pk", "n"], unknown="store")) == whole
    assert whole.fault or len(whole.rows) + len(whole.rejects) == sum(bool(line.strip()) for line in data.split(b"\n"))


def test_line_of_an_export() -> None:
    line = (
        b'{"Item":{"Authors":{"SS":["Author1","Author2"]},"Dimensions":{"S":"8.5 x 11.0 x 1.5"},"ISBN":{"S":"333"},'
        b'"Id":{"N":"103"},"InPublication":{"BOOL":false},"PageCount":{"N":"600"},"Price":{"N":"2000"}}}\n'
    )
    reader = DynamoDbJsonReader(["Id", "Authors", "Missing"])
    (block,) = reader.feed(line)
    assert list(reader.header) == ["Id", "Authors", "Missing"]
    rows: list[Any] = block.rows
    assert rows == [({"N": "103"}, {"SS": ["Author1", "Author2"]}, None)]
    assert block.end == Position(len(line), 2, reader.header)


NO_OBJECTS = dict.fromkeys((2, 3), "an attribute of the line is not an attribute value")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is not an attribute value"),
        ("text", "is not an attribute value"),
        ([], "is not an attribute value"),
        ({}, "is not an attribute value"),
        ({"S": "a", "N": "1"}, "is not an attribute value"),
        ({"X": "a"}, "is of no type that DynamoDB has"),
        ({"S": 5}, "is not a valid S"),
        ({"N": 5}, "is not a valid N"),
        ({"N": ""}, "is not a valid N"),
        ({"N": "1e126"}, "is not a valid N"),
        ({"N": "1e-131"}, "is not a valid N"),
        ({"N": "1" * 39}, "is not a valid N"),
        ({"N": "9" * 500}, "is not a valid N"),
        ({"N": "NaN"}, "is not a valid N"),
        ({"N": "٣"}, "is not a valid N"),
        ({"B": "a"}, "is not a valid B"),
        ({"B": 5}, "is not a valid B"),
        ({"B": "é"}, "is not a valid B"),
        ({"BOOL": "true"}, "is not a valid BOOL"),
        ({"BOOL": 1}, "is not a valid BOOL"),
        ({"NULL": False}, "is not a valid NULL"),
        ({"SS": []}, "is not a valid SS"),
        ({"SS": "a"}, "is not a valid SS"),
        ({"SS": ["a", "a"]}, "is a set that has one value twice"),
        ({"NS": ["1", "1.0"]}, "is a set that has one value twice"),
        ({"NS": [1]}, "is not a valid NS"),
        ({"BS": ["YQ=="]}, None),
        ({"BS": ["YQ==", "YQ=="]}, "is a set that has one value twice"),
        ({"L": {}}, "is not a valid L"),
        ({"L": [{"S": 1}]}, "is not a valid S"),
        ({"M": []}, "is not a valid M"),
        ({"M": {"a": "b"}}, "is not an attribute value"),
        ({"N": "0e999"}, None),
        ({"N": "1" * 38}, None),
        ({"N": "-" + "1" * 19 + "." + "1" * 19}, None),
        ({"N": "1" + "0" * 125}, None),
    ],
)
def test_what_dynamodb_would_refuse_is_a_reject(value: Any, reason: str | None) -> None:
    assert fault_of(value) == reason
    lines = json.dumps({"Item": {"pk": value}}) + "\n" + json.dumps({"pk": {"S": "x"}, "x": value}) + "\n"
    reading = read((json.dumps({"pk": {"S": "x"}}) + "\n" + lines).encode())
    unknown = f"an attribute that the schema does not know {reason}"
    assert reading.reasons in ({} if reason is None else {2: f"pk {reason}", 3: unknown}, NO_OBJECTS)
    if value is not None:
        assert column_faults("n", [{"S": "a"}, value]) == ({} if reason is None else {1: f"n {reason}"})
        assert column_faults("n", [value, None, value]) == (
            {} if reason is None else {0: f"n {reason}", 2: f"n {reason}"}
        )


def test_values_may_be_nested_as_deep_as_dynamodb_allows() -> None:
    value: Any = {"S": "x"}
    for _ in range(MAX_LEVELS):
        value = {"L": [value]}
    assert fault_of(value) is None
    assert fault_of({"M": {"a": value}}) == "is nested more than 32 levels deep"


def test_unknown_attributes_are_ignored_stored_or_refused() -> None:
    data = b'{"Item":{"pk":{"S":"a"},"PK":{"N":"1"}}}\n'
    assert read(data).fields == [plain([{"S": "a"}, None, {"PK": {"N": "1"}}])]
    assert read(data, "ignore").fields == [plain([{"S": "a"}, None])]
    assert read(data, "fail").reasons == {
        1: "the line has a key that the schema does not know, its key 2, and the schema allows none"
    }


def test_line_that_is_no_item_is_a_reject() -> None:
    reading = read(b'{"pk":{"S":"a"}}\n{"Item":5}\n{"Item":{"pk":{"S":"a"},"pk":{"S":"b"}}}\n5\n{"Item":{"pk":5}}')
    assert list(reading.rows) == [1]
    assert list(reading.reasons.values()) == [
        "Item is not an object",
        KEY_TWICE,
        "the line is not a JSON object",
        "an attribute of the line is not an attribute value",
    ]


CHANGE = b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"pk":{"S":"a"}},"NewImage":{"pk":{"S":"a"}}}\n'


def test_incremental_export_is_refused() -> None:
    reader = DynamoDbJsonReader(["pk"])
    with pytest.raises(BadFile, match="incremental export"):
        list(reader.feed(CHANGE))
    later = read(b'{"Item":{"pk":{"S":"a"}}}\n' + CHANGE)
    assert later.reasons == {2: INCREMENTAL}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'{"itemCount":8,"md5Checksum":"x","etag":"y","dataFileS3Key":"AWSDynamoDB/x/data/y.json.gz"}\n', "list"),
        (b'{"version":"2020-06-30","exportArn":"arn","manifestFilesS3Key":"AWSDynamoDB/x"}\n', "summary"),
        (b"$ion_1_0 {Item:{Id:103.}}\n", "Ion"),
        (b'[{"Item":{}}]\n', "one JSON document"),
    ],
)
def test_other_files_of_an_export_are_refused_by_name(line: bytes, what: str) -> None:
    reader = DynamoDbJsonReader(["pk"])
    with pytest.raises(BadFile, match=what):
        list(reader.feed(line))


def test_empty_file_of_an_empty_partition_has_no_rows() -> None:
    assert read(b"") == JsonReading()


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b'{"Item":{"pk":{"S":"a"}}}', "dynamodb-json"),
        (b'\xef\xbb\xbf\n { "Item" : { "a\\"b" : { "BOOL" : true', "dynamodb-json"),
        (b'{"Item":{}}\n', "dynamodb-json"),
        (b'{"Item":{"name":{"size":5}}}', "jsonl"),
        (b'{"Item":{"name":"S"}}', "jsonl"),
        (b'{"Item":"S"}', "jsonl"),
        (b'{"pk":{"S":"a"}}', "jsonl"),
        # Changes of an incremental export, which are refused.
        (CHANGE, "dynamodb-json"),
        (CHANGE[:60], "dynamodb-json"),
        (b'{"Metadata":{"WriteTimestampMicros":"1"},"Keys":{"pk":{"S":"a"}}}', "dynamodb-json"),
        (b'{"Keys":{"pk":{"S":"a"},"sk":{"N":"1"}},"OldImage":{"pk":{"S":"a"}}}\n{}', "dynamodb-json"),
        (b'{"Keys":{"pk":{"S":"a"}}}', "jsonl"),
        (b'{"Keys":{"pk":"a"},"NewImage":{}}', "jsonl"),
        (b'{"Keys":{"pk":{"S":"a"}},"NewImage":{},"id":1}', "jsonl"),
        (b'{"Metadata":{"a":1},"Keys":["b"]}', "jsonl"),
        (b'\r\n [{"a":1}]', "jsonl"),
        (b"name,{x}\n", None),
        (b"", None),
        (b'{"Item":{"' + b"a" * 100_000, "jsonl"),
    ],
)
def test_type_of_a_file_is_found_by_its_beginning(head: bytes, found: str | None) -> None:
    assert find_json_type(head) == found
