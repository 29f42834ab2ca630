"""Answers that nobody can read split a batch, as server errors do; calls without any answer do not."""

import random
from collections.abc import Callable, Mapping

import pytest

from engine.aws.table_writer import TableWriter
from engine.aws.types import BATCH_WRITE_ITEM, DESCRIBE_TABLE, Reply
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.outcome import Outcome
from tests.builders.messages import user_items
from tests.builders.samples import USERS
from tests.fakeaws.backend import Backend
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.in_memory import InMemory, lane_to
from tests.fakeaws.sqs import Sqs
from tests.fakeaws.virtual_time import run

ODD = b"user7@example.com"
PAGE = Reply(200, {"content-type": "text/html"}, b"<html><body>Something went wrong</body></html>")
DAMAGED = Reply(200, {"x-amz-crc32": "1"}, b'{"UnprocessedItems":{}}')


@pytest.fixture(autouse=True)
def _same_each_time() -> None:
    random.seed(1)


class Proxy:
    """Stands before DynamoDB; `interfere` returns its own answer to a call, raises, or returns None to pass it on."""

    def __init__(self, interfere: Callable[[bytes], Reply | None]) -> None:
        self.table = Table({"email": "S", "createdAt": "N"})
        self._behind = InMemory(Backend(DynamoDB({"users": self.table}), Sqs({})))
        self._interfere = interfere
        self.sizes: list[int] = []
        """Items of each call."""

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Reply:  # noqa: ASYNC109
        """Send a request; see `Transport`."""
        self.sizes.append(body.count(b"PutRequest"))
        return self._interfere(body) or await self._behind(url, headers, body, timeout)


def written(proxy: Proxy, rows: int, seconds: float = 57.0) -> Outcome:
    async def scenario() -> Outcome:
        lane = lane_to(proxy, BATCH_WRITE_ITEM)
        describe = lane_to(InMemory(Backend(DynamoDB({"users": proxy.table}), Sqs({}))), DESCRIBE_TABLE)
        writer = TableWriter("users", USERS, lane, describe, is_busy=lambda: False)
        return await writer.write(user_items(rows), Deadline(now() + seconds))

    return run(scenario())


@pytest.mark.parametrize("answer", [PAGE, DAMAGED], ids=["page", "damaged"])
def test_item_that_always_gets_an_unreadable_answer_holds_back_no_other(answer: Reply) -> None:
    proxy = Proxy(lambda body: answer if ODD in body else None)
    outcome = written(proxy, 100)
    assert sum(outcome.written) == 99
    assert outcome.unwritten(range(100)) == [6]
    assert outcome.is_failing(range(100))
    assert not outcome.is_failing(range(25, 100))
    assert not outcome.out_of_time  # given up, not tried until the deadline
    assert len(proxy.table.items) == 99


def no_connection(_body: bytes) -> Reply:
    raise ConnectionRefusedError("nobody listens")


def no_answer(_body: bytes) -> Reply:
    raise TimeoutError


@pytest.mark.parametrize("down", [no_connection, no_answer])
def test_service_that_is_down_for_all_splits_no_batch_and_blames_no_message(down: Callable[[bytes], Reply]) -> None:
    proxy = Proxy(down)
    outcome = written(proxy, 100)
    assert len(proxy.sizes) > 20
    assert set(proxy.sizes) == {25}
    assert outcome.out_of_time
    assert not any(outcome.written)
    assert not outcome.is_failing(range(100))


@pytest.mark.parametrize("down", [no_connection, no_answer])
def test_calls_that_are_not_answered_for_a_while_split_no_batch(down: Callable[[bytes], Reply]) -> None:
    calls = iter(range(1_000))
    proxy = Proxy(lambda body: down(body) if next(calls) % 7 else None)
    outcome = written(proxy, 100, seconds=600.0)
    assert all(outcome.written)
    assert set(proxy.sizes) == {25}
    assert not outcome.failing
