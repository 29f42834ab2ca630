"""The lane: the one place that opens sockets for hot calls, and sleeps for back-off.

A `Lane` sends one operation of one service (BatchWriteItem, SendMessageBatch) past a general client's serialisers: the
body is made once by the caller, signed, and can be sent again as it is.

A transport is one callable, `Transport`: a request in, a reply out. Anything else that answers like it can stand in.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import orjson

from engine.download import fetch
from engine.errors import DeadlineExceeded, ServiceError, Verdict
from engine.http1 import Origin, Pool
from engine.retry import Backoff, Deadline
from engine.session import Session
from engine.sign import Credentials, Signer

CALL_TIMEOUT = 10.0
"""Seconds that one hot call may take. BatchWriteItem answers in tens of milliseconds: past this it hangs."""

MAX_CONNECTIONS = 160
"""Connections that a lane keeps at most; calls in flight are bounded by each `engine.gate.Gate`."""


MAX_EXPIRIES = 3
"""How often in a row fresh credentials may be called expired before that is a fault of the settings."""


class Headers(Protocol):
    """Header fields of a reply."""

    def get(self, name: str, /) -> str | None:
        """Return the value of a field, its name in any case, or None."""


class Reply(NamedTuple):
    """What came back: the HTTP status, the headers, the body."""

    status: int
    headers: Headers
    body: bytes


Transport = Callable[[str, Mapping[str, str], bytes, float], Awaitable[Reply]]
"""(url, headers, body, timeout in seconds) -> reply. Raises `ConnectionError` or `TimeoutError`."""


class Download(Protocol):
    """The reply to a GET: the HTTP status, the headers, and the body as it comes."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Headers:
        """The header fields."""

    async def read(self, most: int) -> bytes:
        """Return up to `most` bytes of the body, none at its end. Raises `ConnectionError` or `TimeoutError`."""

    def close(self) -> None:
        """Give the connection up, also in the middle of the body."""


Fetch = Callable[[str, Mapping[str, str], float], Awaitable[Download]]
"""(url, headers, seconds that each step may take) -> download. Raises `ConnectionError` or `TimeoutError`."""


def transport(kind: str, using: Session) -> AbstractAsyncContextManager[Transport]:
    """Open the transport of that kind, ``lean`` or ``aiohttp``.

    Both keep connections alive and check certificates against the authorities that the session trusts.
    """
    if kind == "lean":
        return _lean_transport(using.tls())
    from engine import proxied  # aiohttp takes long to import, and few want it

    return proxied.transport(using.tls())


def downloads(kind: str, using: Session) -> AbstractAsyncContextManager[Fetch]:
    """Open what downloads, by the transport of that kind; see `transport`."""
    if kind == "lean":
        return nullcontext(partial(fetch, tls=using.tls()))
    from engine import proxied

    return proxied.downloads(using.tls())


