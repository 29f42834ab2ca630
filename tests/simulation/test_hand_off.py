"""A file that takes longer than an invocation, under virtual time: run after run hands on the rest, some are killed."""

import asyncio
import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from engine.accounts import Account
from engine.aws import s3
from engine.aws.announcer import Announcer
from engine.aws.ledger import Ledger
from engine.aws.objects import Objects
from engine.aws.queues import QueueSender
from engine.aws.reject_store import RejectStore
from engine.aws.session import Session
from engine.aws.types import DELETE_ITEM, PUT_EVENTS, QUERY, SEND_MESSAGE_BATCH, UPDATE_ITEM, Request
from engine.config import ProducerSettings
from engine.flow.backoff import NEVER, Deadline
from engine.jobs import ingest
from engine.jobs.account import Accounting
from engine.jobs.ingest import produce
from engine.jobs.object_run import Producer
from engine.reading.block import Reject
from engine.rejects import read_rejects
from engine.tallies import Counts
from tests.builders.invocations import Json, event_of, s3_record
from tests.fakeaws.backend import Backend
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.in_memory import InMemory, InMemoryObject, InMemoryObjects, Server, lane_to
from tests.fakeaws.queues import Queue
from tests.fakeaws.s3 import S3
from tests.fakeaws.sqs import Sqs
from tests.fakeaws.virtual_time import now, run

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/"
TIMEOUT, RESERVE, ANSWER = 3.0, 1.0, 0.3
ROWS = 12_000
SEEDS = 50
"""Of the moments when runs are killed."""


def csv_of(rows: int) -> bytes:
    """A file with a bad row now and then, in which most rows do not end where a chunk does."""
    draw = random.Random(7)
    lines = ["name,mail,phone"]
    for row in range(1, rows + 1):
        name = "" if row % 97 == 0 else f'"Us""er\n{row}"' if row % 31 == 0 else f"User {row}"
        lines.append(f"{name} ,user{row}@x.org,{draw.randbytes(draw.randrange(90)).hex()}" if name else f",r{row}@x,1")
    return "\n".join(lines).encode() + b"\n"


class SlowObjects(InMemoryObjects):
    """Objects of which each chunk takes so long."""

    def __init__(self, objects: S3, chunk_seconds: float) -> None:
        super().__init__(objects)
        self._chunk_seconds = chunk_seconds

    async def __call__(self, request: Request, patience: float) -> InMemoryObject:
        body = await super().__call__(request, patience)
        read, seconds = body.read, self._chunk_seconds

        async def slow(most: int) -> bytes:
            await asyncio.sleep(seconds)
            return await read(most)

        body.read = slow  # type: ignore[method-assign]
        return body


