"""Reject files put into an S3 that fails: put whole and unchanged, or a clear error in time."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from engine.aws.reject_store import RejectStore
from engine.aws.s3 import MAX_FAILURES, S3
from engine.aws.session import Session
from engine.aws.transports import open_fetch
from engine.config import TRANSPORTS
from engine.errors import DeadlineExceeded, ServiceError, Verdict
from engine.flow.attempts import MAX_EXPIRIES, now
from engine.flow.backoff import NEVER, Backoff, Deadline
from engine.rejects import FILE_BYTES, RejectFile
from tests.fakeaws.fault_objects import (
    S3_DENIED,
    S3_ERROR,
    S3_EXPIRED,
    SLOW_DOWN,
    Elsewhere,
    ObjectFault,
    ObjectRequest,
    ObjectServer,
    Page,
)
from tests.fakeaws.plans import Refuse, Reset, Silent, Slow
from tests.faults.lanes import QUICK

BODY = b"row,offset,reason,record\r\n" + bytes(range(256)) * (FILE_BYTES // 256)
FILE = RejectFile("rejects/größe/1 2+3.csv", BODY)

pytestmark = pytest.mark.parametrize("kind", TRANSPORTS)


@asynccontextmanager
async def store_in(
    server: ObjectServer, kind: str, *, backoff: Backoff = QUICK, patience: float = 10
) -> AsyncIterator[RejectStore]:
    with pytest.MonkeyPatch.context() as env:
        env.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        session = Session()
        async with open_fetch(kind, session) as fetch:
            yield RejectStore(S3(session, fetch, backoff=backoff, patience=patience))


def body_in(server: ObjectServer) -> bytes:
    return server.objects["bucket", FILE.key].body


def region_of(request: ObjectRequest) -> str:
    return request.headers["authorization"].split("/")[2]


async def test_files_are_put_completely(object_server: ObjectServer, kind: str) -> None:
    async with store_in(object_server, kind) as store:
        await store.put([FILE, RejectFile("rejects/empty.csv", b"")], "bucket", NEVER)
    assert body_in(object_server) == BODY
    assert object_server.objects["bucket", FILE.key].content_type == "text/csv; charset=utf-8"
    assert object_server.objects["bucket", "rejects/empty.csv"].body == b""
    assert [request.method for request in object_server.requests] == ["PUT", "PUT"]
    assert "transfer-encoding" not in object_server.requests[0].headers


@pytest.mark.parametrize(
    "fault",
    [SLOW_DOWN, S3_ERROR, Reset(), Silent(), Slow(0.05), Page(503), Page(200), Refuse("RequestTimeout", 400)],
    ids=repr,
)
async def test_passing_faults_only_delay(object_server: ObjectServer, kind: str, fault: ObjectFault) -> None:
    object_server.plan = [fault, fault]
    async with store_in(object_server, kind, patience=1 if fault == Silent() else 10) as store:
        await store.put([FILE], "bucket", NEVER)
    assert body_in(object_server) == BODY


@pytest.mark.parametrize("fault", [SLOW_DOWN, Reset(), Refuse("Unheard", 500)], ids=repr)
async def test_put_that_keeps_failing_is_given_up(object_server: ObjectServer, kind: str, fault: ObjectFault) -> None:
    object_server.plan = lambda request: fault
    async with store_in(object_server, kind) as store:
        with pytest.raises(ServiceError, match="PutObject failed") as caught:
            await store.put([FILE], "bucket", NEVER)
    assert caught.value.verdict in (Verdict.RETRY, Verdict.THROTTLE)
    # aiohttp itself repeats a PUT if a kept-alive connection turns out to be closed.
    assert MAX_FAILURES <= len(object_server.requests) <= MAX_FAILURES * (1 if kind == "lean" else 2)


async def test_denied_access_fails_at_once(object_server: ObjectServer, kind: str) -> None:
    object_server.plan = [S3_DENIED]
    async with store_in(object_server, kind) as store:
        with pytest.raises(ServiceError, match="PutObject failed: AccessDenied") as caught:
            await store.put([FILE], "bucket", NEVER)
    assert caught.value.verdict is Verdict.FATAL
    assert len(object_server.requests) == 1


@pytest.mark.parametrize("status", [301, 307, 400])
async def test_bucket_in_another_region_is_written_there(object_server: ObjectServer, kind: str, status: int) -> None:
    def plan(request: ObjectRequest) -> ObjectFault | None:
        return None if region_of(request) == "eu-central-1" else Elsewhere("eu-central-1", status)

    object_server.plan = plan
    async with store_in(object_server, kind) as store:
        await store.put([FILE, FILE], "bucket", NEVER)
    assert body_in(object_server) == BODY
    assert [region_of(request) for request in object_server.requests] == ["us-east-1", "eu-central-1", "eu-central-1"]


async def test_expired_credentials_are_renewed(
    object_server: ObjectServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(request: ObjectRequest) -> ObjectFault | None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NEW")
        return None if "Credential=NEW/" in request.headers["authorization"] else S3_EXPIRED

    object_server.plan = plan
    async with store_in(object_server, kind) as store:
        await store.put([FILE], "bucket", NEVER)
    assert body_in(object_server) == BODY
    assert len(object_server.requests) == 2


async def test_credentials_that_stay_expired_end_the_attempts(object_server: ObjectServer, kind: str) -> None:
    object_server.plan = lambda request: S3_EXPIRED
    async with store_in(object_server, kind) as store:
        with pytest.raises(ServiceError, match="PutObject failed: ExpiredToken") as caught:
            await store.put([FILE], "bucket", NEVER)
    assert caught.value.verdict is Verdict.EXPIRED
    assert len(object_server.requests) == MAX_EXPIRIES + 1


async def test_waiting_and_retries_end_at_deadline(object_server: ObjectServer, kind: str) -> None:
    async with store_in(object_server, kind, backoff=Backoff(base=60, cap=60), patience=60) as store:
        await store.put([FILE], "bucket", NEVER)  # loads S3's model, which takes a while
        for plan in ([Silent()], [SLOW_DOWN] * 9):
            object_server.plan = plan
            with pytest.raises(DeadlineExceeded, match="PutObject"):
                await asyncio.wait_for(store.put([FILE], "bucket", Deadline(now() + 0.3)), 5)


async def test_nothing_is_put_after_deadline(object_server: ObjectServer, kind: str) -> None:
    async with store_in(object_server, kind) as store:
        with pytest.raises(DeadlineExceeded, match="PutObject"):
            await store.put([FILE], "bucket", Deadline(now() - 1))
    assert not object_server.requests


@pytest.mark.parametrize("fault", [None, S3_DENIED, S3_ERROR], ids=repr)
async def test_put_leaves_no_reference_to_the_file(
    object_server: ObjectServer, kind: str, fault: ObjectFault | None
) -> None:
    gc.collect()
    gc.disable()  # in the functions collection is rare
    try:
        async with store_in(object_server, kind) as store:
            await store.put([RejectFile("k", b"loads the model")], "bucket", NEVER)
            object_server.plan = lambda request: fault
            tracemalloc.start()
            for _ in range(3):
                with suppress(ServiceError):
                    await store.put([RejectFile("k", bytes(FILE_BYTES))], "bucket", NEVER)
                object_server.objects.clear()
            await asyncio.sleep(0.1)
            held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak > FILE_BYTES
    # The server, in this process, may still hold one.
    assert held < 1.5 * FILE_BYTES


_PUT = """
import asyncio, sys
from engine.aws.reject_store import RejectStore
from engine.aws.s3 import S3
from engine.aws.session import Session
from engine.aws.transports import open_fetch
from engine.flow.backoff import NEVER
from engine.rejects import RejectFile

async def put():
    session = Session()
    async with open_fetch(sys.argv[1], session) as fetch:
        await RejectStore(S3(session, fetch)).put([RejectFile("k.csv", b"row")], "bucket", NEVER)

asyncio.run(put())
print(*sorted({name.split(".")[0] for name in sys.modules} & {"aioboto3", "aiobotocore", "boto3", "aiohttp"}))
"""


def test_first_reject_imports_no_general_client(object_server: ObjectServer, kind: str) -> None:
    program = subprocess.run(
        [sys.executable, "-c", _PUT, kind],
        env={**os.environ, "AWS_ENDPOINT_URL_S3": object_server.endpoint},
        check=True,
        capture_output=True,
        text=True,
    )
    assert program.stdout.split() == ([] if kind == "lean" else ["aiohttp"])
    assert object_server.objects["bucket", "k.csv"].body == b"row"
