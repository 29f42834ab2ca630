"""A producer reading from an S3 that is slow, under virtual time: it is done, or ends in time with a fault to retry."""

import json
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from engine.aws.objects import Objects
from engine.aws.queues import QueueSender
from engine.aws.reject_store import RejectStore
from engine.aws.s3 import S3
from engine.aws.session import Session
from engine.aws.transports import open_fetch
from engine.aws.types import SEND_MESSAGE_BATCH
from engine.config import TRANSPORTS, ProducerSettings
from engine.errors import DeadlineExceeded, MillpondError, ServiceError, Verdict
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.jobs.ingest import produce
from engine.jobs.producer import Producer
from tests.builders.invocations import event_of, s3_record
from tests.fakeaws.backend import Backend
from tests.fakeaws.fault_objects import (
    SLOW_DOWN,
    Cut,
    ObjectFault,
    ObjectRequest,
    ObjectServer,
    Stall,
    Trickle,
)
from tests.fakeaws.in_memory import InMemory, lane_to
from tests.fakeaws.plans import Silent, Slow
from tests.fakeaws.queues import Queue
from tests.fakeaws.sqs import Sqs
from tests.fakeaws.virtual_time import run

QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/user-csv-queue"
ROWS = 20_000
BODY = (
    "name,mail,phone\n" + "".join(f"User {row} {'x' * 60},user{row}@x.org,{row}\n" for row in range(1, ROWS + 1))
).encode()

LONGEST, RESERVE, ANSWER = 900.0, 5.0, 1.0
"""Seconds of an invocation at most, and what the handler keeps back of them."""

ObjectPlan = Callable[[ObjectRequest], ObjectFault | None]


@pytest.fixture(autouse=True)
def _same_each_time() -> None:
    random.seed(1)


@dataclass
class Ended:
    """How an invocation ended: its answer or its fault, after so many seconds, and what the queue has."""

    answer: dict[str, Any] | None
    fault: MillpondError | None
    seconds: float
    messages: list[dict[str, Any]]
    requests: int

    @property
    def rows(self) -> list[int]:
        return sorted(row[0] for message in self.messages for row in message["rows"])


def ingest(plan: ObjectPlan | list[ObjectFault | None], *, transport: str = "lean", body: bytes = BODY) -> Ended:
    """Ingest one object in an invocation of 15 minutes, while S3 does as the plan says."""

    async def scenario() -> Ended:
        queue = Queue()
        settings = ProducerSettings.from_env({"QUEUE_URL": QUEUE_URL, "RECORDS_PER_MESSAGE": "100"})
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(ObjectServer(plan))
            server.put("bucket", "a.csv", body)
            env = stack.enter_context(pytest.MonkeyPatch.context())
            env.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
            session = Session()
            s3 = S3(session, await stack.enter_async_context(open_fetch(transport, session)))
            lane = lane_to(InMemory(Backend(sqs=Sqs({"user-csv-queue": queue}))), SEND_MESSAGE_BATCH)
            sender = QueueSender(QUEUE_URL, lane, max_batch_bytes=settings.max_batch_bytes)
            producer = Producer(settings, Objects(s3), sender, RejectStore(s3))
            began, answer, fault = now(), None, None
            try:
                answer = await produce(
                    producer,
                    event_of(s3_record("bucket", "a.csv")),
                    Deadline(began + LONGEST - RESERVE),
                    Deadline(began + LONGEST - ANSWER),
                )
            except MillpondError as error:
                fault = error
            ended = now()
            messages = [json.loads(message.body) for message in queue.messages]
            return Ended(answer, fault, ended - began, messages, len(server.requests))

    return run(scenario())


def _slow_down_in_the_middle(request: ObjectRequest) -> ObjectFault | None:
    """Break off after each 200 kB, and then refuse to go on seven times."""
    return Cut(200_000) if request.number % 8 == 1 else SLOW_DOWN


FINISHED: dict[str, ObjectPlan | list[ObjectFault | None]] = {
    "stalls for minutes": [Stall(300_000), Stall(300_000), Silent(), Stall(1)],
    "heads after 20 s": lambda request: Slow(20.0),
    "heads after 20 s, each cut": lambda request: Slow(20.0) if request.number % 2 else Cut(200_000),
    "trickles, then does not": lambda request: Trickle(1_000) if request.number < 10 else None,
    "5 kB/s": lambda request: Trickle(5_000),
    "many times SlowDown": [SLOW_DOWN] * 8,
    "SlowDown in the middle": _slow_down_in_the_middle,
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("plan", FINISHED.values(), ids=FINISHED.keys())
def test_object_that_comes_slowly_is_sent_once_and_whole(
    plan: ObjectPlan | list[ObjectFault | None], transport: str
) -> None:
    # A list is used up by one run.
    ended = ingest(list(plan) if isinstance(plan, list) else plan, transport=transport)
    assert ended.fault is None
    assert ended.rows == list(range(1, ROWS + 1))
    assert ended.seconds < LONGEST - RESERVE


TOO_SLOW: dict[str, ObjectPlan] = {
    "1 kB/s": lambda request: Trickle(1_000),
    "100 bytes/s": lambda request: Trickle(100),
    "trickles after stalls": lambda request: Stall(40_000) if request.number % 2 else Trickle(500),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("plan", TOO_SLOW.values(), ids=TOO_SLOW.keys())
def test_object_that_comes_too_slowly_ends_in_time_and_is_whole_when_it_is_read_again(
    plan: ObjectPlan, transport: str
) -> None:
    ended = ingest(plan, transport=transport)
    assert isinstance(ended.fault, DeadlineExceeded)
    assert "GetObject" in str(ended.fault)
    assert LONGEST - 2 * RESERVE < ended.seconds < LONGEST
    assert ended.rows == list(range(1, len(ended.rows) + 1))
    again = ingest([], transport=transport)
    assert again.rows == list(range(1, ROWS + 1))
    # What was sent before is sent again under the same names, which write the same items.
    sent = {message["message"]: message["rows"] for message in again.messages}
    assert all(sent[message["message"]] == message["rows"] for message in ended.messages)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("plan", "code"),
    [
        (lambda request: SLOW_DOWN, "SlowDown"),
        (lambda request: Silent(), "CallTimedOut"),
        (lambda request: Slow(40.0), "CallTimedOut"),
        (lambda request: Cut(500_000) if request.number == 1 else SLOW_DOWN, "SlowDown"),
        (lambda request: Stall(0) if request.number % 2 else SLOW_DOWN, "CallTimedOut"),
    ],
    ids=["SlowDown", "silent", "heads after 40 s", "SlowDown in the middle", "stalls and SlowDown"],
)
def test_object_that_never_comes_is_a_fault_to_retry(plan: ObjectPlan, code: str, transport: str) -> None:
    ended = ingest(plan, transport=transport)
    assert isinstance(ended.fault, ServiceError)
    assert ended.fault.code == code
    assert ended.fault.verdict in (Verdict.RETRY, Verdict.THROTTLE)
    assert ended.seconds < LONGEST - RESERVE
    assert ended.rows == list(range(1, len(ended.rows) + 1))
