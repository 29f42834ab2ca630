"""The lane over real sockets: what each kind of reply becomes, whose reply it is, and who signs."""

import asyncio
import gc
import hashlib
import json
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from engine.aws.lane import CALL_TIMEOUT, Lane, lane_for
from engine.aws.session import Session
from engine.aws.sign import Credentials
from engine.aws.transports import open_transport
from engine.aws.types import BATCH_WRITE_ITEM, SEND_MESSAGE_BATCH
from engine.config import TRANSPORTS
from engine.errors import MAX_DETAIL, DeadlineExceeded, ServiceError, Verdict
from engine.flow.attempts import MAX_EXPIRIES, Attempts, now
from engine.flow.backoff import NEVER, Deadline
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import (
    ACCESS_DENIED,
    EXPIRED_TOKEN,
    SERVER_ERROR,
    THROTTLED,
    UNAVAILABLE,
    Call,
    CloseAfter,
    Fault,
    Garbage,
    Poison,
    Refuse,
    Reset,
    Silent,
    Slow,
    Truncated,
    WrongChecksum,
    always,
)
from tests.faults.lanes import QUICK, lane_to

pytestmark = pytest.mark.parametrize("kind", TRANSPORTS)


def put(row: int) -> bytes:
    item = {"email": {"S": f"user{row}@example.com"}, "createdAt": {"N": f"1775260800.{row:012d}"}}
    return orjson.dumps({"RequestItems": {"users": [{"PutRequest": {"Item": item}}]}})


def message(server: FaultServer, text: str) -> bytes:
    return orjson.dumps({"QueueUrl": server.queue_url(), "Entries": [{"Id": "0", "MessageBody": text}]})


def digest_in(reply: bytes) -> str:
    digest: str = json.loads(reply)["Successful"][0]["MD5OfMessageBody"]
    return digest


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


async def failure(
    server: FaultServer, kind: str, fault: Fault, deadline: Deadline = NEVER, call_timeout: float = CALL_TIMEOUT
) -> ServiceError:
    """What one call with this fault raises; the lane is as good as new after it."""
    async with lane_to(server, BATCH_WRITE_ITEM, kind, call_timeout) as lane:
        await lane.call(put(1), NEVER)
        server.plan = always(fault)
        with pytest.raises(ServiceError) as caught:
            await lane.call(put(2), deadline)
        server.plan = []
        assert json.loads(await lane.call(put(3), NEVER)) == {"UnprocessedItems": {}}
    return caught.value


REPLIES: list[tuple[Fault, str, int, Verdict]] = [
    (THROTTLED, "ThrottlingException", 400, Verdict.THROTTLE),
    (SERVER_ERROR, "InternalServerError", 500, Verdict.RETRY),
    (UNAVAILABLE, "ServiceUnavailable", 503, Verdict.RETRY),
    (ACCESS_DENIED, "AccessDeniedException", 400, Verdict.FATAL),
    (Poison(lambda item: True), "ValidationException", 400, Verdict.POISON),
    (Refuse("SomethingNewException", 400), "SomethingNewException", 400, Verdict.FATAL),
    (Refuse("SomethingNewException", 500), "SomethingNewException", 500, Verdict.RETRY),
    (Refuse("SomethingNewException", 429), "SomethingNewException", 429, Verdict.THROTTLE),
    (WrongChecksum(), "CRC32CheckFailed", 0, Verdict.RETRY),
    (Truncated(), "ConnectionFailed", 0, Verdict.RETRY),
    (Garbage(), "UnreadableReply", 503, Verdict.RETRY),
    (Garbage(502, b""), "UnreadableReply", 502, Verdict.RETRY),
    (Garbage(403, b"<html>go away"), "HTTP403", 403, Verdict.FATAL),
    (Garbage(429, b""), "HTTP429", 429, Verdict.THROTTLE),
    (Garbage(400, b"[]"), "HTTP400", 400, Verdict.FATAL),
    (Garbage(400, b'{"message":"no type"}'), "HTTP400", 400, Verdict.FATAL),
    (Garbage(302, b""), "HTTP302", 302, Verdict.FATAL),
    (Garbage(500, b"\xff\xfe"), "UnreadableReply", 500, Verdict.RETRY),
]


