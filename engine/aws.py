"""Where AWS clients are made, and the one lane that opens sockets for hot calls and sleeps for back-off.

`client` makes an ordinary aiobotocore client, for everything that is not hot. A `Lane` sends one operation of one
service (BatchWriteItem, SendMessageBatch) past the general client's serialisers: the body is made once by the caller,
signed, and can be sent again as it is. Region, endpoint and credentials come from the same session as the clients'.

A transport is one callable, `Transport`: a request in, a reply out. Anything else that answers like it can stand in.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import aioboto3
import aiohttp
import botocore.exceptions
import orjson
from aiobotocore.config import AioConfig
from botocore.httpsession import get_cert_path

from engine.errors import DeadlineExceeded, ServiceError, Verdict
from engine.http1 import Pool
from engine.retry import Backoff, Deadline
from engine.sign import Credentials, Signer

CALL_TIMEOUT = 10.0
"""Seconds that one hot call may take. BatchWriteItem answers in tens of milliseconds: past this it hangs."""

MAX_CONNECTIONS = 160
"""Connections that a lane keeps at most; calls in flight are bounded by each `engine.gate.Gate`."""


MAX_EXPIRIES = 3
"""How often in a row fresh credentials may be called expired before that is a fault of the settings."""


def session(region: str | None = None, profile: str | None = None) -> aioboto3.Session:
    """Return a session: the one source of credentials and region for clients and lanes."""
    return aioboto3.Session(region_name=region, profile_name=profile)


def client(
    service: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    using: aioboto3.Session | None = None,
    attempts: int = 5,
    read_timeout: float = 30,
) -> AbstractAsyncContextManager[Any]:
    """Return an aiobotocore client for `service`, to be entered with ``async with``.

    Its parameters are not validated (the service does that). A failed call is tried `attempts` times in all, by
    botocore's standard mode; an answer may take `read_timeout` seconds.
    """
    config = AioConfig(
        retries={"mode": "standard", "total_max_attempts": attempts},
        parameter_validation=False,
        connect_timeout=5,
        read_timeout=read_timeout,
        max_pool_connections=MAX_CONNECTIONS,
    )
    chosen = using or session(region)
    opened: AbstractAsyncContextManager[Any] = chosen.client(
        service, region_name=region, endpoint_url=endpoint_url, config=config
    )
    return opened


@contextmanager
def service_errors(operation: str) -> Iterator[None]:
    """Turn what botocore raises inside into `ServiceError`."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        raise ServiceError(operation, said.get("Code", "Unknown"), status, said.get("Message", "")) from error
    except botocore.exceptions.NoCredentialsError as error:
        raise ServiceError(operation, "NoCredentials", 403, "no AWS credentials were found") from error
    except (botocore.exceptions.BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ServiceError(operation, "ConnectionFailed", 0, type(error).__name__) from error


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


def transport(kind: str, using: aioboto3.Session) -> AbstractAsyncContextManager[Transport]:
    """Open the transport of that kind, ``lean`` or ``aiohttp``.

    Both keep connections alive and check certificates against the authorities that the clients of the session trust.
    """
    # aioboto3 has no public way to a setting of its session.
    bundle = using._session.get_config_variable("ca_bundle")
    tls = ssl.create_default_context(cafile=get_cert_path(bundle or True))
    return _lean_transport(tls) if kind == "lean" else _aiohttp_transport(tls)


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


@asynccontextmanager
async def _aiohttp_transport(tls: ssl.SSLContext) -> AsyncIterator[Transport]:
    """Open the general transport, which costs more and knows proxies (``HTTPS_PROXY``)."""
    connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=30, ssl=tls)
    skipped = ("Accept", "Accept-Encoding", "User-Agent")
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, skip_auto_headers=skipped, trust_env=True
    ) as http:

        async def send(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
            limit = aiohttp.ClientTimeout(total=seconds)
            try:
                async with http.post(url, data=body, headers=headers, timeout=limit, allow_redirects=False) as reply:
                    return Reply(reply.status, reply.headers, await reply.read())
            except aiohttp.ServerTimeoutError as error:
                raise TimeoutError(str(error)) from error
            except (aiohttp.ClientError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                raise ConnectionError(type(error).__name__) from error

        yield send


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a service with a JSON protocol."""

    service: str
    name: str
    target: str
    content_type: str = "application/x-amz-json-1.0"


BATCH_WRITE_ITEM = Operation("dynamodb", "BatchWriteItem", "DynamoDB_20120810.BatchWriteItem")
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
            operation.service, region, urlsplit(self._url).netloc, operation.content_type, operation.target
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
            self._current = await self._credentials(False)
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
                    self._current = await self._credentials(True)
        raise failure

    async def pause(self, attempt: int, deadline: Deadline) -> None:
        """Sleep before trying again after failure number `attempt` (from 0).

        Raises `DeadlineExceeded` at once when the deadline would come first.
        """
        await pause(self._backoff, attempt, deadline, self.operation.name)


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


def credentials_of(make_session: Callable[[], aioboto3.Session]) -> Callable[[bool], Awaitable[Credentials]]:
    """Return a function that gives current credentials, renewed in time by botocore where they can expire.

    Called with True it begins again with a new session, that is, asks the whole provider chain: what a service has
    just called expired is not used twice.
    """
    current: Any = None

    async def get(renew: bool) -> Credentials:
        nonlocal current
        with service_errors("reading credentials"):
            if current is None or renew:
                # boto3 types this as the credentials themselves; aioboto3's session returns them by a coroutine.
                loading: Any = make_session().get_credentials()
                current = await loading
            if current is None:
                raise botocore.exceptions.NoCredentialsError
            frozen = await current.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    return get


@asynccontextmanager
async def lane(operation: Operation, transport: Transport, *, using: aioboto3.Session) -> AsyncIterator[Lane]:
    """Open the lane for `operation`, with the endpoint and region that `using` gives its service."""
    async with client(operation.service, using=using) as resolved:
        yield Lane(
            operation,
            transport,
            credentials_of(session),
            endpoint_url=resolved.meta.endpoint_url,
            region=resolved.meta.region_name,
        )
