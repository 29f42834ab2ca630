"""Conditional writes to a real table: which version stays, and what the service answers to the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from engine.aws.newest_writer import NewestWriter
from engine.aws.types import DESCRIBE_TABLE, PUT_ITEM
from engine.errors import ServiceError, Verdict
from engine.flow.backoff import NEVER
from engine.items import Items, put_body
from tests.builders.messages import MODIFIED, items_of, puts
from tests.builders.newest import NEWEST, article_items, article_of, articles
from tests.contract.clouds import Cloud, same_numbers
from tests.contract.lanes import lane_to

pytestmark = pytest.mark.uses("dynamodb")

KEY = {"sku": "S"}


@asynccontextmanager
async def writer(cloud: Cloud, table: str) -> AsyncIterator[NewestWriter]:
    async with lane_to(cloud, PUT_ITEM) as write, lane_to(cloud, DESCRIBE_TABLE) as describe:
        yield NewestWriter(table, NEWEST, write, describe)


async def put(cloud: Cloud, table: str, items: Items, index: int = 0) -> None:
    async with lane_to(cloud, PUT_ITEM) as lane:
        await lane.call(put_body(table, items, index), NEVER)


async def refusal(cloud: Cloud, table: str, items: Items) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await put(cloud, table, items)
    return caught.value


def only(cloud: Cloud, table: str) -> Any:
    (item,) = map(same_numbers, cloud.items(table))
    return item


async def test_items_are_read_back_unchanged(cloud: Cloud) -> None:
    table = cloud.table(KEY)
    items = article_items(articles(30, key='ä€"\\ {}'))
    async with writer(cloud, table) as newest:
        outcome = await newest.write(items, NEVER)
    assert all(outcome.written)
    found = sorted(map(same_numbers, cloud.items(table)), key=lambda item: item["sku"]["S"])
    assert found == sorted(map(same_numbers, puts(items)), key=lambda item: item["sku"]["S"])


async def test_lower_version_fails_the_condition(cloud: Cloud) -> None:
    table = cloud.table(KEY)
    newer, older = (
        items_of(article_of([(3, "A", "2")]), schema=NEWEST),
        items_of(article_of([(2, "A", "1")]), schema=NEWEST),
    )
    await put(cloud, table, newer)
    error = await refusal(cloud, table, older)
    assert (error.code, error.status) == ("ConditionalCheckFailedException", 400)
    assert only(cloud, table)["price"] == 2


@pytest.mark.parametrize("change", [0, 1, 10**8], ids=["same", "next row", "later upload"])
async def test_equal_and_higher_versions_are_written(cloud: Cloud, change: int) -> None:
    table = cloud.table(KEY)
    await put(cloud, table, items_of(article_of([(10**12 - 2, "A", "1")], modified=MODIFIED), schema=NEWEST))
    row, modified = (10**12 - 2 + change, MODIFIED) if change < 2 else (1, MODIFIED + change)
    again = items_of(article_of([(row, "A", "2")], modified=modified), schema=NEWEST)
    await put(cloud, table, again)
    item = only(cloud, table)
    assert item["price"] == 2
    # All 32 digits are compared and kept: the float of both versions is the same.
    assert item["version"] == Decimal(puts(again)[0]["version"]["N"])


async def test_item_without_a_version_is_replaced(cloud: Cloud) -> None:
    table = cloud.table(KEY)
    cloud.dynamodb.put_item(TableName=table, Item={"sku": {"S": "A"}, "note": {"S": "by hand"}})
    await put(cloud, table, items_of(article_of([(1, "A", "1")]), schema=NEWEST))
    assert set(only(cloud, table)) == {"sku", "price", "version"}


async def test_writer_keeps_the_highest_version_of_each_key(cloud: Cloud) -> None:
    table = cloud.table(KEY)
    async with writer(cloud, table) as newest:
        first = await newest.write(article_items(articles(20, price="2"), []), NEVER)
        second = await newest.write(article_items([], articles(30, price="1")), NEVER)
        third = await newest.write(article_items(articles(5, price="3"), articles(5, price="2"), []), NEVER)
    assert [len(outcome.superseded) for outcome in (first, second, third)] == [0, 20, 5]
    assert all(all(outcome.written) for outcome in (first, second, third))
    prices = {item["sku"]["S"]: item["price"] for item in map(same_numbers, cloud.items(table))}
    assert prices == {f"A-{row}": 3 if row <= 5 else 2 if row <= 20 else 1 for row in range(1, 31)}


async def test_item_that_is_wrong_in_itself_gives_way_to_the_next_version(cloud: Cloud) -> None:
    table = cloud.table(KEY)
    wrong = "é" * 1_025
    refused = items_of(article_of([(1, wrong, "1")]), schema=NEWEST)
    assert (await refusal(cloud, table, refused)).verdict is Verdict.POISON
    async with writer(cloud, table) as newest:
        outcome = await newest.write(article_items([(1, wrong, "1"), (2, "B", "1")], [(1, wrong, "0")]), NEVER)
    assert set(outcome.refused) == {0, 2}
    assert [item["sku"]["S"] for item in cloud.items(table)] == ["B"]


async def test_table_that_is_not_there_is_a_wrong_setting(cloud: Cloud) -> None:
    error = await refusal(cloud, "no-such-table", article_items(articles(1)))
    assert (error.code, error.verdict) == ("ResourceNotFoundException", Verdict.FATAL)
