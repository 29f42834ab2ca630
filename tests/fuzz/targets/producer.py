"""Lambda events through the producer's job, before services of any mood."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from engine.aws import s3
from engine.aws.announcer import Announcer
from engine.aws.ledger import Ledger
from engine.aws.objects import Objects
from engine.aws.queues import QueueSender
from engine.aws.reject_store import RejectStore
from engine.aws.session import Session
from engine.aws.types import DELETE_ITEM, PUT_EVENTS, QUERY, SEND_MESSAGE_BATCH, UPDATE_ITEM
from engine.config import ProducerSettings
from engine.errors import MillpondError
from engine.flow.backoff import Deadline
from engine.jobs.account import Accounting
from engine.jobs.ingest import produce
from engine.jobs.producer import Producer
from tests.builders.invocations import event_of, s3_record, sqs_record
from tests.fakeaws.backend import Backend
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.in_memory import InMemoryObjects, lane_to
from tests.fakeaws.queues import Queue
from tests.fakeaws.s3 import S3
from tests.fakeaws.sqs import Sqs
from tests.fakeaws.virtual_time import now, run
from tests.fuzz.documents import DRAWN
from tests.fuzz.faulty import Faulty
from tests.fuzz.source import Source, seed
from tests.fuzz.targets import events

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/"
FILE = b"name,email,phone\n" + b"".join(b"User %d,user%d@x.org,\n" % (i, i) for i in range(1, 40)) + b"bad\n"
ROWS = 40

UPLOADS = event_of(s3_record("b", "uploads/a.csv"), s3_record("b", "uploads/a b.csv"))
EVENTS = [UPLOADS, event_of(sqs_record("1", UPLOADS)), *events.EVENTS]
SEEDS = [
    seed(json.dumps(UPLOADS)),
    *(each + bytes(2) for each in events.SEEDS),
    *(drawn + bytes([7, 0, 1, 1, 0]) for drawn in DRAWN),
]
TOKENS = [*events.TOKENS, b"uploads/a.csv", b"uploads/a+b.csv"]


@cache
def session() -> Session:
    return Session()


def check(data: bytes) -> None:
    """Only errors that are foreseen come out, and an object is complete when every row is sent or rejected."""
    source = Source(data)
    seconds = source.pick((60.0, 2.0, 0.2))
    faults = Source(source.rest(20_000)[-40:]) if source.below(2) else Source(b"")
    run(_produce(events.event_in(source, EVENTS), faults, seconds))


async def _produce(event: Any, faults: Source, seconds: float) -> None:
    bucket = S3()
    for key in ("uploads/a.csv", "uploads/a b.csv"):
        bucket.put("b", key, FILE)
    records, spans = Queue(), Queue()
    ledger = Table({"ingestion": "S", "part": "S"})
    faulty = Faulty(Backend(DynamoDB({"ledger": ledger}), Sqs({"records": records, "spans": spans})), faults)
    update, delete, query = (lane_to(faulty, each) for each in (UPDATE_ITEM, DELETE_ITEM, QUERY))
    accounting = Accounting(Ledger("ledger", 90, update, delete, query), lambda: Announcer(lane_to(faulty, PUT_EVENTS)))
    lane = lane_to(faulty, SEND_MESSAGE_BATCH)
    client = s3.S3(session(), InMemoryObjects(bucket))
    producer = Producer(
        ProducerSettings.from_env(
            {
                "QUEUE_URL": f"{URL}records",
                "SPAN_QUEUE_URL": f"{URL}spans",
                "MAX_REJECTS": "100%",
                "RECORDS_PER_MESSAGE": "9",
            }
        ),
        Objects(client),
        QueueSender(f"{URL}records", lane, max_batch_bytes=1_048_576),
        RejectStore(client),
        accounting,
        QueueSender(f"{URL}spans", lane, max_batch_bytes=1_048_576),
    )
    end = now() + seconds
    try:
        answer = await produce(producer, event, Deadline(end - seconds / 3), Deadline(end - seconds / 10))
    except MillpondError:
        return
    sent: dict[str, set[int]] = {}
    for body in map(json.loads, (message.body for message in records.messages)):
        sent.setdefault(body["object"]["key"], set()).update(row[0] for row in body["rows"])
    for result in answer.get("objects", ()):
        if result["status"] == "complete":
            assert result["validRows"] + result["rejectedRows"] == result["totalRows"]
            if result["totalRows"] == ROWS:
                assert sent[result["key"]] == set(range(1, ROWS)), "an object is complete without all of its rows"
