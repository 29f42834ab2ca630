"""Reading from an S3 that breaks off, stalls, slows down and changes underneath: every byte once, or a clear end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from engine import aws, clients
from engine.errors import DeadlineExceeded, ObjectGone, ObjectSuperseded, ServiceError, Verdict
from engine.objects import MAX_RESUMES, ObjectRef, Objects, OpenObject
from engine.retry import NEVER, Deadline
from tests.faults.conftest import plain_client
from tests.faults.lanes import QUICK
from tests.faults.objects import (
    MODIFIED,
    S3_DENIED,
    S3_ERROR,
    SLOW_DOWN,
    Cut,
    ObjectFault,
    ObjectRequest,
    ObjectServer,
    Stall,
    Whole,
)
from tests.faults.plans import Refuse, Reset, Slow

BODY = bytes(range(256)) * 8_192 + b"the end"  # 2 MiB and a little
REF = ObjectRef("bucket", "uploads/users.csv")


@asynccontextmanager
async def objects_in(server: ObjectServer) -> AsyncIterator[Objects]:
    """With a client that tries once and is impatient, so that each fault is the engine's own to deal with."""
    async with plain_client(server, "s3") as client:
        yield Objects(client, QUICK)


@pytest.fixture
def stored(object_server: ObjectServer) -> ObjectServer:
    """The server with one object."""
    object_server.put(REF.bucket, REF.key, BODY)
    return object_server


async def content(opened: OpenObject, deadline: Deadline = NEVER) -> bytes:
    with closing(opened):
        return b"".join([chunk async for chunk in opened.chunks(deadline)])


async def test_all_goes_well(stored: ObjectServer) -> None:
    async with objects_in(stored) as objects:
        for _ in range(3):
            opened = await objects.open(REF)
            assert await content(opened) == BODY
    assert opened.version.modified == MODIFIED
    assert len(stored.requests) == 3
    assert stored.connections == 1


FAULTS: list[ObjectFault] = [
    Cut(0),
    Cut(1),
    Cut(300_000),
    Cut(300_000, by_reset=False),
    Cut(len(BODY) - 1, by_reset=False),
    Stall(300_000),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_a_read_that_breaks_goes_on_at_the_byte_it_reached(stored: ObjectServer, fault: ObjectFault) -> None:
    stored.plan = [fault, fault, Reset(), Slow(0.05), fault]
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        assert await content(opened) == BODY
    first, *others = stored.requests
    assert "if-match" not in first.headers
    for request in others:
        # From the byte reached on, and of the version begun with or not at all.
        assert request.headers["if-match"] == f'"{opened.version.etag}"'
    assert [request.start for request in stored.requests] == sorted(request.start for request in stored.requests)


async def test_a_read_may_break_as_often_as_it_likes_while_it_gets_on(stored: ObjectServer) -> None:
    stored.plan = lambda request: Cut(100_000, by_reset=request.number % 2 == 0)
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        assert await content(opened) == BODY
    assert len(stored.requests) > MAX_RESUMES + 1


@pytest.mark.parametrize("fault", [Cut(0), Reset(), SLOW_DOWN, S3_ERROR, Refuse("Unheard", 500)], ids=repr)
async def test_a_read_that_gets_nowhere_is_given_up(stored: ObjectServer, fault: ObjectFault) -> None:
    stored.plan = lambda request: Cut(100_000) if request.number == 1 else fault
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        with pytest.raises(ServiceError, match="GetObject failed") as caught:
            await content(opened)
    assert caught.value.verdict in (Verdict.RETRY, Verdict.THROTTLE)
    # aiohttp itself tries a GET once more when a kept-alive connection turns out to be closed.
    assert MAX_RESUMES + 1 <= len(stored.requests) <= 2 * MAX_RESUMES + 2


@pytest.mark.parametrize("fault", [SLOW_DOWN, S3_ERROR, Reset()], ids=repr)
async def test_slowing_down_in_the_middle_only_delays(stored: ObjectServer, fault: ObjectFault) -> None:
    stored.plan = [Cut(100_000), fault, fault, Cut(100_000), fault]
    async with objects_in(stored) as objects:
        assert await content(await objects.open(REF)) == BODY


@pytest.mark.parametrize("fault", [SLOW_DOWN, S3_ERROR, Reset()], ids=repr)
async def test_slowing_down_at_the_beginning_only_delays(stored: ObjectServer, fault: ObjectFault) -> None:
    # Here it is the client that tries again: the real one.
    stored.plan = [fault]
    async with clients.client("s3", endpoint_url=stored.endpoint) as client:
        objects = Objects(client, QUICK)
        assert await content(await objects.open(REF)) == BODY
        stored.plan = [fault]
        await objects.put("bucket", "rejects/k.csv", b"rows", "text/csv")
    assert stored.objects["bucket", "rejects/k.csv"].body == b"rows"


async def test_a_range_that_is_not_heeded_mixes_nothing(stored: ObjectServer) -> None:
    stored.plan = [Cut(300_000), Whole(), Cut(1_000_000), Whole(cut=5), Whole(cut=1_200_000), Whole()]
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        assert await content(opened) == BODY
    assert all(0 < request.start <= 1_300_000 for request in stored.requests[1:])


def change(server: ObjectServer, *, delete: bool = False) -> ObjectFault | None:
    if delete:
        del server.objects[REF.bucket, REF.key]
    else:
        server.put(REF.bucket, REF.key, BODY[::-1])
    return None


async def test_an_object_replaced_underneath_is_superseded(stored: ObjectServer) -> None:
    def plan(request: ObjectRequest) -> ObjectFault | None:
        return Cut(300_000) if request.number == 1 else change(stored)

    stored.plan = plan
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        with pytest.raises(ObjectSuperseded):
            await content(opened)
    assert len(stored.requests) == 2


async def test_an_object_deleted_underneath_is_gone(stored: ObjectServer) -> None:
    def plan(request: ObjectRequest) -> ObjectFault | None:
        return Cut(300_000) if request.number == 1 else change(stored, delete=True)

    stored.plan = plan
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        with pytest.raises(ObjectGone):
            await content(opened)
    assert len(stored.requests) == 2


async def test_no_access_fails_at_once(stored: ObjectServer) -> None:
    stored.plan = [S3_DENIED]
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match="AccessDenied") as caught:
            await objects.open(REF)
    assert caught.value.verdict is Verdict.FATAL
    assert len(stored.requests) == 1


async def test_the_deadline_ends_the_trying(stored: ObjectServer) -> None:
    stored.plan = lambda request: Cut(100_000) if request.number == 1 else SLOW_DOWN
    async with plain_client(stored, "s3") as client:
        opened = await Objects(client).open(REF)
        with pytest.raises(DeadlineExceeded, match="GetObject"):
            await content(opened, Deadline(aws.now() + 0.2))


async def test_an_object_left_in_the_middle_costs_no_connection(stored: ObjectServer) -> None:
    async with clients.client("s3", endpoint_url=stored.endpoint) as client:
        objects = Objects(client, QUICK)
        for _ in range(clients.MAX_CONNECTIONS + 10):
            opened = await objects.open(REF)
            async for _ in opened.chunks():
                break
            opened.close()
        assert await content(await objects.open(REF)) == BODY
