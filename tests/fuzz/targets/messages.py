"""The body of an SQS message -> items, as the worker makes them."""

import json
from typing import Any

import orjson

from engine.errors import MalformedMessage
from engine.items import Items, batches
from engine.messages.message import Message, Refused
from engine.messages.parse import parse_message
from engine.schema.model import Schema
from tests.builders.messages import packed, users
from tests.builders.newest import NEWEST, article_message
from tests.builders.samples import ORDERS, PRODUCTS, USERS
from tests.fuzz.documents import DRAWN, changed
from tests.fuzz.source import Source, seed

SCHEMAS = (USERS, PRODUCTS, ORDERS, NEWEST)

BODIES: list[Any] = [
    packed(users(1, 3)),
    article_message([(1, "A-1", "1.5"), (2, "A-2", "2")]),
    packed([[1, "a", "b", {"x": {"S": "y"}, "l": {"L": [{"N": "1"}]}}]], columns=("name", "email", "")),
    {"name": "John Doe", "mail": "john@gmail.com", "phone": "9876543210"},
    {"sku": "A-1", "price": 1.50, "active": True, "colour": None, "stock": "12"},
    {"customer": "a", "order": "1", "tags": ["x", "y"], "sizes": [1, 2.5], "address": {"city": [1e5, None]}},
]
ATTRIBUTES: tuple[dict[str, Any], ...] = (
    {},
    {"modified": {"stringValue": "5", "dataType": "Number"}},
    {"modified": {"stringValue": None, "dataType": "Binary"}},
    {"x": {}},
)
SEEDS = [
    seed(orjson.dumps(packed(users(1, 3)))),
    seed(orjson.dumps(BODIES[1]), 11) + b"\3",
    *(drawn + bytes([1, number]) for number, drawn in enumerate(DRAWN)),
    *(bytes([5, 3, 17, 0, 2, kind, 1, schema]) for kind, schema in enumerate((0, 3, 0, 0, 1, 2))),
    seed(
        orjson.dumps(
            packed([[1, "a", "b", {"x": {"S": "y"}, "l": {"L": [{"N": "1"}]}}]], columns=("name", "email", ""))
        )
    ),
    seed('{"name":"John Doe","mail":"john@gmail.com","phone":"9876543210"}'),
    seed('{"sku":"A-1","price":1.50,"active":true,"colour":null,"stock":"12"}', 11) + b"\1",
    seed('{"customer":"a","order":"1","tags":["x","y"],"sizes":[1,2.5],"address":{"city":[1e5,null]}}', 11) + b"\2",
]
TOKENS = [
    *(b'"v":1', b'"rows":[', b'"columns":[', b'"object":{', b'"span":', b'"message":', b'"processedAt":', b'"modified":'),
    *(b"null", b"true", b"1e400", b"-0", b"0.1", b"12345678901234567890", b'"\\u0000"', b'"\\"', b"[[],", b"{}"),
    *(b'{"S":"', b'{"N":"1"}', b'{"L":[', b'{"M":{', b'"name"', b'"email"', b'"sku"', b'"price"', b'"\xef\xbf\xbf"', b'""'),
]  # fmt: skip


def check(data: bytes) -> None:
    """A body is a message, a refusal or malformed; all rows become items with the whole key, in JSON of one meaning."""
    source = Source(data)
    schema = source.pick(SCHEMAS)
    body = body_in(source)
    attributes = source.pick(ATTRIBUTES)
    try:
        message = parse_message(body, attributes, "id", 5, schema)
    except MalformedMessage as error:
        assert "\n" not in str(error) and len(str(error)) < 300  # noqa: PT018
        return
    if isinstance(message, Refused):
        assert message.reason
        return
    written = items_of(message, schema)
    assert len(written) == len(message.numbers)


def body_in(source: Source) -> str:
    """The text of a body: the bytes themselves, or a good one with some changes."""
    if source.below(2):
        return json.dumps(changed(source.pick(BODIES), source), ensure_ascii=bool(source.below(2)))
    return source.rest(20_000).decode("utf-8", "replace")


def items_of(message: Message, schema: Schema) -> list[dict[str, object]]:
    """The items of a message, each of which must be in a batch once."""
    items = Items(schema, 30)
    own = items.add(message)
    found: dict[int, dict[str, object]] = {}
    for wave in items.waves():
        for batch in batches(wave):
            requests = orjson.loads(f"[{items.text(batch)}]")
            assert len(requests) == len(batch)
            for index, request in zip(batch, requests, strict=True):
                assert index not in found
                item = request["PutRequest"]["Item"]
                assert all(list(item[name]) == [schema.types[name]] for name in schema.keys)
                found[index] = item
    assert sorted(found) == list(own)
    return [found[index] for index in own]
