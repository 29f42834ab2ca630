"""Conditional writes to a table that throttles, breaks and refuses: the highest version of each key stays."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.aws.newest_writer import NewestWriter
from engine.aws.table_calls import MAX_IN_FLIGHT
from engine.aws.types import DESCRIBE_TABLE, PUT_ITEM
from engine.config import TRANSPORTS
from engine.errors import ConfigError, ServiceError
from engine.flow.attempts import now
from engine.flow.backoff import NEVER, Deadline
from engine.handlers import worker
from tests.builders.invocations import Context, event_of, failures, metrics_in, sqs_record
from tests.builders.messages import MODIFIED, items_of
from tests.builders.newest import NEWEST, NEWEST_TOML, article_items, article_message, article_of, articles
from tests.fakeaws.fault_objects import ObjectServer
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.listener import in_thread
from tests.fakeaws.plans import (
    ACCESS_DENIED,
    EXPIRED_TOKEN,
    NO_TABLE,
    REQUEST_LIMIT,
    SERVER_ERROR,
    THROTTLED,
    THROUGHPUT_EXCEEDED,
    UNAVAILABLE,
    Call,
    CloseAfter,
    Fault,
    Garbage,
    Poison,
    Refuse,
    Reset,
    Silent,
    Slow,
    Sometimes,
    Truncated,
    WrongChecksum,
    always,
)
from tests.faults.lanes import lane_to

FAULTS: list[Fault] = [
    THROTTLED,
    THROUGHPUT_EXCEEDED,
    REQUEST_LIMIT,
    SERVER_ERROR,
    UNAVAILABLE,
    EXPIRED_TOKEN,
    Refuse("TransactionConflictException"),
    Reset(),
    Reset(applied=True),
    Garbage(),
    Garbage(200),
    Garbage(200, b""),
    Garbage(200, b'{"redirect":"/login"}', "application/json"),
    Truncated(),
    WrongChecksum(),
    CloseAfter(),
    Slow(0.05),
]


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer(tables={"articles": {"sku": "S"}}) as server:
        yield server


@asynccontextmanager
async def writer(server: FaultServer, transport_kind: str = "lean") -> AsyncIterator[NewestWriter]:
    async with (
        lane_to(server, PUT_ITEM, transport_kind) as lane,
        lane_to(server, DESCRIBE_TABLE, transport_kind) as describe,
    ):
        yield NewestWriter("articles", NEWEST, lane, describe)


def prices(server: FaultServer) -> dict[str, str]:
    return {key: item["price"]["N"] for (key,), item in server.tables["articles"].items.items()}


async def test_each_key_takes_one_call(server: FaultServer) -> None:
    items = article_items(articles(300, price="3"), articles(200, price="2"), articles(400, price="1"))
    async with writer(server) as table:
        outcome = await table.write(items, NEVER)
    assert all(outcome.written)
    assert outcome.superseded == set(range(300, 800))
    assert prices(server) == {f"A-{row}": "3" if row <= 300 else "1" for row in range(1, 401)}
    assert len(server.calls) == 400
    assert server.most_in_flight <= MAX_IN_FLIGHT


async def test_older_items_are_superseded_by_what_is_there(server: FaultServer) -> None:
    newer, older = articles(40, price="2"), articles(60, price="1")
    async with writer(server) as table:
        await table.write(article_items(newer, []), NEVER)
        outcome = await table.write(article_items([], older), NEVER)
        assert outcome.superseded == set(range(40))
        assert all(outcome.written)
        # What is written already is written again, not superseded by itself.
        again = await table.write(article_items(newer, older), NEVER)
    assert again.superseded == set(range(40, 80))
    assert prices(server) == {f"A-{row}": "2" if row <= 40 else "1" for row in range(1, 61)}


async def test_message_that_comes_twice_is_written_not_superseded(server: FaultServer) -> None:
    once, older = article_of(articles(3), modified=MODIFIED + 1), article_of([(9, "A-1", "0")])
    async with writer(server) as table:
        outcome = await table.write(items_of(once, older, once, schema=NEWEST), NEVER)
    assert outcome.superseded == {3}
    assert all(outcome.written)
    assert len(server.calls) == 3


@pytest.mark.parametrize("transport_kind", TRANSPORTS)
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_passing_fault_only_delays(server: FaultServer, fault: Fault, transport_kind: str) -> None:
    server.plan = [fault, None, fault, fault]
    async with writer(server, transport_kind) as table:
        outcome = await table.write(article_items(articles(60)), NEVER)
    assert all(outcome.written)
    assert not outcome.refused
    assert not outcome.superseded  # not even by an attempt of its own whose answer was lost
    assert len(prices(server)) == 60


@pytest.mark.parametrize("seed", range(3))
async def test_storm_of_faults_loses_nothing(server: FaultServer, seed: int) -> None:
    server.plan = Sometimes(0.5, [fault for fault in FAULTS if fault is not EXPIRED_TOKEN], seed=seed)
    async with writer(server) as table:
        outcome = await table.write(article_items(articles(200, price="2"), articles(300, price="1")), NEVER)
    assert all(outcome.written)
    assert outcome.superseded == set(range(200, 400))
    assert prices(server) == {f"A-{row}": "2" if row <= 200 else "1" for row in range(1, 301)}


async def test_refused_item_gives_way_to_the_next_version(server: FaultServer) -> None:
    server.plan = always(Poison(lambda item: item["price"]["N"] == "3" and item["sku"]["S"] != "A-2"))
    items = article_items(articles(3, price="3"), articles(2, price="2"), articles(2, price="1"))
    async with writer(server) as table:
        outcome = await table.write(items, NEVER)
    assert set(outcome.refused) == {0, 2}
    assert outcome.superseded == {4, 5, 6}
    assert outcome.unwritten(range(7)) == [0, 2]
    assert outcome.settled(range(7))
    assert prices(server) == {"A-1": "2", "A-2": "3"}


@pytest.mark.parametrize("fault", [ACCESS_DENIED, NO_TABLE], ids=repr)
async def test_fatal_error_raises_at_once(server: FaultServer, fault: Refuse) -> None:
    server.plan = always(fault)
    async with writer(server) as table:
        with pytest.raises(ServiceError, match=f"PutItem failed: {fault.code}"):
            await table.write(article_items(articles(500)), NEVER)
    assert len(server.calls) <= MAX_IN_FLIGHT


async def test_table_with_other_keys_is_a_wrong_setting() -> None:
    async with FaultServer(tables={"articles": {"sku": "N"}}) as server, writer(server) as table:
        with pytest.raises(ConfigError, match=r"key of the table articles is sku \(N\), that of the schema sku \(S\)"):
            await table.write(article_items(articles(3)), NEVER)
        assert not server.calls


@pytest.mark.parametrize("fault", [THROTTLED, Silent(), SERVER_ERROR, Reset(), Slow(30)], ids=repr)
async def test_deadline_ends_it_and_nothing_is_called_written(server: FaultServer, fault: Fault) -> None:
    server.plan = always(fault)
    async with writer(server) as table:
        outcome = await table.write(article_items(articles(50), articles(70)), Deadline(now() + 0.4))
    assert outcome.out_of_time
    assert not any(outcome.written)
    assert not outcome.refused
    assert not outcome.superseded


async def test_older_versions_wait_with_the_one_that_is_not_written(server: FaultServer) -> None:
    server.plan = lambda call: Silent() if call.entries[0]["sku"]["S"] in ("A-2", "A-3") else None
    async with writer(server) as table:
        outcome = await table.write(
            article_items(articles(3, price="2"), articles(3, price="1")), Deadline(now() + 0.5)
        )
    assert outcome.unwritten(range(6)) == [1, 2, 4, 5]
    assert outcome.superseded == {3}


async def test_throttling_narrows_the_window(server: FaultServer) -> None:
    async with writer(server) as table:
        server.plan = always(Slow(0.01))
        await table.write(article_items(articles(300)), NEVER)
        wide = server.most_in_flight
        server.plan = [THROTTLED] * 12
        await table.write(article_items(articles(1)), NEVER)
        server.most_in_flight = 0
        server.plan = always(Slow(0.01))
        await table.write(article_items(articles(2)), NEVER)
        narrow = server.most_in_flight
    assert wide > 8
    assert narrow <= 2


def test_worker_writes_by_the_schema(
    tmp_path: Path,
    env: pytest.MonkeyPatch,
    fault_server: FaultServer,
    object_server: ObjectServer,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "articles.toml").write_text(NEWEST_TOML)
    env.setenv("SCHEMA", str(tmp_path / "articles.toml"))
    env.setenv("TABLE_NAME", "articles")
    with in_thread(FaultServer(tables={"articles": {"sku": "S"}})) as server:
        env.setenv("AWS_ENDPOINT_URL", server.endpoint)

        def refused(call: Call) -> Fault | None:
            return Poison(lambda item: item["sku"]["S"] == "A-9")

        server.plan = refused
        new = sqs_record("new", article_message(articles(8, price="2"), modified=MODIFIED + 9))
        old = sqs_record("old", article_message(articles(9, price="1")))
        assert failures(worker.handler(event_of(new, new, old), Context())) == []
        assert prices(server) == {f"A-{row}": "2" for row in range(1, 9)}
        assert [call.operation for call in server.calls] == ["PutItem"] * 9
    (line,) = [json.loads(record.getMessage()) for record in caplog.records if '"batch"' in record.getMessage()]
    assert (line["written"], line["superseded"], line["rejected"]) == (16, 8, 1)
    (counts,) = metrics_in(capsys.readouterr().out)
    assert (counts["RowsWritten"], counts["RowsSuperseded"], counts["RowsRejected"]) == (16, 8, 1)
    (key,) = [key for _, key in object_server.objects]
    assert key.startswith("rejects/")
