"""Producer, workers and ledger together, under virtual time: kills at any moment, duplicates, failing services.

At every moment rows read = written + rejected + superseded + in flight. When all queues are empty the ingestion has
ended with the counts of one long run.
"""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.accounts import Account
from engine.aws import s3
from engine.aws.queues import QueueSender
from engine.aws.reject_store import RejectStore
from engine.aws.session import Session
from engine.aws.table_writer import TableWriter
from engine.aws.types import BATCH_WRITE_ITEM, DESCRIBE_TABLE, SEND_MESSAGE_BATCH, Request
from engine.config import ProducerSettings, WorkerSettings
from engine.errors import MillpondError
from engine.flow.backoff import NEVER, Deadline
from engine.jobs.ingest import produce
from engine.jobs.producer import Producer
from engine.jobs.write import Worker, work
from tests.builders.invocations import event_of
from tests.fakeaws.backend import Backend
from tests.fakeaws.capacity import TokenBucket
from tests.fakeaws.dynamodb import Table
from tests.fakeaws.errors import Refusal
from tests.fakeaws.in_memory import InMemory, InMemoryObject, Server, lane_to
from tests.fakeaws.sqs import Sqs
from tests.fakeaws.virtual_time import now, run
from tests.simulation.producers import ANSWER, RESERVE, TIMEOUT, URL, SlowObjects, Stack, csv_of
from tests.simulation.test_ledger import FaultyLedger

SEEDS = 12
HOURS = 50
PIECE = 16_384


class SlowPieces(SlowObjects):
    """Objects of which each read returns few bytes."""

    async def __call__(self, request: Request, patience: float) -> InMemoryObject:
        """Send a request."""
        body = await super().__call__(request, patience)
        read = body.read
        body.read = lambda most: read(min(most, PIECE))  # type: ignore[method-assign]
        return body


@dataclass
class Whole(Stack):
    """A stack with its workers."""

    capacity: float = 100_000
    records_per_message: int = 50
    seed: int = 0
    killed: float = 0.0
    repeated: float = 0.0
    accounts: list[Account] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the services."""
        super().__post_init__()
        self.draw = random.Random(self.seed)
        self.table = Table({"email": "S", "createdAt": "N"}, TokenBucket(self.capacity, tokens=0))
        self.records.visibility_timeout = 60.0
        service = FaultyLedger({"ledger": self.ledger, "users": self.table})
        self.backend = Backend(service, Sqs({"records": self.records, "spans": self.spans}))
        self._sqs = InMemory(self.backend, Server(seconds=0.02))

    def fetch(self) -> SlowObjects:
        """The way to S3: small pieces, so that a small file takes several runs."""
        return SlowPieces(self.s3, self.chunk_seconds)

    def producer(self) -> Producer:
        """A new execution environment."""
        made = super().producer()
        env = {
            "QUEUE_URL": f"{URL}records",
            "SPAN_QUEUE_URL": f"{URL}spans",
            "RECORDS_PER_MESSAGE": str(self.records_per_message),
        }
        return Producer(
            ProducerSettings.from_env(env), made.objects, made.sender, made.store, made.accounting, made.spans
        )

    def worker(self) -> Worker:
        """A new execution environment."""
        settings = WorkerSettings.from_env({"QUEUE_URL": f"{URL}records", "REJECTS_BUCKET": "b"})
        sender = QueueSender(f"{URL}records", lane_to(self._sqs, SEND_MESSAGE_BATCH), max_batch_bytes=1_048_576)
        lane, describe = lane_to(self._sqs, BATCH_WRITE_ITEM), lane_to(self._sqs, DESCRIBE_TABLE)
        writer = TableWriter("users", settings.schema, lane, describe, is_busy=lambda: False)
        session = Session()
        store = RejectStore(s3.S3(session, self.fetch()))
        return Worker(settings, writer, store, lambda: sender, self.accounting())

    @property
    def calls(self) -> Counter[str]:
        """Calls of SQS, DynamoDB and EventBridge, by operation."""
        return self._sqs.calls

    @property
    def ingestion(self) -> str:
        """The id of the object's ingestion."""
        return next((item["ingestion"]["S"] for item in self.ledger.items.values() if "split" in item), "")

    async def consume(self) -> None:
        """Work as an event source mapping whose invocations are killed and whose deletions fail now and then."""
        worker, draw = self.worker(), self.draw
        while True:
            received = self.records.receive(10, now())
            if not received:
                await asyncio.sleep(1.0)
                continue
            end = now() + 20.0
            event = {"Records": [message.lambda_record() for message in received]}
            dies = draw.random() < self.killed
            try:
                async with asyncio.timeout(draw.random() * 0.5 if dies else 20.0):
                    answer = await work(worker, event, Deadline(end - 3.0), Deadline(end - 0.5))
            except TimeoutError:
                assert dies, "the invocation was stopped by its timeout"
                worker = self.worker()
                continue
            except MillpondError:
                continue
            failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
            for message in received:
                if message.message_id not in failed and draw.random() >= self.repeated:
                    with suppress(Refusal):
                        self.records.delete(message.receipt)

    async def read_object(self) -> None:
        """Run the producer for each message of the span queue, for ever."""
        draw = self.draw
        while True:
            received = self.spans.receive(1, now())
            if not received:
                await asyncio.sleep(0.5)
                continue
            event, end = event_of(*(each.lambda_record() for each in received)), now() + TIMEOUT
            dies = draw.random() < self.killed
            try:
                async with asyncio.timeout(draw.uniform(0, TIMEOUT) if dies else TIMEOUT):
                    answer = await produce(self.producer(), event, Deadline(end - RESERVE), Deadline(end - ANSWER))
            except TimeoutError:
                assert dies, "the invocation was stopped by its timeout"
                continue
            except MillpondError:
                continue
            if not answer["batchItemFailures"] and not (dies and draw.random() < 0.5):
                self.spans.delete(received[0].receipt)

    async def watch(self) -> None:
        """Check the invariant at random moments."""
        while True:
            await asyncio.sleep(self.draw.random() * 2)
            if ingestion := self.ingestion:
                counts = (await self.accounting().ledger.account(ingestion, NEVER)).counts()
                assert min(counts.values()) >= 0, counts
                parts = counts["written"] + counts["rejected"] + counts["superseded"] + counts["inFlight"]
                assert counts["read"] == parts
                assert counts["written"] <= len(self.table.items), counts

    async def drained(self) -> None:
        """Wait until every queue is empty."""
        while self.records.held or self.spans.held:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(5.0)

    async def live(self, happens: Callable[["Whole"], Any] | None = None) -> Account:
        """Announce the object, work until all is done; `happens` is what else goes on."""
        self.spans.send(json.dumps(self.notification), {}, now())
        async with asyncio.timeout(HOURS * 3600):
            around = [asyncio.create_task(each()) for each in [self.consume] * 4 + [self.read_object] * 2]
            around.append(asyncio.create_task(self.watch()))
            if happens:
                around.append(asyncio.create_task(happens(self)))
            done = asyncio.create_task(self.drained())
            await asyncio.wait([done, *around[:7]], return_when=asyncio.FIRST_COMPLETED)
            if happens:
                await around[-1]
            await asyncio.wait([asyncio.create_task(self.drained()), *around[:7]], return_when=asyncio.FIRST_COMPLETED)
            for each in around[:7]:
                if each.done():
                    each.result()
                each.cancel()
        return await self.accounting().ledger.account(self.ingestion, NEVER)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "millpond")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    async def at_once(work: Callable[[], Any]) -> Any:
        return work()

    monkeypatch.setattr(asyncio, "to_thread", at_once)  # virtual time does not wait for threads