@dataclass
class Stack:
    """The part of a stack before the record queue."""

    body: bytes
    key: str = "uploads/a.csv"
    chunk_seconds: float = 0.6
    records: Queue = field(default_factory=Queue)
    dead: Queue = field(default_factory=Queue)
    visibility: float = 18.0
    runs: int = 0

    def __post_init__(self) -> None:
        self.spans = Queue(visibility_timeout=self.visibility, max_receive_count=1_000, dead_letters=self.dead)
        self._session = Session()
        self.s3 = S3()
        self.s3.put("b", self.key, self.body)
        sqs = Sqs({"records": self.records, "spans": self.spans})
        self.ledger = Table({"ingestion": "S", "part": "S"})
        self.backend = Backend(DynamoDB({"ledger": self.ledger}), sqs)
        self._sqs = InMemory(self.backend, Server(seconds=0.02))

    def producer(self) -> Producer:
        """A new execution environment."""
        settings = ProducerSettings.from_env({"QUEUE_URL": f"{URL}records", "SPAN_QUEUE_URL": f"{URL}spans"})
        lane = lane_to(self._sqs, SEND_MESSAGE_BATCH)
        client = s3.S3(self._session, self.fetch())
        records, spans = (
            QueueSender(url, lane, max_batch_bytes=1_048_576)
            for url in (settings.queue_url, settings.span_queue_url or "")
        )
        return Producer(settings, Objects(client), records, RejectStore(client), self.accounting(), spans)

    def fetch(self) -> SlowObjects:
        """The way to S3."""
        return SlowObjects(self.s3, self.chunk_seconds)

    def accounting(self) -> Accounting:
        """An open ledger."""
        update, delete, query = (lane_to(self._sqs, each) for each in (UPDATE_ITEM, DELETE_ITEM, QUERY))
        return Accounting(
            Ledger("ledger", 90, update, delete, query), lambda: Announcer(lane_to(self._sqs, PUT_EVENTS))
        )

    async def settle(self, ingestion: str) -> Account:
        """Account for each message as a worker does that has written its rows; return the account."""
        accounting = self.accounting()
        before = await accounting.ledger.account(ingestion, NEVER)
        counts = before.counts()
        assert counts["inFlight"] == sum(len(bodies[0]["rows"]) for bodies in self.messages.values())
        assert before.spans[0]["messages"] == len(self.messages)
        done = {number: Counts(len(bodies[0]["rows"])) for number, bodies in self.messages.items()}
        await accounting.settle(ingestion, 0, done, NEVER)
        return await accounting.ledger.account(ingestion, NEVER)

    @property
    def notification(self) -> Json:
        return event_of(s3_record("b", self.key))

    async def in_one_run(self) -> Json:
        """Run without an end of time; return the answer."""
        return await produce(self.producer(), self.notification, NEVER)

    async def in_many_runs(self, seed: int = 0, *, killed: float = 0.0, pollers: int = 1) -> None:
        """Run until the span queue is empty; some runs are killed, at any moment."""
        self.spans.send(json.dumps(self.notification), {}, now())
        draw = random.Random(seed)
        async with asyncio.timeout(36_000), asyncio.TaskGroup() as tasks:
            for _ in range(pollers):
                tasks.create_task(self._poll(draw, killed))

    async def _poll(self, draw: random.Random, killed: float) -> None:
        while self.spans.held:
            received = self.spans.receive(1, now())
            if not received:
                await asyncio.sleep(0.5)
                continue
            self.runs += 1
            event, end = event_of(*(each.lambda_record() for each in received)), now() + TIMEOUT
            work = produce(self.producer(), event, Deadline(end - RESERVE), Deadline(end - ANSWER))
            dies = draw.random() < killed
            try:
                async with asyncio.timeout(draw.uniform(0, TIMEOUT) if dies else TIMEOUT):
                    answer = await work
            except TimeoutError:
                assert dies, "the invocation was stopped by its timeout"
                continue
            # One that is killed at its very end was done, but nobody knows.
            if not answer["batchItemFailures"] and not (dies and draw.random() < 0.5):
                self.spans.delete(received[0].receipt)

    @property
    def messages(self) -> dict[int, list[Json]]:
        """The messages of each number, without the time of packing."""
        found: dict[int, list[Json]] = {}
        for message in self.records.messages:
            body = json.loads(message.body)
            del body["processedAt"]
            found.setdefault(body["message"], []).append(body)
        return found

    @property
    def rejects(self) -> list[Reject]:
        """The rejects in all files, each row once."""
        files = [stored.body for (_, key), stored in self.s3.objects.items() if key.startswith("rejects/")]
        return sorted({reject for body in files for reject in read_rejects(bytes(body))})


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> list[Json]:
    """What the producer logs of objects."""
    logged: list[Json] = []

    def log(_level: int, _event: str, **fields: Any) -> None:
        logged.append(fields)

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(ingest, "log", log)

    async def at_once(work: Callable[[], Any]) -> Any:
        return work()

    monkeypatch.setattr(asyncio, "to_thread", at_once)  # virtual time does not wait for threads
    return logged


CONTENT = csv_of(ROWS)
COUNTS = ("totalRows", "validRows", "rejectedRows", "rejectReasons", "found", "ingestion")


@dataclass
class Long:
    """What one long run of the file left behind."""

    messages: dict[int, list[Json]]
    rejects: list[Reject]
    result: Json


