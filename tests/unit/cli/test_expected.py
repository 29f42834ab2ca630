"""Which items a file must have become: exactly those that the functions write."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

import pytest

from engine.cli.expected import Group, converter_of, expected, proof_attribute, rows_found, wire_key
from engine.convert import Converter
from engine.items import Items, canonical_key
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.schema.model import Schema
from tests.builders.samples import PRODUCTS, SOURCE, USERS, schema_of

USERS_CSV = b"name,mail\n" + b"".join(b"N%d,u%d@x.org\n" % (n, n) for n in range(1, 1_202)) + b",bad\n"
PRODUCTS_CSV = b"article,price\nA,1\nB,2\nA,3\n"


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1_000):
        yield data[start : start + 1_000]


def all_expected(data: bytes, schema: Schema) -> list[Group]:
    async def read() -> list[Group]:
        return [group async for group in expected(_chunks(data), converter_of(SOURCE, schema), schema)]

    return asyncio.run(read())


def written(data: bytes, schema: Schema) -> list[dict[str, Any]]:
    """The items that producer and worker make of a file."""
    converter = Converter(SOURCE, schema, records_per_message=7, max_message_bytes=61_440)
    bodies = [m.body for c in converter.feed(data, "t") for m in c.messages]
    bodies += [m.body for c in converter.finish("t") for m in c.messages]
    items = Items(schema)
    for body in bodies:
        message = parse_message(body.decode(), {}, "id", 5, schema)
        assert isinstance(message, Message)
        items.add(message)
    return [put["PutRequest"]["Item"] for put in json.loads(f"[{items.text(range(len(items)))}]")]


@pytest.mark.parametrize(("data", "schema"), [(USERS_CSV, USERS), (PRODUCTS_CSV, PRODUCTS)], ids=["users", "products"])
def test_keys_are_those_of_the_items_that_are_written(data: bytes, schema: Schema) -> None:
    wanted = [want.key for group in all_expected(data, schema) for want in group.values()]
    items = written(data, schema)
    assert len(wanted) == len(items)
    assert wanted == [
        canonical_key((schema.types[name], item[name][schema.types[name]]) for name in schema.keys) for item in items
    ]
    assert all(wire_key(key, schema).keys() == set(schema.keys) for key in wanted)


def test_rows_are_found_when_their_items_are_there() -> None:
    group, *_ = all_expected(USERS_CSV, USERS)
    items = written(USERS_CSV, USERS)
    assert rows_found(group, items[100:], USERS) == list(group)[100:]
    assert rows_found(group, items, USERS) == list(group)
    assert rows_found(group, [], USERS) == []


def test_another_file_of_the_same_second_is_not_taken_for_this_one() -> None:
    group, *_ = all_expected(USERS_CSV, USERS)
    other = SOURCE._replace(key="uploads/other.csv")
    converter = Converter(other, USERS, records_per_message=500, max_message_bytes=61_440)
    converted = chain(converter.feed(USERS_CSV, "t"), converter.finish("t"))
    body = next(message.body for each in converted for message in each.messages)
    message = parse_message(body.decode(), {}, "id", 5, USERS)
    assert isinstance(message, Message)
    items = Items(USERS)
    items.add(message)
    found = [put["PutRequest"]["Item"] for put in json.loads(f"[{items.text(range(len(items)))}]")]
    assert rows_found(group, found, USERS) == []


def test_older_item_is_not_the_row_where_the_version_is_beside_the_key() -> None:
    (group,) = all_expected(PRODUCTS_CSV, PRODUCTS)
    old = {"sku": {"S": "B"}, "changed": {"N": "1.5"}}
    foreign = {"sku": {"S": "B"}}
    assert rows_found(group, [old, foreign], PRODUCTS) == []
    newest = {item["sku"]["S"]: item for item in written(PRODUCTS_CSV, PRODUCTS)}
    assert rows_found(group, list(newest.values()), PRODUCTS) == [1, 2, 3]  # row 3 has replaced row 1


KEY_ALONE = """
[key]
partition = "id"
[columns.id]
required = true
"""


@pytest.mark.parametrize(
    ("generated", "proof"),
    [
        ("", None),
        ('[generated]\nat = "modified"\n', None),
        ('[generated]\nrun = "ingestion"\n', "run"),
        ('[generated]\nrun = "ingestion"\nv = "version"\n', "v"),
    ],
    ids=["nothing", "modified", "ingestion", "version"],
)
def test_attribute_that_shows_which_object_an_item_is_from(generated: str, proof: str | None) -> None:
    assert proof_attribute(schema_of(KEY_ALONE + generated)) == proof


def test_ingestion_beside_the_key_must_be_the_objects_own() -> None:
    schema = schema_of(KEY_ALONE + '[generated]\nrun = "ingestion"\n')
    (group,) = all_expected(b"id\nA\nB\n", schema)
    items = [{"id": {"S": "A"}, "run": {"S": SOURCE.ingestion}}, {"id": {"S": "B"}, "run": {"S": "another"}}]
    assert rows_found(group, items, schema) == [1]


def test_without_proof_the_key_alone_counts() -> None:
    schema = schema_of(KEY_ALONE)
    (group,) = all_expected(b"id\nA\nB\n", schema)
    assert rows_found(group, [{"id": {"S": "B"}}], schema) == [2]
