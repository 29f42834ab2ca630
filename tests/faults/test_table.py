"""Writing to a table that throttles, breaks, lies and refuses: each item is written, refused or given back."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.aws.table_calls import MAX_IN_FLIGHT
from engine.aws.table_writer import TableWriter
from engine.aws.types import BATCH_WRITE_ITEM, DESCRIBE_TABLE
from engine.config import TRANSPORTS
from engine.errors import ConfigError, ServiceError
from engine.flow.attempts import now
from engine.flow.backoff import NEVER, Deadline
from engine.schema.parse import parse_schema
from tests.builders.messages import items_of, received, user_items, user_message
from tests.builders.samples import USERS
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import (
    ACCESS_DENIED,
    BAD_JSON,
    EXPIRED_TOKEN,
    NO_TABLE,
    REQUEST_LIMIT,
    SERVER_ERROR,
    THROTTLED,
    THROUGHPUT_EXCEEDED,
    UNAVAILABLE,
    CloseAfter,
    Fault,
    Garbage,
    Poison,
    Reset,
    Silent,
    Slow,
    Sometimes,
    Truncated,
    Unprocessed,
    WrongChecksum,
    always,
)
from tests.faults.lanes import lane_to


@asynccontextmanager
async def writer(server: FaultServer, transport_kind: str = "lean") -> AsyncIterator[TableWriter]:
    async with (
        lane_to(server, BATCH_WRITE_ITEM, transport_kind) as lane,
        lane_to(server, DESCRIBE_TABLE, transport_kind) as describe,
    ):
        yield TableWriter("users", USERS, lane, describe)


def soon(seconds: float) -> Deadline:
    return Deadline(now() + seconds)


async def test_success_without_faults(fault_server: FaultServer) -> None:
    async with writer(fault_server) as table:
        outcome = await table.write(user_items(1_003), NEVER)
    assert all(outcome.written)
    assert not outcome.refused
    assert set(fault_server.tables["users"].writes.values()) == {1}
    assert len(fault_server.tables["users"].items) == 1_003
    assert sorted(fault_server.tables["users"].batches) == [3] + [25] * 40
    assert fault_server.most_in_flight <= MAX_IN_FLIGHT


async def test_no_items_make_no_call(fault_server: FaultServer) -> None:
    async with writer(fault_server) as table:
        assert not (await table.write(user_items(0), NEVER)).written
    assert not fault_server.calls


FAULTS: list[Fault] = [
    THROTTLED,
    THROUGHPUT_EXCEEDED,
    REQUEST_LIMIT,
    SERVER_ERROR,
    UNAVAILABLE,
    EXPIRED_TOKEN,
    Unprocessed(0.5),
    Unprocessed(1.0),
    Reset(),
    Reset(applied=True),
    Garbage(),
    BAD_JSON,
    Truncated(),
    WrongChecksum(),
    CloseAfter(),
    Slow(0.05),
]


@pytest.mark.parametrize("transport_kind", TRANSPORTS)
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_transient_fault_only_delays(fault_server: FaultServer, fault: Fault, transport_kind: str) -> None:
    fault_server.plan = [fault, None, fault, fault]
    async with writer(fault_server, transport_kind) as table:
        outcome = await table.write(user_items(120), NEVER)
    assert all(outcome.written)
    assert not outcome.refused
    assert len(fault_server.tables["users"].items) == 120


@pytest.mark.parametrize("seed", range(3))
async def test_many_faults_lose_nothing(fault_server: FaultServer, seed: int) -> None:
    fault_server.plan = Sometimes(0.5, [fault for fault in FAULTS if fault is not EXPIRED_TOKEN], seed=seed)
    async with writer(fault_server) as table:
        outcome = await table.write(user_items(1_500), NEVER)
    assert all(outcome.written)
    assert len(fault_server.tables["users"].items) == 1_500


async def test_only_unprocessed_items_are_sent_again(fault_server: FaultServer) -> None:
    fault_server.plan = [Unprocessed(0.4), Unprocessed(0.5)]
    async with writer(fault_server) as table:
        await table.write(user_items(25), NEVER)
    assert [len(call.entries) for call in fault_server.calls] == [25, 10, 5]
    assert set(fault_server.tables["users"].writes.values()) == {1}


async def test_resend_has_the_same_bytes(fault_server: FaultServer) -> None:
    fault_server.plan = [THROTTLED]
    async with writer(fault_server) as table:
        await table.write(user_items(25), NEVER)
    first, second = fault_server.calls
    assert first.body == second.body


async def test_throttling_shrinks_the_window_and_success_grows_it(fault_server: FaultServer) -> None:
    async with writer(fault_server) as table:
        fault_server.plan = always(Slow(0.01))
        await table.write(user_items(2_500), NEVER)
        wide = fault_server.most_in_flight
        fault_server.plan = [THROTTLED] * 12
        await table.write(user_items(25), NEVER)
        fault_server.most_in_flight = 0
        fault_server.plan = always(Slow(0.01))
        await table.write(user_items(50), NEVER)
        narrow = fault_server.most_in_flight
    assert wide > 8
    assert narrow <= 2  # the one success has begun to widen it again


@pytest.mark.parametrize("bad", [{0}, {24}, {3, 4, 17}], ids=repr)
async def test_poison_is_isolated_and_other_items_are_written(fault_server: FaultServer, bad: set[int]) -> None:
    emails = {f"user{index + 1}@example.com" for index in bad}
    fault_server.plan = always(Poison(lambda item: item["email"]["S"] in emails))
    async with writer(fault_server) as table:
        outcome = await table.write(user_items(25), NEVER)
    assert set(outcome.refused) == bad
    assert all("ValidationException" in reason for reason in outcome.refused.values())
    assert {index for index in range(25) if outcome.written[index]} == set(range(25)) - bad
    assert len(fault_server.tables["users"].items) == 25 - len(bad)


async def test_item_over_400_kb_is_refused_alone(fault_server: FaultServer) -> None:
    async with writer(fault_server) as table:
        outcome = await table.write(user_items(10, large=4), NEVER)
    assert set(outcome.refused) == {4}
    assert sum(outcome.written) == 9


async def test_duplicate_keys_are_never_in_one_call(fault_server: FaultServer) -> None:
    # The service itself refuses such a call: the server's duplicate check would make these poison.
    orders = (range(1, 61), range(60, 0, -1), range(1, 4))
    same = items_of(
        *(user_message((row, f"Name {row}", f"user{row}@example.com") for row in numbers) for numbers in orders)
    )
    async with writer(fault_server) as table:
        outcome = await table.write(same, NEVER)
    assert all(outcome.written)
    assert not outcome.refused
    for call in fault_server.calls:
        keys = [(entry["email"]["S"], entry["createdAt"]["N"]) for entry in call.entries]
        assert len(set(keys)) == len(keys)


async def test_latest_version_wins_without_sort_key() -> None:
    schema = parse_schema(
        'version = 1\ncollection = "c"\n[key]\npartition = "email"\n'
        '[columns.email]\nrequired = true\n[columns.name]\n[generated]\nrow = "row_number"\n',
        "c.toml",
    )
    rows = [[3, "third", "a@example.com"], [1, "first", "a@example.com"], [2, "second", "a@example.com"]]
    made = items_of(received(rows, ("name", "email"), schema=schema), schema=schema)
    async with (
        FaultServer(tables={"users": {"email": "S"}}) as server,
        lane_to(server, BATCH_WRITE_ITEM) as lane,
        lane_to(server, DESCRIBE_TABLE) as describe,
    ):
        outcome = await TableWriter("users", schema, lane, describe).write(made, NEVER)
        assert all(outcome.written)
        assert server.tables["users"].items[("a@example.com",)]["name"] == {"S": "third"}


@pytest.mark.parametrize("fault", [ACCESS_DENIED, NO_TABLE], ids=repr)
async def test_fatal_error_raises_at_once(fault_server: FaultServer, fault: Fault) -> None:
    fault_server.plan = always(fault)
    async with writer(fault_server) as table:
        with pytest.raises(ServiceError, match=fault.code):  # type: ignore[union-attr]
            await table.write(user_items(2_000), NEVER)
    assert len(fault_server.calls) <= MAX_IN_FLIGHT


async def test_table_with_other_key_is_config_error_not_poison() -> None:
    async with FaultServer(tables={"users": {"sku": "S"}}) as server, writer(server) as table:
        with pytest.raises(ConfigError, match=r"key of the table users is sku \(S\), that of the schema email \(S\)"):
            await table.write(user_items(100), NEVER)
        assert not server.calls


async def test_credentials_that_stay_expired_raise(fault_server: FaultServer) -> None:
    fault_server.plan = always(EXPIRED_TOKEN)
    async with writer(fault_server) as table:
        with pytest.raises(ServiceError, match="ExpiredToken"):
            await table.write(user_items(25), NEVER)


@pytest.mark.parametrize("fault", [THROTTLED, Unprocessed(1.0), Silent(), SERVER_ERROR, Reset(), Slow(30)], ids=repr)
async def test_deadline_ends_writing_and_nothing_counts_as_written(fault_server: FaultServer, fault: Fault) -> None:
    fault_server.plan = always(fault)
    async with writer(fault_server) as table:
        outcome = await table.write(user_items(100), soon(0.4))
    assert outcome.out_of_time
    assert not any(outcome.written)
    assert not outcome.refused
    assert not fault_server.tables["users"].items


async def test_items_written_before_deadline_count(fault_server: FaultServer) -> None:
    def slow_after(number: int) -> Callable[[Any], Fault | None]:
        return lambda call: Silent() if call.number > number else None

    fault_server.plan = slow_after(10)
    async with writer(fault_server) as table:
        outcome = await table.write(user_items(1_000), soon(0.5))
    assert outcome.out_of_time
    written = {f"user{index + 1}@example.com" for index in range(1_000) if outcome.written[index]}
    assert len(written) == 250
    assert written == {key[0] for key in fault_server.tables["users"].items}


async def test_items_are_written_in_order(fault_server: FaultServer) -> None:
    # A deadline must find as few messages as possible half-written, so the first calls hold the first items.
    async with writer(fault_server) as table:
        await table.write(user_items(500), NEVER)
    first_rows = [call.entries[0]["createdAt"]["N"] for call in fault_server.calls]
    for place, row in enumerate(first_rows):
        assert abs(sorted(first_rows).index(row) - place) <= MAX_IN_FLIGHT


@pytest.mark.parametrize("transport_kind", TRANSPORTS)
async def test_connections_stale_after_freeze_are_replaced(fault_server: FaultServer, transport_kind: str) -> None:
    async with writer(fault_server, transport_kind) as table:
        await table.write(user_items(500), NEVER)
        fault_server.drop_connections()
        outcome = await table.write(user_items(500, start=501), NEVER)
    assert all(outcome.written)
    assert len(fault_server.tables["users"].items) == 1_000


async def test_stale_connection_is_replaced_without_back_off(fault_server: FaultServer) -> None:
    pauses = []
    async with lane_to(fault_server, BATCH_WRITE_ITEM) as lane, lane_to(fault_server, DESCRIBE_TABLE) as describe:

        async def pause(attempt: int, deadline: Deadline) -> None:
            pauses.append(attempt)

        lane.pause = pause  # type: ignore[method-assign]
        table = TableWriter("users", USERS, lane, describe)
        fault_server.plan = [CloseAfter()] * 20
        for start in range(1, 500, 25):
            assert all((await table.write(user_items(25, start=start), NEVER)).written)
    assert not pauses
    assert len(fault_server.tables["users"].items) == 500