@cache
def one_long_run() -> Long:
    stack = Stack(CONTENT)
    (result,) = run(stack.in_one_run())["objects"]
    messages = stack.messages
    assert [len(each) for each in messages.values()] == [1] * len(messages)
    return Long(messages, stack.rejects, result)


@pytest.fixture
def whole(results: list[Json]) -> Long:
    """The file in one long run, in the environment of `results`."""
    long = one_long_run()
    results.clear()
    return long


def check(stack: Stack, results: list[Json], whole: Long) -> None:
    """Compare with one long run."""
    messages = stack.messages
    assert messages.keys() == whole.messages.keys()
    for number, bodies in messages.items():
        assert all(body == whole.messages[number][0] for body in bodies)
    assert stack.rejects == whole.rejects
    assert not stack.dead.held
    complete = [each for each in results if each["status"] == "complete"]
    assert complete
    for each in complete:
        assert {name: each[name] for name in COUNTS} == {name: whole.result[name] for name in COUNTS}
    account = run(stack.settle(complete[0]["ingestion"]))
    assert account.entry["status"] == "done_with_rejects"
    assert account.counts() == {
        "read": whole.result["totalRows"],
        "written": whole.result["validRows"],
        "rejected": whole.result["rejectedRows"],
        "superseded": 0,
        "inFlight": 0,
    }
    assert [event["DetailType"] for event in stack.backend.events] == ["Ingestion Completed"]


def test_runs_of_three_seconds_send_what_one_long_run_sends(results: list[Json], whole: Long) -> None:
    stack = Stack(CONTENT)
    run(stack.in_many_runs())
    check(stack, results, whole)
    assert [len(bodies) for bodies in stack.messages.values()] == [1] * len(stack.messages)
    assert stack.runs >= 3
    assert [each["status"] for each in results] == ["handed on"] * (stack.runs - 1) + ["complete"]
    assert results[-1]["messagesSent"] == len(stack.messages)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_runs_that_are_killed_at_any_moment_lose_and_change_nothing(
    seed: int, results: list[Json], whole: Long
) -> None:
    stack = Stack(CONTENT)
    run(stack.in_many_runs(seed, killed=0.5))
    check(stack, results, whole)


@pytest.mark.parametrize("seed", range(5))
def test_runs_at_the_same_time_send_the_same(seed: int, results: list[Json], whole: Long) -> None:
    stack = Stack(CONTENT, visibility=1.0)
    run(stack.in_many_runs(seed, killed=0.3, pollers=3))
    check(stack, results, whole)


def test_file_that_no_run_gets_through_fails(results: list[Json]) -> None:
    # What is compressed is read from its beginning each time.
    stack = Stack(gzip.compress(CONTENT), "uploads/a.csv.gz", chunk_seconds=1.5)
    run(stack.in_many_runs())
    assert results[-1]["status"] == "failed"
    assert "invocations in a row did not get beyond row" in results[-1]["reason"]
    assert not stack.spans.held
    assert stack.runs <= 5
    account = run(stack.settle(results[-1]["ingestion"]))
    assert account.entry["status"] == "failed"
    counts = account.counts()
    assert counts["read"] == counts["written"] + counts["rejected"] > 0


def test_rest_that_is_delivered_again_after_the_end_leaves_the_account_closed(results: list[Json], whole: Long) -> None:
    stack = Stack(CONTENT)

    async def twice() -> tuple[Account, Account]:
        end = now() + TIMEOUT
        await produce(stack.producer(), stack.notification, Deadline(end - RESERVE), Deadline(end - ANSWER))
        (rest,) = stack.spans.receive(1, now())
        late = event_of(rest.lambda_record())
        await produce(stack.producer(), late, NEVER)
        closed = await stack.settle(results[-1]["ingestion"])
        await produce(stack.producer(), late, NEVER)
        return closed, await stack.accounting().ledger.account(results[-1]["ingestion"], NEVER)

    closed, after = run(twice())
    assert closed.entry["status"] == after.entry["status"] == "done_with_rejects"
    assert closed.counts() == after.counts()