@asynccontextmanager
async def _lean_transport(tls: ssl.SSLContext) -> AsyncIterator[Transport]:
    """Open the project's own transport, see `engine.http1`."""
    pools: dict[str, Pool] = {}

    async def send(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
        pool = pools.get(url)
        if pool is None:
            pool = pools[url] = Pool(url, tls)
        return Reply(*await pool.post(headers, body, seconds))

    try:
        yield send
    finally:
        for pool in pools.values():
            pool.close()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a service with a JSON protocol."""

    service: str
    name: str
    target: str
    content_type: str = "application/x-amz-json-1.0"


BATCH_WRITE_ITEM = Operation("dynamodb", "BatchWriteItem", "DynamoDB_20120810.BatchWriteItem")
QUERY = Operation("dynamodb", "Query", "DynamoDB_20120810.Query")
SCAN = Operation("dynamodb", "Scan", "DynamoDB_20120810.Scan")
SEND_MESSAGE_BATCH = Operation("sqs", "SendMessageBatch", "AmazonSQS.SendMessageBatch")


class Caller(Protocol):
    """What the queue and the table need of a lane: anything that answers like one can stand in."""

    async def call(self, body: bytes, deadline: Deadline) -> bytes:
        """Send once; see `Lane.call`."""

    async def pause(self, attempt: int, deadline: Deadline) -> None:
        """Wait before another attempt; see `Lane.pause`."""


class Lane:
    """Sends one operation, and waits between attempts. One for each operation in a process."""

    def __init__(
        self,
        operation: Operation,
        transport: Transport,
        credentials: Callable[[bool], Awaitable[Credentials]],
        *,
        endpoint_url: str,
        region: str,
        backoff: Backoff | None = None,
    ) -> None:
        self.operation = operation
        self._transport, self._credentials = transport, credentials
        self._url = endpoint_url.rstrip("/") + "/"
        self._signer = Signer(
            operation.service, region, Origin.of(self._url).name, operation.content_type, operation.target
        )
        self._backoff = backoff or Backoff()
        self._second = 0
        self._amz_date = ""
        self._current: Credentials | None = None
        self._renewing = asyncio.Lock()

    async def call(self, body: bytes, deadline: Deadline) -> bytes:
        """Send `body` once and return the body of the reply.

        Raises `ServiceError` for anything but a good answer (its verdict says what may be done about it), and
        `DeadlineExceeded` when no time is left to wait for one.
        """
        name = self.operation.name
        timeout = min(CALL_TIMEOUT, deadline.remaining(now()))
        if timeout <= 0:
            raise DeadlineExceeded(f"no time left for {name}")
        second = int(time.time())
        if second != self._second or self._current is None:
            # Once a second is often enough to look at the calendar and ask botocore for credentials that expire.
            async with until(deadline, "reading credentials"):
                found = await self._credentials(False)
            if found != self._current:  # calls under way know theirs by identity, see below
                self._current = found
            self._second, self._amz_date = second, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        credentials = self._current
        headers = self._signer.headers(body, credentials, self._amz_date)
        try:
            reply = await self._transport(self._url, headers, body, timeout)
        except TimeoutError:
            raise ServiceError(name, "CallTimedOut", 0, f"no answer within {timeout:.1f} s") from None
        except ConnectionError as error:
            raise ServiceError(name, "ConnectionFailed", 0, str(error)) from error
        checksum = reply.headers.get("x-amz-crc32")
        if checksum is not None and checksum != str(zlib.crc32(reply.body)):
            raise ServiceError(name, "CRC32CheckFailed", 0, "the reply was damaged on its way")
        if reply.status == 200:
            return reply.body
        code, message = _error_of(reply)
        failure = ServiceError(name, code, reply.status, message)
        if failure.verdict is Verdict.EXPIRED:
            async with self._renewing:
                if self._current is credentials:  # else another of the calls in flight has renewed them
                    async with until(deadline, "renewing credentials"):
                        self._current = await self._credentials(True)
        try:
            raise failure
        finally:
            del failure  # it refers to this frame, and this frame to the rows: nobody would look for that circle soon

    async def pause(self, attempt: int, deadline: Deadline) -> None:
        """Sleep before trying again after failure number `attempt` (from 0).

        Raises `DeadlineExceeded` at once when the deadline would come first.
        """
        await pause(self._backoff, attempt, deadline, self.operation.name)


class Attempts:
    """The attempts at one call: which faults end them, and how long to wait in between."""

    def __init__(
        self, pause: Callable[[int, Deadline], Awaitable[None]], deadline: Deadline, most: int | None = None
    ) -> None:
        """Try until the deadline, or at most so many times in a row without progress; `pause` is a lane's."""
        self._pause, self._deadline, self._most = pause, deadline, most
        self._failed = self._expired = 0

    def failed(self, error: ServiceError) -> None:
        """Note an attempt that raised `error`; raises it again if another attempt would be in vain."""
        self._failed += 1
        self._expired = self._expired + 1 if error.verdict is Verdict.EXPIRED else 0
        hopeless = error.verdict in (Verdict.FATAL, Verdict.POISON) or self._expired > MAX_EXPIRIES
        try:
            if hopeless or self._failed == self._most:
                raise error
        finally:
            del error  # as in `Lane.call`

    def refused(self) -> None:
        """Note an attempt of which the service did nothing, without complaint."""
        self._failed += 1

    def progressed(self) -> None:
        """Note that the service has done some of what was asked: the waits begin anew."""
        self._failed = self._expired = 0

    async def wait(self) -> None:
        """Wait before the next attempt; `DeadlineExceeded` if there is no time to."""
        await self._pause(max(0, self._failed - 1), self._deadline)


async def pause(backoff: Backoff, attempt: int, deadline: Deadline, what: str) -> None:
    """Sleep before `what` is tried again after failure number `attempt`; `DeadlineExceeded` if there is no time to."""
    delay = backoff.delay(attempt, random.random())  # noqa: S311 - jitter, not a secret
    if delay >= deadline.remaining(now()):
        raise DeadlineExceeded(f"no time left to try {what} again")
    await asyncio.sleep(delay)


def _error_of(reply: Reply) -> tuple[str, str]:
    """Return code and message of an error reply; both JSON protocols put them into ``__type`` and ``message``."""
    try:
        body = orjson.loads(reply.body)
        code, message = body["__type"], body.get("message") or body.get("Message") or ""
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        # A proxy or load balancer in between answers HTML: the status is all there is.
        return "UnreadableReply" if reply.status >= 500 else f"HTTP{reply.status}", ""
    return str(code).rpartition("#")[2].partition(":")[0], str(message)


def now() -> float:
    """Return the time of the clock that deadlines are measured on: the event loop's, in seconds."""
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def until(deadline: Deadline, what: str) -> AsyncIterator[None]:
    """Break off what knows of no deadline when `deadline` comes, by `DeadlineExceeded`."""
    try:
        async with asyncio.timeout_at(deadline.at if deadline.at < float("inf") else None) as limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise DeadlineExceeded(f"no time left for {what}") from None
        raise


def lane(operation: Operation, transport: Transport, using: Session) -> Lane:
    """Return the lane for `operation`, with the endpoint, region and credentials that `using` gives its service."""
    url, region = using.endpoint(operation.service)
    return Lane(operation, transport, using.credentials, endpoint_url=url, region=region)