@pytest.mark.parametrize(
    ("fault", "code", "status", "verdict"),
    REPLIES,
    ids=[f"{type(fault).__name__}-{code}-{status}" for fault, code, status, _ in REPLIES],
)
async def test_bad_reply_becomes_its_error_code(
    fault_server: FaultServer, kind: str, fault: Fault, code: str, status: int, verdict: Verdict
) -> None:
    error = await failure(fault_server, kind, fault)
    assert (error.code, error.status, error.verdict) == (code, status, verdict)
    assert error.operation == "BatchWriteItem"


async def test_error_message_is_shown_only_if_it_cannot_quote_content(fault_server: FaultServer, kind: str) -> None:
    poison = await failure(fault_server, kind, Poison(lambda item: True, "the value of user2@example.com is wrong"))
    assert poison.detail == "the value of user2@example.com is wrong"
    assert "user2" not in str(poison)
    denied = await failure(fault_server, kind, Refuse("AccessDeniedException", 400, "User x is not authorized"))
    assert "User x is not authorized" in str(denied)


async def test_reset_of_first_call_is_connection_failure(fault_server: FaultServer, kind: str) -> None:
    async with lane_to(fault_server, BATCH_WRITE_ITEM, kind) as lane:
        fault_server.plan = always(Reset())
        with pytest.raises(ServiceError) as caught:
            await lane.call(put(1), NEVER)
    assert (caught.value.code, caught.value.verdict) == ("ConnectionFailed", Verdict.RETRY)


async def test_refused_connection_is_connection_failure(fault_server: FaultServer, kind: str) -> None:
    async with FaultServer() as gone:
        pass
    async with lane_to(gone, BATCH_WRITE_ITEM, kind) as lane:
        with pytest.raises(ServiceError) as caught:
            await lane.call(put(1), NEVER)
    assert (caught.value.code, caught.value.status, caught.value.verdict) == ("ConnectionFailed", 0, Verdict.RETRY)


async def test_silent_server_times_out(fault_server: FaultServer, kind: str) -> None:
    error = await failure(fault_server, kind, Silent(), call_timeout=0.2)
    assert (error.code, error.verdict) == ("CallTimedOut", Verdict.RETRY)
    error = await failure(fault_server, kind, Slow(5), call_timeout=0.2)
    assert error.code == "CallTimedOut"


async def test_timeout_ends_at_deadline(fault_server: FaultServer, kind: str) -> None:
    began = now()
    error = await failure(fault_server, kind, Silent(), Deadline(now() + 1.0))
    assert error.code == "CallTimedOut"
    assert now() - began < CALL_TIMEOUT - 1


async def test_nothing_is_sent_after_deadline(fault_server: FaultServer, kind: str) -> None:
    async with lane_to(fault_server, BATCH_WRITE_ITEM, kind) as lane:
        with pytest.raises(DeadlineExceeded, match="BatchWriteItem"):
            await lane.call(put(1), Deadline(now() - 1))
        with pytest.raises(DeadlineExceeded, match="BatchWriteItem"):
            await lane.pause(50, Deadline(now() - 1))
    assert not fault_server.calls


async def test_64_concurrent_calls_get_their_own_replies(fault_server: FaultServer, kind: str) -> None:
    async with lane_to(fault_server, SEND_MESSAGE_BATCH, kind) as lane:
        for wave in range(3):
            fault_server.plan = always(Slow(0.1)) if wave == 0 else []
            texts = [f"{wave}-{number}" for number in range(64)]
            replies = await asyncio.gather(*(lane.call(message(fault_server, text), NEVER) for text in texts))
            assert [digest_in(reply) for reply in replies] == [md5(text) for text in texts]
    assert fault_server.most_in_flight == 64
    assert fault_server.connections == 64  # kept alive from wave to wave


