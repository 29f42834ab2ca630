"""A slow table or server keeps messages waiting: none is dead-lettered, and hardly a row is written twice.

The template's defaults throughout: ten workers, ten messages each, 60 s, five receives.
"""

import logging
import random
from typing import Any

import pytest

from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.errors import Refusal
from tests.fakeaws.in_memory import Server
from tests.fakeaws.virtual_time import run
from tests.simulation.workers import Pond, slow_table


@pytest.fixture(autouse=True)
def _quiet_and_the_same_each_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "millpond")
    random.seed(1)


def drained(pond: Pond, messages: int, rows: int = 500) -> float:
    """Fill the queue, let the workers empty it, and return the seconds that took; each row must be in the table."""

    async def scenario() -> float:
        pond.fill(messages, rows)
        return await pond.drain()

    seconds = run(scenario())
    assert len(pond.table.items) == messages * rows
    return seconds


@pytest.mark.parametrize("whole_share", [0.0, 0.5, 1.0], ids=["unprocessed items", "both forms", "exceptions"])
@pytest.mark.parametrize(
    ("capacity", "messages", "rows"), [(1, 12, 25), (25, 24, 250), (100, 40, 500), (500, 60, 500), (1_000, 120, 500)]
)
def test_throttling_dead_letters_nothing(capacity: int, messages: int, rows: int, whole_share: float) -> None:
    pond = Pond(slow_table(capacity, whole_share=whole_share))
    seconds = drained(pond, messages, rows)
    assert (len(pond.dead.held), pond.returned) == (0, 0)
    assert sum(pond.table.writes.values()) <= 1.05 * messages * rows
    assert messages * rows / (capacity * seconds) >= 0.95


def test_without_burst_capacity_the_table_is_used_all_the_same() -> None:
    pond = Pond(slow_table(100, burst_seconds=1.0))
    seconds = drained(pond, 40)
    assert (len(pond.dead.held), pond.returned) == (0, 0)
    assert 40 * 500 / (100 * seconds) >= 0.95


def test_without_handing_on_the_same_table_dead_letters_good_rows() -> None:
    """The check above can fail: this is what a worker without `QUEUE_URL` comes to."""
    pond = Pond(slow_table(1), hands_on=False)

    async def scenario() -> None:
        pond.fill(60, 50)
        await pond.drain()

    run(scenario())
    assert len(pond.dead.held) > 0


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.0])
def test_server_that_answers_one_call_at_a_time_does_little_work_twice(seconds: float) -> None:
    pond = Pond(Table({"email": "S", "createdAt": "N"}), Server(seconds, workers=1))
    took = drained(pond, 10)
    assert (len(pond.dead.held), pond.returned) == (0, 0)
    assert sum(pond.table.writes.values()) <= 1.05 * 5_000
    assert 200 * seconds / took >= 0.95  # the server was busy nearly all the time


def test_server_slower_than_the_usual_patience_is_waited_for() -> None:
    pond = Pond(Table({"email": "S", "createdAt": "N"}), Server(12.0, workers=1))
    drained(pond, 1)
    assert (len(pond.dead.held), pond.returned) == (0, 0)


def test_server_that_answers_slowly_but_many_at_a_time_gets_many_calls() -> None:
    pond = Pond(Table({"email": "S", "createdAt": "N"}), Server(1.5))
    took = drained(pond, 40)
    assert pond.dynamodb.most_in_flight > 100
    assert took < 60


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_table_that_answers_many_calls_with_server_errors_dead_letters_nothing(share: float) -> None:
    draw = random.Random(1)

    class Flaky(DynamoDB):
        def call(self, operation: str, body: bytes, now: float) -> dict[str, Any]:
            if operation == "BatchWriteItem" and draw.random() < share:
                raise Refusal("InternalServerError", "", 500)
            return super().call(operation, body, now)

    pond = Pond(Table({"email": "S", "createdAt": "N"}), service=Flaky)
    drained(pond, 20)
    assert (len(pond.dead.held), pond.returned) == (0, 0)
