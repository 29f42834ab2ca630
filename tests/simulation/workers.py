"""A queue, a table and the workers between them, under virtual time: the real job and writer, AWS a stand-in."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import orjson

from engine.aws.announcer import Announcer
from engine.aws.ledger import Ledger
from engine.aws.newest_writer import NewestWriter
from engine.aws.queues import QueueSender
from engine.aws.table_writer import TableWriter
from engine.aws.types import (
    BATCH_WRITE_ITEM,
    DELETE_ITEM,
    DESCRIBE_TABLE,
    PUT_EVENTS,
    PUT_ITEM,
    QUERY,
    SEND_MESSAGE_BATCH,
    UPDATE_ITEM,
)
from engine.aws.write_rate import WriteRate
from engine.config import WorkerSettings
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.jobs.account import Accounting
from engine.jobs.write import Worker, work
from engine.rejects import RejectFile
from engine.schema.model import Schema
from tests.builders.messages import Json, packed, users
from tests.builders.samples import USERS
from tests.fakeaws.backend import Backend
from tests.fakeaws.capacity import TokenBucket
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.in_memory import InMemory, Server, lane_to
from tests.fakeaws.queues import Queue
from tests.fakeaws.sqs import Sqs

QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/user-csv-queue"
# The template's defaults.
WORKERS, BATCH_SIZE, TIMEOUT, VISIBILITY, MAX_RECEIVES = 10, 10, 60.0, 360.0, 5
RESERVE, ANSWER = 3.0, 0.5


class NoRejects:
    """A store that must not be needed."""

    async def put(self, files: list[RejectFile], bucket: str, deadline: Deadline) -> None:
        """Fail where there are files."""
        assert not files, "no row of these is to be rejected"


@dataclass
class Pond:
    """The part of a stack behind the producer."""

    table: Table
    server: Server = field(default_factory=Server)
    hands_on: bool = True
    service: type[DynamoDB] = DynamoDB
    schema: Schema = USERS
    write_rate: int | None = None
    workers: int = WORKERS
    ledger: Table | None = None
    """Where rows are accounted for; without it, only the rate is shared by a ledger."""
    queue: Queue = field(init=False)
    backend: Backend = field(init=False)
    dead: Queue = field(default_factory=Queue)
    invocations: int = 0
    returned: int = 0
    rows: int = 0
    messages: int = 0

    def __post_init__(self) -> None:
        """Make the services."""
        self.queue = Queue(visibility_timeout=VISIBILITY, max_receive_count=MAX_RECEIVES, dead_letters=self.dead)
        tables = {"users": self.table, "ledger": self.ledger or Table({"ingestion": "S", "part": "S"})}
        backend = self.backend = Backend(self.service(tables), Sqs({"user-csv-queue": self.queue}))
        self.dynamodb, self.sqs = InMemory(backend, self.server), InMemory(backend)
        settings = WorkerSettings.from_env({"QUEUE_URL": QUEUE_URL, "REJECTS_BUCKET": "b"})
        self._settings = replace(settings, schema=self.schema)

    @property
    def handed_on(self) -> int:
        """Messages that workers put back into the queue."""
        return self.queue.taken - self.messages

    def fill(self, messages: int, rows: int = 500) -> None:
        """Put messages of so many rows into the queue."""
        self.send([packed(users(number * rows + 1, (number + 1) * rows), number=number) for number in range(messages)])

    def send(self, bodies: Sequence[Json]) -> None:
        """Put these messages into the queue."""
        for body in bodies:
            self.queue.send(orjson.dumps(body).decode(), {}, now())
        self.messages, self.rows = len(bodies), sum(len(body["rows"]) for body in bodies)

    def worker(self) -> Worker:
        """A new execution environment."""
        sender = QueueSender(QUEUE_URL, lane_to(self.sqs, SEND_MESSAGE_BATCH), max_batch_bytes=1_048_576)
        schema = self._settings.schema
        writer_of, operation = (
            (NewestWriter, PUT_ITEM) if schema.conflict == "newest" else (TableWriter, BATCH_WRITE_ITEM)
        )
        lane, describe = lane_to(self.dynamodb, operation), lane_to(self.dynamodb, DESCRIBE_TABLE)
        # The processor's time is not virtual, so it is left out of account.
        rate = None
        if self.write_rate:
            rate = WriteRate("ledger", self.write_rate, lane_to(self.dynamodb, UPDATE_ITEM), now)
        writer = writer_of("users", schema, lane, describe, rate=rate, is_busy=lambda: False)
        return Worker(
            self._settings,
            writer,
            NoRejects(),  # type: ignore[arg-type]
            (lambda: sender) if self.hands_on else None,
            self.accounting() if self.ledger else None,
        )

    def accounting(self) -> Accounting:
        """An open ledger."""
        update, delete, query = (lane_to(self.dynamodb, each) for each in (UPDATE_ITEM, DELETE_ITEM, QUERY))
        return Accounting(
            Ledger("ledger", 90, update, delete, query), lambda: Announcer(lane_to(self.dynamodb, PUT_EVENTS))
        )

    async def poll(self) -> None:
        """Be one execution environment, until the queue is empty."""
        worker = self.worker()
        while self.queue.held:
            received = self.queue.receive(BATCH_SIZE, now())
            if not received:
                await asyncio.sleep(1.0)
                continue
            self.invocations += 1
            end = now() + TIMEOUT
            event = {"Records": [message.lambda_record() for message in received]}
            answer = await work(worker, event, Deadline(end - RESERVE), Deadline(end - ANSWER))
            assert now() <= end, "the invocation was stopped by its timeout"
            failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
            self.returned += len(failed)
            for message in received:
                if message.message_id not in failed:
                    self.queue.delete(message.receipt)

    async def drain(self, hours: float = 1_000.0) -> float:
        """Run the workers until the queue is empty; return the seconds that took."""
        began = now()
        async with asyncio.timeout(hours * 3600), asyncio.TaskGroup() as tasks:
            for _ in range(self.workers):
                tasks.create_task(self.poll())
        return now() - began


def slow_table(
    capacity: float, *, whole_share: float = 0.0, burst_seconds: float = 300.0, tokens: float = 0.0
) -> Table:
    """The users table with so many write units a second."""
    bucket = TokenBucket(capacity, burst_seconds=burst_seconds, tokens=tokens)
    return Table({"email": "S", "createdAt": "N"}, bucket, whole_share=whole_share)
