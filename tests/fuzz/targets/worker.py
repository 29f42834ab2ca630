"""Messages of any content before services of any mood: each row is written, recorded, handed on, or comes again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from engine.aws.newest_writer import NewestWriter
from engine.aws.queues import QueueSender
from engine.aws.table_writer import TableWriter
from engine.aws.types import BATCH_WRITE_ITEM, DESCRIBE_TABLE, PUT_ITEM, SEND_MESSAGE_BATCH
from engine.config import WorkerSettings
from engine.errors import ConfigError, MalformedMessage, ServiceError
from engine.flow.backoff import Deadline
from engine.jobs.write import Worker, work
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.rejects import RejectFile, read_rejects
from engine.schema.model import Schema
from tests.builders.invocations import SENT_MS, event_of, sqs_record
from tests.builders.newest import NEWEST
from tests.builders.samples import USERS
from tests.fakeaws.backend import Backend
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.in_memory import lane_to
from tests.fakeaws.queues import Queue
from tests.fakeaws.sqs import Sqs
from tests.fakeaws.virtual_time import now, run
from tests.fuzz.documents import DRAWN
from tests.fuzz.faulty import Faulty
from tests.fuzz.source import Source
from tests.fuzz.targets import messages

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/q"
BETWEEN = b"\x1e"
"""Between the bodies of two messages."""

SEEDS = [
    *(drawn + bytes([1, 0, 0, number]) for number, drawn in enumerate(DRAWN)),
    BETWEEN.join([*(each.rstrip(b"\0\1\2\3") for each in messages.SEEDS[:5]), bytes(24)]),
    messages.SEEDS[1].rstrip(b"\0\3") + BETWEEN + messages.SEEDS[1].rstrip(b"\0\3") + bytes(23) + b"\1",
    messages.SEEDS[0].rstrip(b"\0") + BETWEEN + b"\1\5\0" * 10 + b"\0\0",
]
TOKENS = [*messages.TOKENS, BETWEEN, b"\1\0\0", b"\1\2\0", b"\1\7\0"]


class Store:
    """Reject files, by name."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def put(self, files: list[RejectFile], bucket: str, deadline: Deadline) -> None:
        """Take them."""
        for file in files:
            self.files[file.key] = file.body


def check(data: bytes) -> None:
    """No message that is acknowledged has a row that is nowhere."""
    source = Source(data)
    schema = source.pick((USERS, NEWEST))
    hands_on = source.below(3) != 1
    seconds = source.pick((60.0, 5.0, 1.0))
    faults = Source(source.rest(5_000)[-40:])
    if source.below(2):
        bodies = [messages.body_in(source) for _ in range(1 + source.below(4))]
    else:
        bodies = [each.decode("utf-8", "replace") for each in source.rest(5_000).split(BETWEEN)][:6]
    run(_work(schema, bodies, faults, seconds, hands_on=hands_on))


async def _work(schema: Schema, bodies: list[str], faults: Source, seconds: float, *, hands_on: bool) -> None:
    table, queue, store = Table({name: schema.types[name] for name in schema.keys}), Queue(), Store()
    backend = Backend(DynamoDB({"users": table}), Sqs({"q": queue}))
    faulty = Faulty(backend, faults)
    settings = replace(WorkerSettings.from_env({"QUEUE_URL": URL, "REJECTS_BUCKET": "b"}), schema=schema)
    writer_of, operation = (NewestWriter, PUT_ITEM) if schema.conflict == "newest" else (TableWriter, BATCH_WRITE_ITEM)
    writer = writer_of(
        "users", schema, lane_to(faulty, operation), lane_to(faulty, DESCRIBE_TABLE), is_busy=lambda: False
    )
    sender = QueueSender(URL, lane_to(faulty, SEND_MESSAGE_BATCH), max_batch_bytes=1_048_576)
    worker = Worker(settings, writer, store, (lambda: sender) if hands_on else None)  # type: ignore[arg-type]
    records = [sqs_record(f"message-{number}", body) for number, body in enumerate(bodies)]
    end = now() + seconds
    try:
        answer = await work(worker, event_of(*records), Deadline(end - seconds / 3), Deadline(end - seconds / 10))
    except (ConfigError, ServiceError):
        return  # all of them come again
    assert now() <= end
    failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
    assert failed <= {record["messageId"] for record in records}
    rejected = [row for body in store.files.values() for row in read_rejects(bytes(body))]
    handed_on = [message.body for message in queue.messages]
    for record in records:
        if record["messageId"] not in failed:
            _check_acknowledged(record, schema, table, len(rejected), handed_on)


def _check_acknowledged(
    record: dict[str, Any], schema: Schema, table: Table, rejected: int, handed_on: list[str]
) -> None:
    try:
        message = parse_message(record["body"], {}, record["messageId"], SENT_MS // 1000, schema)
    except MalformedMessage as error:
        raise AssertionError("a message that cannot be read is acknowledged") from error
    if not isinstance(message, Message):
        assert rejected
        return
    written = [table.key_of(item) in table.items for item in messages.items_of(message, schema)]
    missing = written.count(False)
    if missing > rejected:
        assert handed_on, "rows of an acknowledged message are nowhere"
        rows = sum(len(document.get("rows", [0])) for document in map(json.loads, handed_on))
        assert missing <= rejected + rows, "rows of an acknowledged message are nowhere"
