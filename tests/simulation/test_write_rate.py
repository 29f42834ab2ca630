"""`WRITE_RATE`: any number of workers together write at the stated rate, within 2% in any ten seconds."""

import asyncio
import logging
import random
from collections.abc import Coroutine, Mapping
from itertools import accumulate
from typing import Any

import pytest

from engine.accounts import Account
from engine.errors import ServiceError, Verdict
from engine.flow.attempts import now
from engine.flow.backoff import NEVER
from tests.builders.messages import UPLOAD, Json, packed, users
from tests.builders.newest import NEWEST, article_message, articles
from tests.fakeaws.capacity import TokenBucket
from tests.fakeaws.dynamodb import Table, Write
from tests.fakeaws.virtual_time import run
from tests.simulation.workers import Pond

WINDOW = 10
"""Seconds."""


@pytest.fixture(autouse=True)
def _quiet_and_the_same_each_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "millpond")
    random.seed(1)


class Metered(Table):
    """A table that keeps what was written in each tenth of a second; with an index, all writes cost double."""

    def __init__(self, key: dict[str, str], *, has_index: bool = False) -> None:
        super().__init__(key)
        self.by_tenth: dict[int, int] = {}
        self._factor = 1 + has_index

    def checked(self, item: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
        """Return the key of an item and what it costs."""
        key, units = super().checked(item)
        return key, units * self._factor

    def admitted(self, writes: list[Write], now: float) -> list[bool]:
        """Take all writes, and note their units."""
        tenth = int(now * 10)
        self.by_tenth[tenth] = self.by_tenth.get(tenth, 0) + sum(write.units for write in writes)
        return super().admitted(writes, now)

    def windows(self, first: float, last: float) -> list[float]:
        """Units a second in every window between these moments, one for each tenth of a second."""
        sums = [0, *accumulate(self.by_tenth.get(tenth, 0) for tenth in range(int(last * 10) + 1))]
        size = WINDOW * 10
        return [(sums[at + size] - sums[at]) / WINDOW for at in range(int(first * 10), int(last * 10) - size)]


def metered(*, has_index: bool = False) -> Metered:
    return Metered({"email": "S", "createdAt": "N"}, has_index=has_index)


def fill(pond: Pond, units: int) -> None:
    """Fill the queue with rows of about one to four units each, so many units in all."""
    draw = random.Random(7)
    bodies: list[Json] = []
    rows = total = 0
    while total < units:
        own = users(rows + 1, rows + 20)
        for row in own:
            size = draw.choice((10, 10, 900, 1500, 3500))
            row[1] = "x" * size
            total += 1 + (size + 100) // 1024
        bodies.append(packed(own, number=len(bodies)))
        rows += 20
    pond.send(bodies)


def check(pond: Pond, table: Metered, rate: int, until: float, *, since: float = 0, within: float = 0.02) -> None:
    windows = table.windows(since, until)
    assert windows
    assert max(windows) <= (1 + within) * rate, max(windows) / rate
    assert min(windows) >= (1 - within) * rate, min(windows) / rate
    assert (len(pond.dead.held), pond.returned) == (0, 0)


@pytest.mark.parametrize(
    ("rate", "workers"), [(20, 10), (100, 1), (100, 3), (100, 30), (500, 10), (2_000, 1), (2_000, 30)]
)
def test_workers_together_obey_the_rate(rate: int, workers: int) -> None:
    table, seconds = metered(), 120
    pond = Pond(table, write_rate=rate, workers=workers)

    async def scenario() -> float:
        fill(pond, rate * seconds)
        return await pond.drain()

    took = run(scenario())
    assert len(table.items) == pond.rows
    # In the end too few messages are left for all workers.
    check(pond, table, rate, 0.8 * seconds)
    assert took >= 0.95 * seconds
    # One call to the ledger for each second of the rate, and one or two where an invocation begins and ends. Workers
    # for which there is no slot within ten seconds ask again, with two calls every few seconds.
    asking = max(0, workers - 10)
    assert pond.dynamodb.calls["UpdateItem"] <= 2 * pond.invocations + (3 + asking / 2) * took


@pytest.mark.parametrize(("rate", "workers"), [(100, 30), (500, 10)])
def test_workers_learn_what_an_index_costs(rate: int, workers: int) -> None:
    table, seconds = metered(has_index=True), 120
    pond = Pond(table, write_rate=rate, workers=workers)

    async def scenario() -> None:
        fill(pond, rate * seconds // 2)
        await pond.drain()

    run(scenario())
    assert len(table.items) == pond.rows
    # Each worker learns it from its first calls.
    check(pond, table, rate, 0.8 * seconds, since=15, within=0.05)


def test_rate_and_accounts_share_a_ledger() -> None:
    table, rate, seconds = metered(), 200, 60
    pond = Pond(table, write_rate=rate, workers=3, ledger=Table({"ingestion": "S", "part": "S"}))

    async def scenario() -> Account:
        fill(pond, rate * seconds)
        await pond.drain()
        return await pond.accounting().ledger.account(UPLOAD.ingestion, NEVER)

    account = run(scenario())
    assert account.counts()["written"] == len(table.items) == pond.rows
    check(pond, table, rate, 0.8 * seconds)


def during(work: Coroutine[Any, Any, None], seconds: float) -> Coroutine[Any, Any, None]:
    """A worker that is killed after so many seconds."""

    async def scenario() -> None:
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError:
            pass

    return scenario()


def test_number_of_workers_changes_and_some_are_killed() -> None:
    table, rate, seconds = metered(), 1_000, 200
    pond = Pond(table, write_rate=rate, workers=2)

    async def scenario() -> None:
        fill(pond, rate * seconds)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pond.drain())
            for start in range(20, 120, 20):
                await asyncio.sleep(max(0.0, start - now()))
                for _ in range(3):
                    tasks.create_task(during(pond.poll(), 33))

    run(scenario())
    assert len(table.items) == pond.rows
    windows = table.windows(0, 0.7 * seconds)
    assert max(windows) <= 1.02 * rate
    # Three workers are killed at once: each may lose the slot of a second that it has reserved.
    assert min(windows) >= 0.65 * rate
    assert sum(windows) / len(windows) >= 0.9 * rate
    assert len(pond.dead.held) == 0


def test_rate_below_what_the_queue_needs_fails_no_receive() -> None:
    table = metered()
    pond = Pond(table, write_rate=50)

    async def scenario() -> float:
        pond.fill(20, 500)
        return await pond.drain()

    took = run(scenario())
    assert len(table.items) == 10_000
    assert (len(pond.dead.held), pond.returned) == (0, 0)
    assert 190 <= took <= 230


def test_conditional_puts_obey_the_rate_too() -> None:
    table = Metered({"sku": "S"})
    pond = Pond(table, schema=NEWEST, write_rate=500)
    bodies = [article_message(articles(200, start=number * 200 + 1), number=number) for number in range(200)]

    async def scenario() -> float:
        pond.send(bodies)
        return await pond.drain()

    run(scenario())
    assert len(table.items) == 40_000
    check(pond, table, 500, 60)


@pytest.mark.parametrize("key", [{"wrong": "S"}, None])
def test_ledger_that_cannot_be_used_stops_the_worker_and_rejects_no_row(key: dict[str, str] | None) -> None:
    table = metered()
    pond = Pond(table, write_rate=500, workers=1)
    if key is None:
        del pond.backend.dynamodb.tables["ledger"]
    else:
        pond.backend.dynamodb.tables["ledger"] = Table(key)

    async def scenario() -> None:
        pond.fill(1)
        await pond.drain()

    with pytest.raises(ExceptionGroup) as caught:
        run(scenario())
    (error,) = caught.value.exceptions
    assert isinstance(error, ServiceError)
    assert (error.operation, error.verdict) == ("UpdateItem", Verdict.FATAL)
    assert not table.items


def test_slot_reserved_by_a_wrong_clock_is_not_waited_for() -> None:
    table = metered()
    pond = Pond(table, write_rate=500, workers=2)
    stray = {"ingestion": {"S": "rate"}, "part": {"S": "writes"}, "until": {"N": str(10**15)}}
    pond.backend.dynamodb.tables["ledger"].items["rate", "writes"] = stray

    async def scenario() -> float:
        pond.fill(10)
        return await pond.drain()

    assert run(scenario()) <= 15
    assert len(table.items) == 5_000


def test_ledger_that_throttles_only_delays() -> None:
    table = metered()
    pond = Pond(table, write_rate=500, workers=3)
    # It takes one write in two seconds.
    slow = Table({"ingestion": "S", "part": "S"}, TokenBucket(0.5, burst_seconds=4, tokens=0))
    pond.backend.dynamodb.tables["ledger"] = slow

    async def scenario() -> float:
        pond.fill(20)
        return await pond.drain()

    run(scenario())
    assert len(table.items) == 10_000
    assert max(table.windows(0, 30)) <= 1.05 * 500
    assert (len(pond.dead.held), pond.returned) == (0, 0)
