"""Which items a file must have become: exactly those that the functions write."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.cli.expected import Expected, expected, take_found, wire_key
from engine.convert import Converter
from engine.items import Items, canonical_key
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.schema.model import Schema
from tests.builders.samples import PRODUCTS, SOURCE, USERS

USERS_CSV = b"name,mail\n" + b"".join(b"N%d,u%d@x.org\n" % (n, n) for n in range(1, 1_202)) + b",bad\n"
PRODUCTS_CSV = b"article,price\nA,1\nB,2\nA,3\n"


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1_000):
        yield data[start : start + 1_000]


def all_expected(data: bytes, schema: Schema) -> list[Expected]:
    async def read() -> list[Expected]:
        return [group async for group in expected(_chunks(data), SOURCE, schema)]

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
    wanted = [key for group in all_expected(data, schema) for key in group.rows.values()]
    items = written(data, schema)
    assert len(wanted) == len(items)
    assert wanted == [
        canonical_key((schema.types[name], item[name][schema.types[name]]) for name in schema.keys) for item in items
    ]
    assert all(wire_key(key, schema).keys() == set(schema.keys) for key in wanted)


def test_rows_are_found_when_their_items_are_there() -> None:
    group, *_ = all_expected(USERS_CSV, USERS)
    items = written(USERS_CSV, USERS)
    assert take_found(group, items[100:], USERS) == len(all_expected(USERS_CSV, USERS)[0].rows) - 100
    assert sorted(group.rows) == list(range(1, 101))
    assert take_found(group, items, USERS) == 100
    assert not group.rows


def test_another_file_of_the_same_second_is_not_taken_for_this_one() -> None:
    group, *_ = all_expected(USERS_CSV, USERS)
    other = SOURCE._replace(key="uploads/other.csv")
    converter = Converter(other, USERS, records_per_message=500, max_message_bytes=61_440)
    message = parse_message(
        next(m.body for c in converter.feed(USERS_CSV, "t") for m in c.messages).decode(), {}, "id", 5, USERS
    )
    assert isinstance(message, Message)
    items = Items(USERS)
    items.add(message)
    found = [put["PutRequest"]["Item"] for put in json.loads(f"[{items.text(range(len(items)))}]")]
    assert take_found(group, found, USERS) == 0


def test_without_a_version_in_the_key_an_older_item_is_not_this_row() -> None:
    (group,) = all_expected(PRODUCTS_CSV, PRODUCTS)
    assert group.versions.keys() == {1, 2, 3}
    old = {"sku": {"S": "B"}, "changed": {"N": "1.5"}}
    assert take_found(group, [old], PRODUCTS) == 0
    foreign = {"sku": {"S": "B"}}
    assert take_found(group, [foreign], PRODUCTS) == 0
    newest = {item["sku"]["S"]: item for item in written(PRODUCTS_CSV, PRODUCTS)}
    assert take_found(group, list(newest.values()), PRODUCTS) == 3  # row 3 has replaced row 1
