"""Under faults: rows read = written + rejected + in flight, at every moment; at the end none are in flight."""

import asyncio
import logging
import random
from contextlib import suppress

import pytest

from engine.accounts import Account, SpanCounts
from engine.errors import ServiceError
from engine.flow.attempts import now
from engine.flow.backoff import NEVER, Deadline
from engine.jobs.account import Accounting
from engine.jobs.write import work
from engine.tallies import FAN_OUT, Counts
from tests.builders.messages import UPLOAD, packed, users
from tests.fakeaws.capacity import TokenBucket
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.errors import Refusal
from tests.fakeaws.virtual_time import run
from tests.simulation.workers import BATCH_SIZE, RESERVE, TIMEOUT, Pond

ROWS = 10


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "millpond")


class FaultyLedger(DynamoDB):
    """DynamoDB whose ledger fails now and then, before the write or after it."""

    share = 0.0
    draw = random.Random(0)

    def call(self, operation: str, body: bytes, now: float) -> dict[str, object]:
        """Answer a call, or fail."""
        fails = operation == "UpdateItem" and self.draw.random() < self.share
        if fails and self.draw.random() < 0.5:
            raise Refusal("InternalServerError", "", 500)
        answer = super().call(operation, body, now)
        if fails:
            raise Refusal("InternalServerError", "", 500)
        return answer


def ledger() -> Table:
    return Table({"ingestion": "S", "part": "S"})


async def read(pond: Pond) -> Account:
    return await pond.accounting().ledger.account(UPLOAD.ingestion, NEVER)


def check(account: Account, pond: Pond) -> dict[str, int]:
    """The invariant, and that no row is called written that is not."""
    counts = account.counts()
    assert counts["read"] == counts["written"] + counts["rejected"] + counts["superseded"] + counts["inFlight"]
    assert min(counts.values()) >= 0
    assert counts["written"] <= len(pond.table.items)
    return counts


async def produce(pond: Pond, accounting: Accounting, messages: int, draw: random.Random) -> None:
    """Send messages as the producer does, and account for them; some notes of progress are late."""
    await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "hash", NEVER)
    for number in range(messages):
        rows = users(number * ROWS + 1, (number + 1) * ROWS)
        pond.send([packed(rows, number=number)])
        if draw.random() < 0.1:
            counts = SpanCounts(read=(number + 1) * ROWS, rejected=0, messages=number + 1)
            await accounting.ledger.progressed(UPLOAD.ingestion, 0, counts, NEVER)
            await asyncio.sleep(draw.random())
    counts = SpanCounts(read=messages * ROWS, rejected=0, messages=messages, ended=True)
    await accounting.end_span(UPLOAD.ingestion, 0, counts, NEVER)


async def consume(pond: Pond, draw: random.Random, killed: float, repeated: float) -> None:
    """Work as an event source mapping: kill invocations at any moment, and deliver some messages twice."""
    worker = pond.worker()
    while True:
        received = pond.queue.receive(BATCH_SIZE, now())
        if not received:
            await asyncio.sleep(1.0)
            continue
        end = now() + TIMEOUT
        event = {"Records": [message.lambda_record() for message in received]}
        limit = draw.random() * 0.2 if draw.random() < killed else TIMEOUT
        try:
            async with asyncio.timeout(limit):
                answer = await work(worker, event, Deadline(end - RESERVE), Deadline(end - 0.5))
        except TimeoutError:
            worker = pond.worker()
            continue
        except ServiceError:
            continue
        failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
        for message in received:
            if message.message_id not in failed and draw.random() >= repeated:
                with suppress(Refusal):
                    pond.queue.delete(message.receipt)


async def scenario(pond: Pond, messages: int, draw: random.Random, killed: float, repeated: float) -> Account:
    async with asyncio.timeout(100 * 3600):
        producer = asyncio.create_task(produce(pond, pond.accounting(), messages, draw))
        workers = [asyncio.create_task(consume(pond, draw, killed, repeated)) for _ in range(5)]
        while True:
            await asyncio.sleep(0.5 + draw.random())
            account = await read(pond)
            check(account, pond)
            if "ended" in account.entry and producer.done():
                break
        await asyncio.sleep(1_000)  # late deliveries change nothing
        for each in workers:
            each.cancel()
    await producer
    return await read(pond)


