"""The event loop under virtual time, and calls through memory: hours pass at once, in the right order."""

import asyncio
import time

import orjson
import pytest

from engine.aws.types import BATCH_WRITE_ITEM, SEND_MESSAGE_BATCH, Fetch, Request
from engine.errors import ServiceError, Verdict
from engine.flow.backoff import NEVER, Deadline
from tests.fakeaws.backend import Backend
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.in_memory import InMemory, InMemoryObjects, Server, lane_to
from tests.fakeaws.queues import Queue
from tests.fakeaws.s3 import S3
from tests.fakeaws.sqs import Sqs
from tests.fakeaws.virtual_time import Deadlock, Livelock, VirtualTimeLoop, now, run


@pytest.mark.parametrize("start", [0.0, 1e6, 1_775_260_800.0])
def test_sleeping_takes_no_time_and_wakes_in_order(start: float) -> None:
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, now() - start))

    async def scenario() -> float:
        await asyncio.gather(sleep("day", 86_400.0), sleep("instant", 0.0), sleep("hour", 3_600.0), sleep("ms", 0.001))
        return now()

    began = time.monotonic()
    ended = run(scenario(), start)
    assert time.monotonic() - began < 5
    assert [name for name, _ in woken] == ["instant", "ms", "hour", "day"]
    assert [after for _, after in woken] == pytest.approx([0.0, 0.001, 3_600.0, 86_400.0], abs=1e-5)
    assert ended == pytest.approx(start + 86_400.0, abs=1e-5)


def test_many_timers_do_not_drift() -> None:
    async def scenario() -> float:
        for _ in range(10_000):
            await asyncio.sleep(0.01)
        return now()

    assert run(scenario()) == pytest.approx(100.0, abs=1e-6)


def test_timeouts_end_what_takes_longer() -> None:
    async def scenario() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(31)
        return now()

    assert run(scenario()) == pytest.approx(30)


def test_loop_that_turns_without_end_is_an_error() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110 - what it is about
            await asyncio.sleep(0)

    with pytest.raises(Livelock), asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(most_turns=1_000)) as runner:
        runner.run(spin())


def test_waiting_for_what_cannot_come_is_an_error() -> None:
    async def scenario() -> None:
        await asyncio.sleep(5)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match=r"at 5\.000 s"):
        run(scenario())


def put(row: int) -> bytes:
    item = {"email": {"S": "a@example.com"}, "createdAt": {"N": str(row)}}
    return orjson.dumps({"RequestItems": {"users": [{"PutRequest": {"Item": item}}]}})


def in_memory(server: Server) -> tuple[InMemory, Table]:
    table = Table({"email": "S", "createdAt": "N"})
    return InMemory(Backend(DynamoDB({"users": table})), server), table


def test_calls_take_their_time_side_by_side_or_one_by_one() -> None:
    async def scenario(transport: InMemory) -> float:
        lane = lane_to(transport, BATCH_WRITE_ITEM)
        await asyncio.gather(*(lane.call(put(row), NEVER) for row in range(6)))
        return now()

    transport, table = in_memory(Server(0.2))
    assert run(scenario(transport)) == pytest.approx(0.2)
    assert (len(table.items), transport.most_in_flight) == (6, 6)
    assert run(scenario(in_memory(Server(0.2, workers=2))[0])) == pytest.approx(0.6)


def test_a_call_that_is_given_up_is_done_all_the_same() -> None:
    transport, table = in_memory(Server(60.0))

    async def scenario() -> None:
        with pytest.raises(ServiceError, match="CallTimedOut"):
            await lane_to(transport, BATCH_WRITE_ITEM).call(put(1), Deadline(now() + 5))
        assert now() == pytest.approx(5.0)
        assert not table.items
        await asyncio.sleep(60)
        assert (transport.in_flight, len(table.items)) == (0, 1)

    run(scenario())


def test_refusals_are_the_services_own() -> None:
    async def scenario() -> list[tuple[str, Verdict]]:
        transport = InMemory(Backend(sqs=Sqs({"q": Queue()})))
        found = []
        for operation, body in (
            (BATCH_WRITE_ITEM, put(1)),
            (SEND_MESSAGE_BATCH, b'{"QueueUrl":"x/q","Entries":[]}'),
            (SEND_MESSAGE_BATCH, b'{"QueueUrl":"x/q"}'),
        ):
            with pytest.raises(ServiceError) as caught:
                await lane_to(transport, operation).call(body, NEVER)
            found.append((caught.value.code, caught.value.verdict))
        return found

    assert run(scenario()) == [
        ("ResourceNotFoundException", Verdict.FATAL),
        ("EmptyBatchRequest", Verdict.FATAL),
        ("SerializationException", Verdict.POISON),
    ]


def test_objects_come_through_memory() -> None:
    s3 = S3()
    s3.put("bucket", "a.csv", b"0123456789")

    async def scenario() -> tuple[int, str | None, list[bytes]]:
        fetch: Fetch = InMemoryObjects(s3, seconds=1.0)
        url = "http://127.0.0.1:1/bucket/a.csv"
        reply = await fetch(Request("GET", url, {"Range": "bytes=2-"}), 10.0)
        pieces = [await reply.read(5) for _ in range(3)]
        assert now() == pytest.approx(1.0)
        with pytest.raises(TimeoutError):
            await fetch(Request("GET", url, {}), 0.5)
        return reply.status, reply.headers.get("content-range"), pieces

    assert run(scenario()) == (206, "bytes 2-9/10", [b"23456", b"789", b""])
