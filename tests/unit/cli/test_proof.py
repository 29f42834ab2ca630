"""Which items are still as the rows of an object wrote them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.cli.proof import own_keys, proof_attribute, proofs_of
from engine.decimal_text import canonical_number
from engine.identity import ObjectVersion
from engine.item_keys import Key
from engine.jobs.replay import replay
from engine.jobs.verify import rows_of
from engine.messages.message import Message
from engine.schema.model import Schema
from tests.builders.samples import PRODUCTS, SOURCE, USERS, schema_of

USERS_CSV = b"name,mail\n" + b"".join(b"N%d,u%d@x.org\n" % (n, n) for n in range(1, 1_202)) + b",bad\n"
PRODUCTS_CSV = b"article,price\nA,1\nB,2\nA,3\n"
OTHER = SOURCE._replace(key="uploads/other.csv")
KEY_ALONE = """
[key]
partition = "id"
[columns.id]
required = true
"""


def messages(data: bytes, schema: Schema, source: ObjectVersion = SOURCE) -> list[Message]:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    async def read() -> list[Message]:
        parts = replay(chunks(), source, schema)
        return [message async for part in parts for message in part.messages]

    return asyncio.run(read())


def wanted(data: bytes, schema: Schema) -> list[tuple[Key, str]]:
    return [each for message in messages(data, schema) for each in proofs_of(message, schema)]


def written(data: bytes, schema: Schema, source: ObjectVersion = SOURCE) -> list[dict[str, Any]]:
    """The items of a file as DynamoDB returns them: numbers in canonical form."""
    rows = [row for message in messages(data, schema, source) for row in rows_of(message, schema, None, lambda _: True)]
    return [
        {name: {"N": canonical_number(value["N"])} if "N" in value else dict(value) for name, value in row.item.items()}
        for row in rows
    ]


@pytest.mark.parametrize(("data", "schema"), [(USERS_CSV, USERS), (PRODUCTS_CSV, PRODUCTS)], ids=["users", "products"])
def test_keys_are_those_of_the_items_that_are_written(data: bytes, schema: Schema) -> None:
    keys = [key for key, _ in wanted(data, schema)]
    rows = [row for message in messages(data, schema) for row in rows_of(message, schema, None, lambda _: True)]
    assert keys == [row.key for row in rows]


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


def test_version_in_the_key() -> None:
    items = written(USERS_CSV, USERS)
    own = wanted(USERS_CSV, USERS)
    assert list(own_keys(own, items[:3], USERS)) == [key for key, _ in own[:3]]
    assert set(own_keys(own, items[:3], USERS).values()) == {""}
    assert own_keys(own, written(USERS_CSV, USERS, OTHER), USERS) == {}


def test_version_beside_the_key() -> None:
    own = wanted(PRODUCTS_CSV, PRODUCTS)
    newest = {item["sku"]["S"]: item for item in written(PRODUCTS_CSV, PRODUCTS)}
    assert own_keys(own, newest.values(), PRODUCTS) == {("A",): own[2][1], ("B",): own[1][1]}  # row 3 replaced row 1
    assert own_keys(own, written(PRODUCTS_CSV, PRODUCTS, OTHER), PRODUCTS) == {}
    later, foreign = {**newest["A"], "changed": {"N": "1999999999.5"}}, {"sku": {"S": "B"}}
    assert own_keys(own, [later, foreign], PRODUCTS) == {}


def test_ingestion_beside_the_key() -> None:
    schema = schema_of(KEY_ALONE + '[generated]\nrun = "ingestion"\n')
    items = [{"id": {"S": "A"}, "run": {"S": SOURCE.ingestion}}, {"id": {"S": "B"}, "run": {"S": "another"}}]
    assert own_keys(wanted(b"id\nA\nB\nA\n", schema), items, schema) == {("A",): SOURCE.ingestion}