@pytest.mark.parametrize("seed", range(12))
def test_every_row_is_accounted_for_under_faults(seed: int) -> None:
    draw = random.Random(seed)
    random.seed(seed)
    messages = draw.choice([1, 7, FAN_OUT - 1, FAN_OUT, FAN_OUT + 1, 2 * FAN_OUT, 250])
    capacity = TokenBucket(draw.choice([20, 200, 5_000]), tokens=0)
    FaultyLedger.share, FaultyLedger.draw = draw.choice([0.0, 0.2, 0.6]), draw
    pond = Pond(Table({"email": "S", "createdAt": "N"}, capacity), service=FaultyLedger, ledger=ledger())
    pond.queue.max_receive_count = None
    account = run(scenario(pond, messages, draw, killed=draw.choice([0, 0.3]), repeated=draw.choice([0, 0.2])))
    counts = check(account, pond)
    assert counts == {
        "read": messages * ROWS,
        "written": messages * ROWS,
        "rejected": 0,
        "superseded": 0,
        "inFlight": 0,
    }
    assert account.entry["status"] == "done"
    assert len(pond.table.items) == messages * ROWS
    assert {event["DetailType"] for event in pond.backend.events} == {"Ingestion Completed"}


def test_depth_of_the_tree_of_tallies() -> None:
    """More messages than two levels hold, each noted in a random order."""
    pond = Pond(Table({"email": "S", "createdAt": "N"}), ledger=ledger())

    async def scenario() -> Account:
        accounting = pond.accounting()
        await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1, "hash", NEVER)
        count = FAN_OUT * FAN_OUT + 1
        numbers = list(range(count))
        random.Random(1).shuffle(numbers)
        for place in range(0, count, 50):
            some = {number: Counts(499, 1) for number in numbers[place : place + 50]}
            await accounting.settle(UPLOAD.ingestion, 0, some, NEVER)
            if place == 5_000:
                await accounting.end_span(
                    UPLOAD.ingestion,
                    0,
                    SpanCounts(read=count * 500 + 7, rejected=7, messages=count, ended=True),
                    NEVER,
                )
            assert ("ended" in (await accounting.ledger.account(UPLOAD.ingestion, NEVER, tallies=False)).entry) == (
                place + 50 >= count
            )
        return await read(pond)

    account = run(scenario())
    count = FAN_OUT * FAN_OUT + 1
    assert (account.entry["written"], account.entry["rejected"]) == (count * 499, count + 7)
    assert account.entry["status"] == "done_with_rejects"


def test_object_that_is_ingested_again_after_the_end_is_accounted_for_anew() -> None:
    """A file that failed is read again, with a schema that fits; more of its rows are in messages of other sizes."""
    pond = Pond(Table({"email": "S", "createdAt": "N"}), ledger=ledger())

    async def scenario() -> list[Account]:
        accounting = pond.accounting()
        await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "hash", NEVER)
        counts = SpanCounts(read=30, rejected=1, messages=2, status="failed", reason="not UTF-8", ended=True)
        await accounting.settle(UPLOAD.ingestion, 0, {0: Counts(10), 1: Counts(19)}, NEVER)
        await accounting.end_span(UPLOAD.ingestion, 0, counts, NEVER)
        accounts = [await read(pond)]
        await asyncio.sleep(60)
        number = await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "other", NEVER)
        assert await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "other", NEVER) == number == 1
        accounts.append(await read(pond))
        anew = SpanCounts(read=40, rejected=0, messages=1, ended=True)
        await accounting.end_span(UPLOAD.ingestion, 0, anew, NEVER, run=number)
        # Messages and attempts of the first run that come late.
        await accounting.settle(UPLOAD.ingestion, 0, {0: Counts(10), 1: Counts(19)}, NEVER)
        await accounting.end_span(UPLOAD.ingestion, 0, counts, NEVER)
        accounts.append(await read(pond))
        await accounting.settle(UPLOAD.ingestion, 0, {0: Counts(40)}, NEVER, run=number)
        return [*accounts, await read(pond)]

    first, again, waiting, done = run(scenario())
    assert (first.entry["status"], first.counts()["read"]) == ("failed", 30)
    assert "ended" not in again.entry
    assert again.counts() == dict.fromkeys(again.counts(), 0)
    assert waiting.counts()["inFlight"] == 40
    assert (done.entry["status"], done.counts()["written"]) == ("done", 40)
    assert done.entry["schema"] == "other"


def test_fault_of_the_ledger_is_raised_as_it_is() -> None:
    """Whether clients are opened anew depends on the error's type."""
    FaultyLedger.share, FaultyLedger.draw = 1.0, random.Random(1)
    pond = Pond(Table({"email": "S", "createdAt": "N"}), service=FaultyLedger, ledger=ledger())
    with pytest.raises(ServiceError, match="InternalServerError"):
        run(pond.accounting().ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "hash", NEVER))