async def test_late_reply_is_not_taken_for_the_next(fault_server: FaultServer, kind: str) -> None:
    async with lane_to(fault_server, SEND_MESSAGE_BATCH, kind, call_timeout=0.5) as lane:
        fault_server.plan = [None, Slow(0.6), None, Slow(0.7), None]
        for number in range(5):
            if number in (1, 3):
                with pytest.raises(ServiceError, match="CallTimedOut"):
                    await lane.call(message(fault_server, str(number)), NEVER)
            else:
                assert digest_in(await lane.call(message(fault_server, str(number)), NEVER)) == md5(str(number))
            await asyncio.sleep(0.05 * number)


async def test_cancelled_call_leaves_no_reply_behind(fault_server: FaultServer, kind: str) -> None:
    async with lane_to(fault_server, SEND_MESSAGE_BATCH, kind) as lane:
        await lane.call(message(fault_server, "first"), NEVER)
        fault_server.plan = [Slow(0.1)]
        task = asyncio.create_task(lane.call(message(fault_server, "cancelled"), NEVER))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for wait in (0.0, 0.1, 0.0):
            await asyncio.sleep(wait)
            assert digest_in(await lane.call(message(fault_server, "next"), NEVER)) == md5("next")


async def test_silently_dead_connections_cost_one_timeout(
    fault_server: FaultServer, kind: str, request: pytest.FixtureRequest
) -> None:
    if kind == "aiohttp":
        request.applymarker(pytest.mark.xfail(reason="aiohttp gives up one connection at a time", strict=True))
    async with lane_to(fault_server, BATCH_WRITE_ITEM, kind, call_timeout=0.5) as lane:
        fault_server.plan = always(Slow(0.05))
        await asyncio.gather(*(lane.call(put(row), NEVER) for row in range(20)))
        before = fault_server.connections
        fault_server.plan = lambda call: Silent() if call.connection <= before else None
        with pytest.raises(ServiceError, match="CallTimedOut"):
            await lane.call(put(1), NEVER)
        await lane.call(put(1), NEVER)


async def test_connections_closed_while_idle_cost_no_failed_call(fault_server: FaultServer, kind: str) -> None:
    async with lane_to(fault_server, BATCH_WRITE_ITEM, kind) as lane:
        for number in range(3):
            fault_server.plan = [CloseAfter()]
            await lane.call(put(number), NEVER)
            await asyncio.sleep(0.05)
    assert len(fault_server.calls) == fault_server.connections == 3


class Purse:
    """Credentials that change with each renewal, and who has asked for them."""

    def __init__(self) -> None:
        self.renewals = 0

    async def __call__(self, renew: bool) -> Credentials:
        if renew:
            await asyncio.sleep(0.05)  # a service is asked
            self.renewals += 1
        return Credentials(f"KEY{self.renewals}", "secret", f"token{self.renewals}")


@asynccontextmanager
async def lane_with(server: FaultServer, kind: str, purse: Purse) -> AsyncIterator[Lane]:
    async with open_transport(kind, Session()) as transport:
        yield Lane(BATCH_WRITE_ITEM, transport, purse, endpoint_url=server.endpoint, region="us-east-1", backoff=QUICK)


def signer(call: Call) -> str:
    return call.headers["authorization"].partition("Credential=")[2].partition("/")[0]


async def test_concurrent_calls_renew_expired_credentials_once(fault_server: FaultServer, kind: str) -> None:
    purse = Purse()
    fault_server.plan = lambda call: EXPIRED_TOKEN if signer(call) == "KEY0" else None

    async def until_taken(lane: Lane, row: int) -> None:
        for _ in range(MAX_EXPIRIES + 1):
            try:
                await lane.call(put(row), NEVER)
                return
            except ServiceError as error:
                if error.verdict is not Verdict.EXPIRED:
                    raise

    async with lane_with(fault_server, kind, purse) as lane:
        await asyncio.gather(*(until_taken(lane, row) for row in range(40)))
    assert purse.renewals == 1
    assert len(fault_server.tables["users"].items) == 40
    assert fault_server.calls[-1].headers["x-amz-security-token"] == "token1"


