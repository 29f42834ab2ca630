"""The span queue and the producers that it invokes, under virtual time: the real job, AWS a stand-in."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
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
from engine.jobs.producer import Producer
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
from tests.fakeaws.virtual_time import now

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/"
TIMEOUT, RESERVE, ANSWER = 3.0, 1.0, 0.3


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
    span_bytes: int | None = None
    max_rejects: str = ""
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
        env = {"QUEUE_URL": f"{URL}records", "SPAN_QUEUE_URL": f"{URL}spans", "MAX_REJECTS": self.max_rejects}
        settings = ProducerSettings.from_env(env | ({"SPAN_BYTES": str(self.span_bytes)} if self.span_bytes else {}))
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
        done: dict[int, dict[int, Counts]] = {span: {} for span in before.spans}
        for (span, number), bodies in self.messages.items():
            done[span][number] = Counts(len(bodies[0]["rows"]))
        for span, messages in done.items():
            assert before.spans[span]["messages"] == len(messages)
            await accounting.settle(ingestion, span, messages, NEVER)
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
    def messages(self) -> dict[tuple[int, int], list[Json]]:
        """The messages of each span and number, without the time of packing."""
        found: dict[tuple[int, int], list[Json]] = {}
        for message in self.records.messages:
            body = json.loads(message.body)
            del body["processedAt"]
            found.setdefault((body["span"], body["message"]), []).append(body)
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
