"""A file with every type of value, from its bytes to the items in the table and the API's JSON."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.convert import Converter
from engine.exact_json import NumberText
from engine.items import Items
from engine.messages.message import Message
from engine.messages.packed import Packer
from engine.messages.parse import parse_message
from engine.queries import to_json
from engine.reading.block import Reject
from engine.schema.model import Origin, Schema
from tests.builders.messages import puts
from tests.builders.samples import ORDERS, PROCESSED_AT, SOURCE, version_of
from tests.builders.texts import texts
from tests.fakeaws.attributes import check_value, item_bytes

HEADER = ",customer,order,ordered,shipped,total,tags,sizes,address,signature,note,paid\n"
FULL = (
    '7, Ann@X.de ,A-1,31.01.2024,31.01.2024 12:30,"1.234,50 €",new | red|new,1 2.50,'
    '"{""city"":""Köln"",""no"":[1,true]}",00ff,,yes\n'
)
EMPTY = ",b@x,A-2,,n/a,NA,,,,,NA,\n"


def load(text: str, schema: Schema, *, records_per_message: int = 500) -> tuple[list[dict[str, Any]], list[Reject]]:
    """The items that a CSV file becomes, and its rejects."""
    converter = Converter(SOURCE, schema, records_per_message=records_per_message, max_message_bytes=61_440)
    items, rejects = Items(schema), []
    converted = [*converter.feed(text.encode(), PROCESSED_AT), *converter.finish(PROCESSED_AT)]
    for each in converted:
        rejects += each.rejects
        for sent in each.messages:
            attributes = {name: {"stringValue": value["StringValue"]} for name, value in sent.attributes.items()}
            message = parse_message(sent.body.decode(), attributes, "id", 5, schema)
            assert isinstance(message, Message)
            items.add(message)
    return puts(items), rejects


def test_every_type_from_the_file_to_the_item() -> None:
    (full, empty), rejects = load(HEADER + FULL + EMPTY, ORDERS)
    assert rejects == []
    assert full == {
        "pk": {"S": "CUSTOMER#ann@x.de"},
        "sk": {"S": "ORDER#A-1"},
        "customer": {"S": "ann@x.de"},
        "order": {"S": "A-1"},
        "row": {"N": "7"},
        "ordered": {"S": "2024-01-31"},
        "shipped": {"N": "1706700600"},
        "total": {"N": "1234.5"},
        "tags": {"SS": ["new", "red"]},
        "sizes": {"L": [{"N": "1"}, {"N": "2.5"}]},
        "address": {"M": {"city": {"S": "Köln"}, "no": {"L": [{"N": "1"}, {"BOOL": True}]}}},
        "signature": {"B": "AP8="},
        "note": {"S": ""},
        "paid": {"BOOL": True},
        "kind": {"S": "order"},
        "schema": {"N": "2"},
        "version": {"N": version_of(SOURCE.modified, 1, SOURCE.ingestion)},
    }
    columns = ("ordered", "shipped", "total", "tags", "sizes", "address", "signature")
    nothing = {name: {"NULL": True} for name in columns}
    assert empty == {
        "pk": {"S": "CUSTOMER#b@x"},
        "sk": {"S": "ORDER#A-2"},
        "customer": {"S": "b@x"},
        "order": {"S": "A-2"},
        **nothing,
        "note": {"S": "NA"},
        "paid": {"BOOL": False},
        "kind": {"S": "order"},
        "schema": {"N": "2"},
        "version": {"N": version_of(SOURCE.modified, 2, SOURCE.ingestion)},
    }


def test_messages_of_one_row_make_the_same_items() -> None:
    assert load(HEADER + FULL + EMPTY, ORDERS, records_per_message=1) == load(HEADER + FULL + EMPTY, ORDERS)


def test_every_type_is_shown_in_json() -> None:
    ((full, empty), _) = load(HEADER + FULL + EMPTY, ORDERS)
    shown = orjson.loads(orjson.dumps(to_json(full, ORDERS)))
    assert shown["tags"] == ["new", "red"]
    assert shown["sizes"] == [1, 2.5]
    assert shown["address"] == {"city": "Köln", "no": [1, True]}
    assert (shown["signature"], shown["paid"], shown["schema"], shown["note"]) == ("AP8=", True, 2, "")
    assert to_json(empty, ORDERS)["address"] is None


ODD = [
    "",
    " ",
    "NA",
    "n/a",
    "-0",
    "1.234,5",
    "1.23,4",
    "1,5 €",
    "NaN",
    "Infinity",
    "1e5",
    "\uff11",
    "9" * 39,
    "true",
    "0",
]
ODD += [
    "31.01.2024",
    "31.02.2024",
    "01.02.24",
    "2024-01-31",
    "31.03.2024 02:30",
    "27.10.2024 02:30",
    "31.12.9999 23:59",
]
ODD += [
    "01.01.0001 00:00",
    "a|b|a",
    "|",
    "a||b",
    "1 2 1.0",
    "[]",
    "{}",
    "null",
    '{"a":1,"a":2}',
    '{"":1}',
    "[1e400]",
    '"\\ud800"',
]
ODD += [
    "[" * 32 + "]" * 32,
    "[" * 33 + "]" * 33,
    "[1.10]",
    "00FF",
    "0",
    "0g",
    "AP8=",
    "x" * 2_050,
    "\ufffe",
    "\x00",
    "{x}%s",
]
CELLS = st.sampled_from(ODD) | texts(6)
NUMBERS = st.integers(-(10**40), 10**40).map(str).map(NumberText) | st.sampled_from(["1.50", "1e999", "-0.0"]).map(
    NumberText
)
JSON = st.recursive(
    CELLS | NUMBERS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(3), inner, max_size=3),
    max_leaves=6,
)
COLUMNS = tuple(column.name for column in ORDERS.columns)
JSON_HEADER = [".".join(column.path) or column.name for column in ORDERS.columns]


def items_of_rows(header: list[str], origin: Origin, rows: list[list[Any]]) -> Items:
    """Return the items of the good rows, through packed messages."""
    plan = ORDERS.plan(header, origin)
    good, bad = plan.clean(range(1, 1 + len(rows)), rows)
    assert len(good) + len(bad) == len(rows)
    packer = Packer(SOURCE, plan.attributes, max_records=500, max_bytes=1_048_576)
    items = Items(ORDERS)
    for sent in packer.add(good, PROCESSED_AT)[0] + packer.flush(PROCESSED_AT):
        message = parse_message(sent.body.decode(), {}, "id", 5, ORDERS)
        assert isinstance(message, Message)
        items.add(message)
    assert len(items) == len(good)
    return items


def rows_with(cells: st.SearchStrategy[Any]) -> st.SearchStrategy[list[list[Any]]]:
    """Rows of orders of which a few cells are any of `cells`: more, and hardly a row would be good."""
    usual = ["a", "b", *[""] * (len(COLUMNS) - 2)]
    changes = st.dictionaries(st.integers(0, len(COLUMNS) - 1), cells, max_size=2)
    return st.lists(changes.map(lambda some: [some.get(i, cell) for i, cell in enumerate(usual)]), max_size=5)


@settings(max_examples=80)
@given(rows_with(CELLS))
def test_dynamodb_accepts_whatever_the_schema_accepts(rows: list[list[str]]) -> None:
    place = COLUMNS.index("row")
    in_file = [[row[place], *row[:place], *row[place + 1 :]] for row in rows]
    header = ["", *COLUMNS[:place], *COLUMNS[place + 1 :]]
    for put in puts(items_of_rows(header, "csv", in_file)):
        assert item_bytes(put) > sum(map(check_value, put.values()))
        assert put["pk"]["S"] == f"CUSTOMER#{put['customer']['S']}"


@settings(max_examples=60)
@given(rows_with(JSON))
def test_dynamodb_accepts_whatever_the_schema_accepts_of_json(rows: list[list[Any]]) -> None:
    for put in puts(items_of_rows(JSON_HEADER, "json", rows)):
        assert item_bytes(put) > sum(map(check_value, put.values()))
