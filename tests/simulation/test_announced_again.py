"""An object that is announced again before its rows are written: with other settings, after a failure, when gone."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from engine.accounts import ENTRY, Account
from engine.aws.objects import Objects, OpenObject
from engine.flow.backoff import NEVER
from engine.jobs.ingest import produce
from engine.jobs.producer import Producer
from engine.tallies import Counts
from tests.builders.invocations import Json
from tests.fakeaws.virtual_time import run
from tests.simulation.producers import Stack, csv_of, results

__all__ = ["results"]

ROWS = 20_000
REJECTED = ROWS // 97


async def killed(stack: Stack) -> None:
    """Read a part of the object in an invocation that is killed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await produce(stack.producer(), stack.notification, NEVER)
    assert 0 < len(stack.records.messages) < ROWS // 500


async def written(stack: Stack) -> Account:
    """Account for each message that was sent, as workers do that have written its rows; return the account."""
    accounting = stack.accounting()
    ingestion = next(item["ingestion"]["S"] for item in stack.ledger.items.values() if "split" in item)
    for message in list(stack.records.messages):
        body = json.loads(message.body)
        number = int(message.attributes.get("run", {}).get("StringValue", 0))
        counts = {body["message"]: Counts(len(body["rows"]))}
        await accounting.settle(ingestion, body["span"], counts, NEVER, run=number)
    return await accounting.ledger.account(ingestion, NEVER)


def test_messages_that_are_cut_in_another_way_belong_to_another_run(results: list[Json]) -> None:
    stack = Stack(csv_of(ROWS), chunk_seconds=0.05)

    async def go() -> Account:
        await killed(stack)
        producer = stack.producer()
        smaller = replace(producer, settings=replace(producer.settings, records_per_message=100))
        await produce(smaller, stack.notification, NEVER)
        return await written(stack)

    account = run(go())
    assert account.run == 1
    assert account.entry["reason"] == ""
    assert (account.entry["read"], account.entry["written"]) == (ROWS, ROWS - REJECTED)


def test_object_that_failed_is_read_anew_while_its_rows_are_in_flight(results: list[Json]) -> None:
    rows = 60_000  # more than one tally holds
    stack = Stack(csv_of(rows), chunk_seconds=0.01, max_rejects="50")

    async def go() -> Account:
        await produce(stack.producer(), stack.notification, NEVER)
        stack.max_rejects = "100%"
        await produce(stack.producer(), stack.notification, NEVER)
        return await written(stack)

    account = run(go())
    assert [each["status"] for each in results] == ["failed", "complete"]
    assert account.entry["reason"] == ""
    assert (account.entry["read"], account.entry["written"]) == (rows, rows - rows // 97)
    assert [event["DetailType"] for event in stack.backend.events] == ["Ingestion Completed"]


def test_limit_of_rejects_of_an_earlier_run_does_not_bind_a_later_one(results: list[Json]) -> None:
    stack = Stack(csv_of(ROWS), chunk_seconds=0.01, max_rejects="50", span_bytes=1_048_576)

    async def go() -> Account:
        await stack.in_many_runs()
        assert (await written(stack)).entry["status"] == "failed"
        stack.records.messages.clear()
        stack.max_rejects, stack.span_bytes = "100%", None
        await produce(stack.producer(), stack.notification, NEVER)
        return await written(stack)

    account = run(go())
    assert account.entry["reason"] == ""
    assert account.entry["status"] == "done_with_rejects"


class SlowToOpen(Objects):
    """S3 that takes its time to answer."""

    def __init__(self, objects: Objects) -> None:
        self._its: Callable[..., Any] = objects.open

    async def open(self, *arguments: Any) -> OpenObject:
        """Open an object."""
        await asyncio.sleep(2.0)
        opened: OpenObject = await self._its(*arguments)
        return opened


def slow_to_open(producer: Producer) -> Producer:
    return replace(producer, objects=SlowToOpen(producer.objects))


def test_rows_of_an_attempt_that_was_killed_are_counted_also_after_the_end(results: list[Json]) -> None:
    stack = Stack(csv_of(ROWS), chunk_seconds=0.05)

    async def go() -> Account:
        await killed(stack)
        stack.s3.objects.clear()
        await produce(stack.producer(), stack.notification, NEVER)
        return await written(stack)

    account = run(go())
    sent = sum(len(json.loads(message.body)["rows"]) for message in stack.records.messages)
    assert account.entry["status"] == "failed"
    assert account.counts() == {"read": sent, "written": sent, "rejected": 0, "superseded": 0, "inFlight": 0}


def test_object_that_is_gone_is_listed_once_also_where_s3_is_slow(results: list[Json]) -> None:
    stack = Stack(csv_of(ROWS), chunk_seconds=0.05)

    async def go() -> None:
        await killed(stack)
        stack.s3.objects.clear()
        await produce(slow_to_open(stack.producer()), stack.notification, NEVER)

    run(go())
    entries = [item for item in stack.ledger.items.values() if item["part"]["S"] == ENTRY]
    listed = [item for item in entries if "listed" in item]
    assert [item["status"]["S"] for item in listed] == ["failed"]
