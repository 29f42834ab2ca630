"""`conflict = "newest"`: whatever comes in whatever order, each key ends with its highest version; a slow table too."""

import logging
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.identity import ObjectVersion
from engine.schema.parse import parse_schema
from tests.builders.messages import MODIFIED, Json
from tests.builders.newest import NEWEST, NEWEST_TOML, Article, article_message, articles
from tests.builders.samples import version_of
from tests.fakeaws.capacity import TokenBucket
from tests.fakeaws.dynamodb import Table
from tests.fakeaws.in_memory import Server
from tests.fakeaws.virtual_time import run
from tests.simulation.workers import Pond

REPLACE = parse_schema(NEWEST_TOML.replace('"newest"', '"replace"'), "articles.toml")


@pytest.fixture(autouse=True)
def _quiet_and_the_same_each_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "millpond")
    random.seed(1)


def drain(pond: Pond, bodies: list[Json]) -> float:
    """Let the workers empty a queue of these messages; return the seconds that took."""

    async def scenario() -> float:
        pond.send(bodies)
        return await pond.drain()

    return run(scenario())


def highest(bodies: list[Json]) -> dict[str, str]:
    """The version that each key must end with."""
    versions: dict[str, tuple[int, int, str]] = {}
    for body in bodies:
        modified = body["object"]["modified"]
        ingestion = ObjectVersion(**body["object"]).ingestion
        for row, key, _ in body["rows"]:
            found = (modified, row, version_of(modified, row, ingestion))
            versions[key] = max(versions.get(key, found), found)
    return {key: version for key, (_, _, version) in versions.items()}


def held(pond: Pond) -> dict[str, str]:
    """The version that each key has."""
    return {key: item["version"]["N"] for (key,), item in pond.table.items.items()}


UPLOADS = st.lists(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from("ABCDEF"), st.just("1")), max_size=6), min_size=1, max_size=5
)


@settings(max_examples=60)
@given(uploads=UPLOADS, order=st.randoms(use_true_random=False), twice=st.integers(0, 4), batch=st.integers(1, 4))
def test_each_key_ends_with_its_highest_version(
    uploads: list[list[Article]], order: random.Random, twice: int, batch: int
) -> None:
    # Some uploads are of the same second: then the row number decides, and then the ingestion.
    bodies = [article_message(rows, modified=MODIFIED + i // 2, number=i) for i, rows in enumerate(uploads)]
    for i, body in enumerate(bodies):
        body["object"]["key"] = f"{i}.csv"
    delivered = bodies + order.choices(bodies, k=twice)
    order.shuffle(delivered)
    pond = Pond(Table({"sku": "S"}), Server(order.uniform(0.01, 3)), schema=NEWEST)
    groups = [delivered[at : at + batch] for at in range(0, len(delivered), batch)]

    async def scenario() -> None:
        for group in groups:
            pond.send(group)
            if order.random() < 0.5:
                await pond.drain()
        await pond.drain()

    run(scenario())
    assert held(pond) == highest(bodies)


def test_with_replace_the_same_order_keeps_an_older_version() -> None:
    """The property can fail: this is what the order of delivery does to a table that replaces."""
    newer, older = article_message(articles(5), modified=MODIFIED + 1), article_message(articles(5))
    for schema, is_kept in ((NEWEST, True), (REPLACE, False)):
        pond = Pond(Table({"sku": "S"}), schema=schema)
        drain(pond, [newer])
        drain(pond, [older])
        assert (held(pond) == highest([newer, older])) is is_kept


@pytest.mark.parametrize(("capacity", "rows"), [(5, 25), (100, 250), (500, 500)])
def test_throttling_dead_letters_nothing(capacity: int, rows: int) -> None:
    bodies = [
        article_message(articles(rows, start=number % 20 * rows + 1), modified=MODIFIED + number // 20, number=number)
        for number in range(40)
    ]
    random.shuffle(bodies)
    pond = Pond(Table({"sku": "S"}, TokenBucket(capacity, tokens=0)), schema=NEWEST)
    seconds = drain(pond, bodies)
    assert (len(pond.dead.held), pond.returned) == (0, 0)
    assert held(pond) == highest(bodies)
    assert pond.dynamodb.calls["BatchWriteItem"] == 0
    # Each row takes at most one unit: hardly a row is put twice.
    assert 40 * rows / (capacity * seconds) >= 0.8


@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_server_that_answers_one_call_at_a_time_does_little_work_twice(seconds: float) -> None:
    bodies = [article_message(articles(25, start=number * 25 + 1), number=number) for number in range(8)]
    pond = Pond(Table({"sku": "S"}), Server(seconds, workers=1), schema=NEWEST)
    took = drain(pond, bodies)
    assert (len(pond.dead.held), pond.returned) == (0, 0)
    assert held(pond) == highest(bodies)
    assert sum(pond.table.writes.values()) <= 1.05 * 200
    assert 200 * seconds / took >= 0.95
