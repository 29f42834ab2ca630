"""The lane for hot calls: one operation of one service, signed and sent without a general client's serialisers.

The caller builds the body once; a retry sends the same bytes again.
"""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import Awaitable, Callable

import orjson

from engine.aws.http1 import Origin
from engine.aws.session import Session
from engine.aws.sign import Credentials, Signer
from engine.aws.types import Operation, Reply, Transport
from engine.errors import DeadlineExceeded, ServiceError, Verdict
from engine.flow.attempts import now, pause, until
from engine.flow.backoff import Backoff, Deadline
from engine.throttling import throttling_reasons

CALL_TIMEOUT = 10.0
"""Seconds that a call may take, unless its caller knows the service to be slower. Answers take tens of milliseconds."""

# A namespace may precede the code, and a URL may follow it.
_CODE = re.compile(r"(?:.*#)?([\w.]{1,64})(?::.*)?", re.ASCII)


class Lane:
    """Sends one operation, and waits between attempts. A process has one lane for each operation."""

    def __init__(
        self,
        operation: Operation,
        transport: Transport,
        credentials: Callable[[bool], Awaitable[Credentials]],
        *,
        endpoint_url: str,
        region: str,
        backoff: Backoff | None = None,
        call_timeout: float = CALL_TIMEOUT,
    ) -> None:
        self.operation, self._call_timeout = operation, call_timeout
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

    async def call(self, body: bytes, deadline: Deadline, seconds: float | None = None) -> bytes:
        """Send `body` once and return the body of the reply, which may take so many `seconds` (the lane's own if None).

        Raises `ServiceError` for anything but a successful reply (its verdict says what can be done about it), and
        `DeadlineExceeded` when no time is left.
        """
        name = self.operation.name
        timeout = min(seconds or self._call_timeout, deadline.remaining(now()))
        if timeout <= 0:
            raise DeadlineExceeded(f"no time left for {name}")
        second = int(time.time())
        if second != self._second or self._current is None:
            # Formatting the date and asking botocore for credentials once a second is enough.
            async with until(deadline, "reading credentials"):
                found = await self._credentials(False)
            if found != self._current:  # calls in flight compare theirs by identity, see below
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
        code, message, throttling = _error_of(reply)
        failure = ServiceError(name, code, reply.status, message, throttling=throttling)
        if failure.verdict is Verdict.EXPIRED:
            async with until(deadline, "renewing credentials"), self._renewing:
                if self._current is credentials:  # else another call has renewed them
                    self._current = await self._credentials(True)
        try:
            raise failure
        finally:
            del failure  # else its traceback, which refers to this frame, would keep the rows alive

    async def pause(self, attempt: int, deadline: Deadline) -> None:
        """Sleep before trying again after failure number `attempt` (from 0).

        Raises `DeadlineExceeded` at once if the deadline would come first.
        """
        await pause(self._backoff, attempt, deadline, self.operation.name)


def _error_of(reply: Reply) -> tuple[str, str, tuple[str, ...]]:
    """Return code and message of an error reply, and why it throttles.

    Both JSON protocols call the first two ``__type`` and ``message``.
    """
    try:
        body = orjson.loads(reply.body)
        code, message = str(body["__type"]), body.get("message") or body.get("Message") or ""
        throttling = throttling_reasons(body)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        code, message, throttling = "", "", ()
    found = _CODE.fullmatch(code)
    if found is None:
        # A proxy or load balancer answered, perhaps with HTML: only the status is known.
        return "UnreadableReply" if reply.status >= 500 else f"HTTP{reply.status}", "", ()
    return found[1], str(message), throttling


def lane_for(operation: Operation, transport: Transport, using: Session) -> Lane:
    """Return the lane for `operation`, with the endpoint, region and credentials of `using`."""
    url, region = using.endpoint(operation.service)
    return Lane(operation, transport, using.credentials, endpoint_url=url, region=region)