async def test_region_endpoint_and_credentials_come_from_the_environment(
    fault_server: FaultServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SESSION_TOKEN": "the/token+==",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_DYNAMODB": fault_server.endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    session = Session()
    async with open_transport(kind, session) as transport:
        await lane_for(BATCH_WRITE_ITEM, transport, session).call(put(1), NEVER)
    (call,) = fault_server.calls
    authorization = call.headers["authorization"]
    date = call.headers["x-amz-date"]
    assert f"Credential=AKIDEXAMPLE/{date[:8]}/eu-central-1/dynamodb/aws4_request" in authorization
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target" in authorization
    assert call.headers["x-amz-security-token"] == "the/token+=="
    assert call.headers["host"] == fault_server.endpoint.removeprefix("http://")
    assert call.headers["content-type"] == "application/x-amz-json-1.0"


async def test_no_unexpected_headers_are_sent(fault_server: FaultServer, kind: str) -> None:
    async with lane_to(fault_server, BATCH_WRITE_ITEM, kind) as lane:
        await lane.call(put(1), NEVER)
    (call,) = fault_server.calls
    allowed: Sequence[Any] = (
        "host", "content-type", "content-length", "x-amz-target", "x-amz-date", "authorization",
    )  # fmt: skip
    assert set(call.headers) == set(allowed)


class Rows:
    """Stands for what a caller holds."""


async def test_failed_call_leaves_no_reference_cycle(fault_server: FaultServer, kind: str) -> None:
    # The collector looks rarely, and a traceback that holds on to itself holds on to the rows.
    fault_server.plan = lambda call: THROTTLED
    async with lane_to(fault_server, BATCH_WRITE_ITEM, kind) as lane:

        async def attempt() -> weakref.ref[Rows]:
            rows = Rows()
            attempts = Attempts(lane.pause, NEVER)
            try:
                await lane.call(put(1), NEVER)
            except ServiceError as error:
                attempts.failed(error)
            return weakref.ref(rows)

        gc.collect()
        gc.disable()
        try:
            assert (await attempt())() is None
        finally:
            gc.enable()
    assert len(fault_server.calls) == 1


async def test_error_text_is_one_short_line(fault_server: FaultServer, kind: str) -> None:
    denied = await failure(fault_server, kind, Refuse("AccessDeniedException", 400, "no\r\naccess " + "x" * 100_000))
    assert "no access xxx" in str(denied)
    assert len(str(denied)) < 400
    assert len(denied.detail) <= MAX_DETAIL


@pytest.mark.parametrize("code", ["x" * 100_000, "Two\nlines", "", "no name"], ids=lambda code: code[:10])
async def test_invalid_error_code_is_dropped(fault_server: FaultServer, kind: str, code: str) -> None:
    body = orjson.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "said"})
    error = await failure(fault_server, kind, Garbage(400, body))
    assert (error.code, error.verdict) == ("HTTP400", Verdict.FATAL)


async def test_huge_number_in_reply_is_an_ordinary_error(fault_server: FaultServer, kind: str) -> None:
    error = await failure(fault_server, kind, Garbage(400, b'{"__type":' + b"9" * 5_000 + b"}"))
    assert error.code == "HTTP400"


async def test_waiting_for_another_calls_renewal_ends_at_deadline(fault_server: FaultServer, kind: str) -> None:
    async def credentials(renew: bool) -> Credentials:
        await asyncio.sleep(30 if renew else 0)
        return Credentials("KEY", "secret")

    fault_server.plan = always(EXPIRED_TOKEN)
    async with open_transport(kind, Session()) as transport:
        lane = Lane(BATCH_WRITE_ITEM, transport, credentials, endpoint_url=fault_server.endpoint, region="us-east-1")
        patient = asyncio.ensure_future(lane.call(put(1), NEVER))
        await asyncio.sleep(0.3)
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(lane.call(put(2), Deadline(now() + 0.3)), 5)
        patient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await patient