def made(seed: int, body: bytes, records: int = 0) -> Whole:
    """A stack with the faults of a seed."""
    draw = random.Random(seed)
    random.seed(seed)
    FaultyLedger.share, FaultyLedger.draw = draw.choice([0.0, 0.2, 0.5]), draw
    return Whole(
        body,
        seed=seed,
        capacity=draw.choice([300, 3_000, 100_000]),
        records_per_message=records or draw.choice([20, 50, 100]),
        killed=draw.choice([0.0, 0.3]),
        repeated=draw.choice([0.0, 0.2]),
        chunk_seconds=draw.choice([0.05, 0.2]),
    )


ROWS = 2_000
CONTENT = csv_of(ROWS)
REJECTED = ROWS // 97


def check(account: Account, stack: Whole, rows: int = ROWS, rejected: int = REJECTED) -> None:
    assert "ended" in account.entry
    assert account.counts() == {
        "read": rows,
        "written": rows - rejected,
        "rejected": rejected,
        "superseded": 0,
        "inFlight": 0,
    }
    assert account.entry["status"] == ("done_with_rejects" if rejected else "done")
    assert len(stack.table.items) == rows - rejected
    assert {event["DetailType"] for event in stack.backend.events} == {"Ingestion Completed"}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_row_is_accounted_for(seed: int) -> None:
    stack = made(seed, CONTENT)
    check(run(stack.live()), stack)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_plain_messages_are_accounted_for(seed: int) -> None:
    stack = made(seed, csv_of(200), records=1)
    check(run(stack.live()), stack, 200, 2)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_duplicates_of_the_event(seed: int) -> None:
    stack = made(seed, CONTENT)

    async def duplicates(stack: Whole) -> None:
        for _ in range(3):
            await asyncio.sleep(stack.draw.choice([0.1, 5.0, 60.0, 300.0]))
            stack.spans.send(json.dumps(stack.notification), {}, now())

    check(run(stack.live(duplicates)), stack)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_object_that_is_deleted_meanwhile(seed: int) -> None:
    stack = made(seed, CONTENT)

    async def deleted(stack: Whole) -> None:
        await asyncio.sleep(stack.draw.random() * 10)
        stack.s3.objects.clear()
        if stack.draw.random() < 0.5:
            await asyncio.sleep(stack.draw.random() * 10)
            stack.spans.send(json.dumps(stack.notification), {}, now())

    account = run(stack.live(deleted))
    if stack.ingestion:
        assert "ended" in account.entry
        counts = account.counts()
        assert counts["written"] == len(stack.table.items), (counts, account.entry)
