"""Sending to a queue that throttles, breaks, forgets and refuses: each message is accepted, or the run fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.aws.queues import MAX_BYTES_IN_FLIGHT, MAX_IN_FLIGHT, QueueSender
from engine.aws.types import SEND_MESSAGE_BATCH
from engine.errors import BadFile, DeadlineExceeded, ServiceError
from engine.flow.attempts import now
from engine.flow.backoff import NEVER, Deadline
from engine.messages.message import Outgoing
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import (
    ACCESS_DENIED,
    BAD_JSON,
    EXPIRED_TOKEN,
    NO_QUEUE,
    SQS_ERROR,
    SQS_THROTTLED,
    UNAVAILABLE,
    CloseAfter,
    Failed,
    Fault,
    Garbage,
    Reset,
    Silent,
    Slow,
    Sometimes,
    Truncated,
    Unmentioned,
    always,
)
from tests.faults.lanes import lane_to

BATCH_BYTES = 1_048_576


def messages(count: int, size: int = 200) -> list[Outgoing]:
    attributes = {"records": {"DataType": "Number", "StringValue": "1"}}
    return [Outgoing(f"{number:06d}".encode().ljust(size, b"x"), 1, attributes) for number in range(count)]


@asynccontextmanager
async def sender(server: FaultServer, max_batch_bytes: int = BATCH_BYTES) -> AsyncIterator[QueueSender]:
    async with lane_to(server, SEND_MESSAGE_BATCH) as lane:
        yield QueueSender(server.queue_url(), lane, max_batch_bytes=max_batch_bytes)


def received(server: FaultServer) -> list[str]:
    return sorted(message.body[:6] for message in server.queues["user-csv-queue"].messages)


def all_of(count: int) -> list[str]:
    return [f"{number:06d}" for number in range(count)]


async def test_success_without_faults(fault_server: FaultServer) -> None:
    async with sender(fault_server) as queue, queue.sending(NEVER) as sending:
        for message in messages(203):
            await sending.put([message])
    assert sending.accepted == 203
    assert received(fault_server) == all_of(203)
    assert sorted(fault_server.queues["user-csv-queue"].batches) == [3] + [10] * 20
    assert fault_server.queues["user-csv-queue"].messages[0].attributes["records"]["StringValue"] == "1"


@pytest.mark.parametrize(
    ("size", "batch_bytes", "fit"),
    [(61_000, BATCH_BYTES, 10), (200_000, BATCH_BYTES, 5), (1_048_500, BATCH_BYTES, 1), (1_000, 4_096, 4)],
)
async def test_batches_stay_within_byte_limit(fault_server: FaultServer, size: int, batch_bytes: int, fit: int) -> None:
    async with sender(fault_server, batch_bytes) as queue, queue.sending(NEVER) as sending:
        await sending.put(messages(20, size))
    assert received(fault_server) == all_of(20)
    assert max(fault_server.queues["user-csv-queue"].batches) == fit


async def test_bytes_and_calls_in_flight_are_bounded(fault_server: FaultServer) -> None:
    fault_server.plan = always(Slow(0.02))
    async with sender(fault_server) as queue, queue.sending(NEVER) as sending:
        await sending.put(messages(120, 500_000))
    assert received(fault_server) == all_of(120)
    most = max(len(call.entries) for call in fault_server.calls)
    assert 1 < fault_server.most_in_flight * most * 500_000 <= MAX_BYTES_IN_FLIGHT
    fault_server.most_in_flight = 0
    async with sender(fault_server) as queue, queue.sending(NEVER) as sending:
        await sending.put(messages(2_000))
    assert 1 < fault_server.most_in_flight <= MAX_IN_FLIGHT


FAULTS: list[Fault] = [
    SQS_THROTTLED,
    SQS_ERROR,
    UNAVAILABLE,
    EXPIRED_TOKEN,
    Failed(0.5),
    Failed(1.0),
    Failed(0.5, code="RequestThrottled", sender_fault=True),
    Unmentioned(0.3),
    Unmentioned(1.0),
    Reset(),
    Garbage(),
    CloseAfter(),
    Slow(0.05),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_transient_fault_only_delays(fault_server: FaultServer, fault: Fault) -> None:
    fault_server.plan = [fault, None, fault, fault]
    async with sender(fault_server) as queue, queue.sending(NEVER) as sending:
        await sending.put(messages(55))
    assert sending.accepted == 55
    assert received(fault_server) == all_of(55)


@pytest.mark.parametrize(
    "fault", [Reset(applied=True), BAD_JSON, Truncated(), Unmentioned(0.5, accepted=True)], ids=repr
)
async def test_entries_of_unclear_outcome_are_sent_again(fault_server: FaultServer, fault: Fault) -> None:
    # Twice is harmless, for both write the same items; not at all would be a loss.
    fault_server.plan = [fault]
    async with sender(fault_server) as queue, queue.sending(NEVER) as sending:
        await sending.put(messages(10))
    assert set(received(fault_server)) == set(all_of(10))


async def test_only_missing_entries_are_sent_again(fault_server: FaultServer) -> None:
    fault_server.plan = [Failed(0.4), Unmentioned(0.5)]
    async with sender(fault_server) as queue, queue.sending(NEVER) as sending:
        await sending.put(messages(10))
    assert [len(call.entries) for call in fault_server.calls] == [10, 4, 2]
    assert received(fault_server) == all_of(10)


async def test_many_faults_lose_nothing(fault_server: FaultServer) -> None:
    fault_server.plan = Sometimes(0.5, [fault for fault in FAULTS if fault is not EXPIRED_TOKEN])
    async with sender(fault_server) as queue, queue.sending(NEVER) as sending:
        await sending.put(messages(1_000))
    assert received(fault_server) == all_of(1_000)


@pytest.mark.parametrize("fault", [ACCESS_DENIED, NO_QUEUE, Failed(0.1, "InvalidMessageContents", True)], ids=repr)
async def test_fatal_error_ends_the_run(fault_server: FaultServer, fault: Fault) -> None:
    fault_server.plan = always(fault)
    async with sender(fault_server) as queue:
        with pytest.raises(ServiceError) as caught:
            async with queue.sending(NEVER) as sending:
                await sending.put(messages(5_000))
    assert "000" not in str(caught.value).replace("400", "")


async def test_credentials_that_stay_expired_raise(fault_server: FaultServer) -> None:
    fault_server.plan = always(EXPIRED_TOKEN)
    async with sender(fault_server) as queue:
        with pytest.raises(ServiceError, match="ExpiredToken"):
            async with queue.sending(NEVER) as sending:
                await sending.put(messages(3))


@pytest.mark.parametrize("fault", [SQS_THROTTLED, Failed(1.0), Unmentioned(1.0), Silent(), Reset()], ids=repr)
async def test_deadline_ends_sending_as_failure(fault_server: FaultServer, fault: Fault) -> None:
    fault_server.plan = always(fault)
    async with sender(fault_server) as queue:
        with pytest.raises((DeadlineExceeded, ServiceError)):
            async with queue.sending(Deadline(now() + 0.3)) as sending:
                await sending.put(messages(30))
    assert not received(fault_server)


async def test_error_of_the_caller_is_passed_on_unchanged(fault_server: FaultServer) -> None:
    async def fail_after_sending(queue: QueueSender) -> None:
        async with queue.sending(NEVER) as sending:
            await sending.put(messages(30))
            raise BadFile("no header")

    async with sender(fault_server) as queue:
        with pytest.raises(BadFile, match="no header"):
            await fail_after_sending(queue)
