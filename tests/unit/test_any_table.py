"""A file with every type of value, from its bytes to the items in the table and the API's JSON."""

from typing import Any

import orjson

from engine.convert import Converter
from engine.items import Items
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.queries import to_json
from engine.reading.block import Reject
from engine.schema.model import Schema
from tests.builders.messages import puts
from tests.builders.samples import ORDERS, PROCESSED_AT, SOURCE, version_of

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