def test_attempts_that_reopen_an_ingestion_at_the_same_time_are_one_run() -> None:
    """Each waits at other moments; messages are noted as soon as one of them has begun."""
    pond = Pond(Table({"email": "S", "createdAt": "N"}), ledger=ledger())

    async def attempt(wait: float) -> int:
        accounting = pond.accounting()
        await asyncio.sleep(wait)
        number = await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "hash", NEVER)
        await accounting.settle(UPLOAD.ingestion, 0, {0: Counts(10)}, NEVER, run=number)
        return number

    async def scenario() -> tuple[list[int], Account]:
        accounting = pond.accounting()
        await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "hash", NEVER)
        counts = SpanCounts(read=10, rejected=0, messages=1, ended=True)
        await accounting.settle(UPLOAD.ingestion, 0, {0: Counts(10)}, NEVER)
        await accounting.end_span(UPLOAD.ingestion, 0, counts, NEVER)
        numbers = await asyncio.gather(*(attempt(0.005 * number) for number in range(10)))
        await accounting.end_span(UPLOAD.ingestion, 0, counts, NEVER, run=1)
        return numbers, await read(pond)

    numbers, account = run(scenario())
    assert numbers == [1] * 10
    assert (account.entry["status"], account.counts()["written"]) == ("done", 10)


def test_object_that_is_read_with_another_schema_before_the_end_is_a_new_run() -> None:
    pond = Pond(Table({"email": "S", "createdAt": "N"}), ledger=ledger())

    async def scenario() -> Account:
        accounting = pond.accounting()
        await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "hash", NEVER)
        counts = SpanCounts(read=40, rejected=0, messages=4, ended=True)
        await accounting.end_span(UPLOAD.ingestion, 0, counts, NEVER)
        await accounting.settle(UPLOAD.ingestion, 0, {0: Counts(10), 1: Counts(10)}, NEVER)  # two are dead letters
        number = await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "other", NEVER)
        more = SpanCounts(read=40, rejected=0, messages=8, ended=True)
        for message in range(8):
            assert "ended" not in (await read(pond)).entry
            await accounting.settle(UPLOAD.ingestion, 0, {message: Counts(5)}, NEVER, run=number)
        await accounting.end_span(UPLOAD.ingestion, 0, more, NEVER, run=number)
        return await read(pond)

    account = run(scenario())
    assert (account.entry["status"], account.counts()["written"]) == ("done", 40)
    assert account.entry["schema"] == "other"


@pytest.mark.parametrize("killed", [False, True])
def test_attempt_that_fails_changes_nothing_of_one_that_reached_the_end(killed: bool) -> None:
    """The object is replaced before the rest is delivered again; the first attempt may not have marked tallies yet."""
    pond = Pond(Table({"email": "S", "createdAt": "N"}), ledger=ledger())

    async def scenario() -> Account:
        accounting = pond.accounting()
        await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "hash", NEVER)
        await accounting.settle(UPLOAD.ingestion, 0, {number: Counts(10) for number in range(3)}, NEVER)
        whole = SpanCounts(read=40, rejected=0, messages=4, ended=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02 if killed else None):
                await accounting.end_span(UPLOAD.ingestion, 0, whole, NEVER)
        late = SpanCounts(read=20, rejected=0, messages=2, status="superseded", reason="replaced", ended=True)
        await accounting.end_span(UPLOAD.ingestion, 0, late, NEVER)
        assert "ended" not in (await read(pond)).entry
        await accounting.settle(UPLOAD.ingestion, 0, {3: Counts(10)}, NEVER)
        return await read(pond)

    account = run(scenario())
    assert (account.entry["status"], account.counts()["written"]) == ("done", 40)


def test_attempt_that_fails_early_counts_what_an_earlier_one_has_sent() -> None:
    """A run is killed after five messages; its successor finds the object gone, and knows of two."""
    pond = Pond(Table({"email": "S", "createdAt": "N"}), ledger=ledger())

    async def scenario() -> Account:
        accounting = pond.accounting()
        await accounting.ledger.opened(UPLOAD.ref, UPLOAD, 1_000, "hash", NEVER)
        await accounting.settle(UPLOAD.ingestion, 0, {number: Counts(10) for number in range(1, 5)}, NEVER)
        late = SpanCounts(read=20, rejected=0, messages=2, status="failed", reason="gone", ended=True)
        await accounting.end_span(UPLOAD.ingestion, 0, late, NEVER)
        assert "ended" not in (await read(pond)).entry
        await accounting.settle(UPLOAD.ingestion, 0, {0: Counts(10)}, NEVER)
        return await read(pond)

    account = run(scenario())
    assert (account.entry["status"], account.counts()["written"]) == ("failed", 50)
