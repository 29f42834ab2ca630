"""Writing to a real table and reading it: items byte for byte, and each refusal understood for what it is."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.aws.table_reader import TableReader
from engine.aws.table_writer import TableWriter
from engine.aws.types import BATCH_WRITE_ITEM, DESCRIBE_TABLE, QUERY, SCAN
from engine.errors import ConfigError, ServiceError, Verdict
from engine.flow.backoff import NEVER
from engine.identity import split_version
from engine.items import batch_body
from engine.schema.model import Schema
from engine.schema.parse import parse_schema
from tests.builders.messages import MODIFIED, UPLOAD, items_of, received, user_items, user_message
from tests.builders.samples import USERS, version_of
from tests.contract.clouds import Cloud, same_numbers
from tests.contract.lanes import lane_to

pytestmark = pytest.mark.uses("dynamodb")

# Every character that JSON, Python or SQS treat in a way of their own.
ODD = [chr(code) for code in (*range(0x81), 0xA0, 0x2028, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x1F600, 0x10FFFF)]


def put_request(**attributes: Any) -> str:
    key = {"email": {"S": "a@example.com"}, "createdAt": {"N": "1775260800.000000000001"}}
    return json.dumps({"PutRequest": {"Item": {**key, **attributes}}})


def row_of(item: dict[str, Any]) -> int:
    version = split_version(item["createdAt"]["N"])
    assert version is not None
    return version[1]


@asynccontextmanager
async def writer(cloud: Cloud, table: str, schema: Schema = USERS) -> AsyncIterator[TableWriter]:
    async with lane_to(cloud, BATCH_WRITE_ITEM) as write, lane_to(cloud, DESCRIBE_TABLE) as describe:
        yield TableWriter(table, schema, write, describe)


@asynccontextmanager
async def reader(cloud: Cloud, table: str) -> AsyncIterator[TableReader]:
    async with lane_to(cloud, QUERY) as query, lane_to(cloud, SCAN) as scan:
        yield TableReader(table, USERS, query, scan)


async def refusal(cloud: Cloud, *requests: str) -> ServiceError:
    """What the service says to one batch."""
    async with lane_to(cloud, BATCH_WRITE_ITEM) as lane:
        with pytest.raises(ServiceError) as caught:
            await lane.call(batch_body(cloud.table(), ",".join(requests)), NEVER)
    return caught.value


async def test_items_are_read_back_unchanged(cloud: Cloud) -> None:
    table = cloud.table()
    rows = [(row, f"Name {row}", f"user{row}@example.com") for row in range(1, 61)] + [(61, "", "größe+€ @example.com")]
    odd = [(100 + i, f"{character}x", f"{character}@x.org") for i, character in enumerate(ODD)]
    each_alone = [user_message([row]) for row in odd]
    async with writer(cloud, table) as users:
        outcome = await users.write(items_of(user_message(rows), *each_alone, ttl_days=30), NEVER)
    assert all(outcome.written)
    found = {row_of(item): same_numbers(item) for item in cloud.items(table)}
    assert found == {
        row: same_numbers(
            {
                "name": {"S": name},
                "email": {"S": email},
                "phone": {"S": "N/A"},
                "createdAt": {"N": version_of(MODIFIED, row, UPLOAD.ingestion)},
                "processedAt": {"S": "2026-04-04T00:00:01.234Z"},
                "expirationTime": {"N": str(MODIFIED + 30 * 86_400)},
            }
        )
        for row, name, email in [*rows, *odd]
    }


async def test_numbers_keep_all_digits(cloud: Cloud) -> None:
    schema = parse_schema(
        'version = 1\ncollection = "c"\n[key]\npartition = "sku"\n[columns.sku]\nrequired = true\ntype = "N"\n'
        '[columns.price]\ntype = "N"\n[columns.sold]\ntype = "BOOL"\n',
        "c.toml",
    )
    numbers = ["0", "-1", "9" * 38, "0." + "0" * 91 + "9" * 38, "1" + "0" * 125, "-0.1"]
    rows = [[row, str(row), number, row % 2 == 0] for row, number in enumerate(numbers, 1)]
    table = cloud.table({"sku": "N"})
    async with writer(cloud, table, schema) as products:
        outcome = await products.write(
            items_of(received(rows, ("sku", "price", "sold"), schema=schema), schema=schema), NEVER
        )
    assert all(outcome.written)
    found = {item["sku"]["N"]: same_numbers(item) for item in cloud.items(table)}
    assert found == {
        str(sku): same_numbers({"sku": {"N": str(sku)}, "price": {"N": str(number)}, "sold": {"BOOL": sold}})
        for _, sku, number, sold in rows
    }


async def test_writing_twice_changes_nothing(cloud: Cloud) -> None:
    table = cloud.table()
    async with writer(cloud, table) as users:
        await users.write(user_items(77), NEVER)
        before = cloud.items(table)
        await users.write(user_items(77), NEVER)
    assert len(before) == 77
    assert cloud.items(table) == before


async def test_large_items_are_sent_in_fewer_than_25(cloud: Cloud) -> None:
    table = cloud.table()
    async with writer(cloud, table) as users:
        outcome = await users.write(user_items(45, name="x" * 390_000), NEVER)
    assert all(outcome.written)
    assert len(cloud.items(table)) == 45


@pytest.mark.gaps(moto="takes more than 25")
async def test_26_items_are_refused(cloud: Cloud) -> None:
    error = await refusal(cloud, user_items(26).text(range(26)))
    assert error.verdict is Verdict.POISON


@pytest.mark.gaps(moto="compares how numbers are written, not their values")
async def test_duplicate_key_in_batch_is_refused(cloud: Cloud) -> None:
    error = await refusal(cloud, put_request(), put_request(createdAt={"N": "1775260800.0000000000010"}))
    assert error.verdict is Verdict.POISON
    assert "duplicates" in error.detail


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"email": {"S": ""}}, id="empty"),
        pytest.param({"email": {"S": "é" * 1_025}}, id="long partition key"),
        pytest.param({"note": {"S": "x" * 410_000}}, id="over 400 KB"),
        pytest.param({"note": {"N": "abc"}}, id="no number"),
    ],
)
async def test_invalid_item_is_poison(cloud: Cloud, wrong: dict[str, Any]) -> None:
    error = await refusal(cloud, put_request(**wrong))
    assert (error.code, error.status, error.verdict) == ("ValidationException", 400, Verdict.POISON)


@pytest.mark.gaps(moto="takes numbers of any length")
async def test_number_of_39_digits_is_poison(cloud: Cloud) -> None:
    assert (await refusal(cloud, put_request(note={"N": "1" * 39}))).verdict is Verdict.POISON


@pytest.mark.parametrize(
    "keys",
    [
        {"email": "S", "createdAt": "S"},
        {"email": "N", "createdAt": "N"},
        {"sku": "S"},
        {"email": "S", "at": "N"},
        {"email": "S"},
        {"createdAt": "N", "email": "S"},
    ],
    ids=str,
)
async def test_table_with_other_key_is_config_error(cloud: Cloud, keys: dict[str, str]) -> None:
    table = cloud.table(keys)
    async with writer(cloud, table) as users:
        with pytest.raises(ConfigError, match="TABLE_NAME: the key of the table"):
            await users.write(user_items(60), NEVER)
    assert cloud.items(table) == []


async def test_missing_table_is_fatal(cloud: Cloud) -> None:
    async with writer(cloud, "no-such-table") as users:
        with pytest.raises(ServiceError, match="ResourceNotFoundException") as caught:
            await users.write(user_items(60), NEVER)
    assert caught.value.verdict is Verdict.FATAL
    async with reader(cloud, "no-such-table") as found:
        with pytest.raises(ServiceError, match="ResourceNotFoundException"):
            await found.scan(NEVER, limit=1)


async def test_poison_item_is_isolated(cloud: Cloud) -> None:
    table = cloud.table()
    rows = [(row, "x" * 410_000 if row == 34 else f"Name {row}", f"user{row}@x.org") for row in range(1, 61)]
    some = items_of(user_message(rows))
    async with writer(cloud, table) as users:
        outcome = await users.write(some, NEVER)
    assert set(outcome.refused) == {33}
    assert "ValidationException" in outcome.refused[33]
    assert sum(outcome.written) == len(cloud.items(table)) == 59


async def test_query_is_newest_first_in_pages(cloud: Cloud) -> None:
    table = cloud.table()
    async with writer(cloud, table) as users:
        versions = [(row, f"Name {row}", "ab"[row > 25] + "@example.com") for row in range(1, 29)]
        await users.write(items_of(user_message(versions)), NEVER)
    async with reader(cloud, table) as found:
        rows: list[str] = []
        start = None
        while True:
            page = await found.query("a@example.com", NEVER, newest_first=True, limit=10, start_key=start)
            assert len(page.items) <= 10
            rows += [item["name"]["S"] for item in page.items]
            if page.last_key is None:
                break
            start = page.last_key
        oldest = await found.query("a@example.com", NEVER, newest_first=False, limit=1)
        nobody = await found.query("nobody@example.com", NEVER, newest_first=True, limit=1)
    assert rows == [f"Name {row}" for row in range(25, 0, -1)]
    assert oldest.items[0]["name"]["S"] == "Name 1"
    assert (nobody.items, nobody.last_key) == ([], None)


async def test_scan_returns_partitions_whole_oldest_first(cloud: Cloud) -> None:
    # What the list of the query API rests on; a service that does otherwise would break it.
    table = cloud.table()
    shuffled = [(row * 7 % 60 + 1, f"Name {row}", f"user{row % 5}@example.com") for row in range(60)]
    async with writer(cloud, table) as users:
        await users.write(items_of(user_message(shuffled)), NEVER)
    seen: list[tuple[str, int]] = []
    start = None
    async with reader(cloud, table) as found:
        while True:
            page = await found.scan(NEVER, limit=7, start_key=start)
            seen += [(item["email"]["S"], row_of(item)) for item in page.items]
            if page.last_key is None:
                break
            start = page.last_key
    assert len(seen) == 60
    first_seen = list(dict.fromkeys(email for email, _ in seen))
    assert seen == sorted(seen, key=lambda each: (first_seen.index(each[0]), each[1]))
