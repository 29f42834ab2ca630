"""Exchanges with S3: each request has its own connection, and its reply is read in pieces as it arrives.

The connection is closed at the end: opening one is cheap compared with reading an object, and no connection can be
stale. The client closes first, because uvloop drops data it has buffered for a TLS connection when the server closes.
Memory: the request's body, what one read asks for, and `AHEAD_BYTES`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from urllib.parse import urlsplit

from engine.aws.http1 import Origin, ReplyProtocol, connect
from engine.aws.types import Request

AHEAD_BYTES = 262_144
"""Bytes received ahead of reads before the server is made to wait."""


class Exchange(ReplyProtocol):
    """One request and its reply: `send` sets `status` and `headers`, `read` returns the body."""

    def __init__(self, patience: float) -> None:
        """Wait at most `patience` seconds for the head, and for each read."""
        super().__init__()
        self._patience = patience
        self._pieces: deque[bytes] = deque()
        self._held = 0  # bytes in all pieces
        self._wanted = 0  # bytes that `_enough` waits for, 0 for the head
        self._enough: asyncio.Future[None] | None = None
        self._failure: tuple[type[OSError], str] | None = None  # an exception's traceback would make a cycle
        self._complete = self._paused = False

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the head of the reply. Raises `TimeoutError` and `ConnectionError`."""
        if self._transport is not None:
            self._transport.write(head)
            if body:
                self._transport.write(body)
        await self._wait(0)
        if self._failure is not None and not self.status:
            kind, reason = self._failure
            raise kind(reason)

    async def read(self, most: int) -> bytes:
        """Return the next `most` bytes of the body: fewer at its end or before a failure, none after its end.

        Raises `TimeoutError` when they do not arrive in time, and `ConnectionError` when the connection breaks.
        """
        await self._wait(most)
        if not self._held and self._failure is not None:
            kind, reason = self._failure
            raise kind(reason)
        taken, missing = [], most
        while missing and self._pieces:
            piece = self._pieces.popleft()
            if len(piece) > missing:
                self._pieces.appendleft(piece[missing:])
                piece = piece[:missing]
            taken.append(piece)
            missing -= len(piece)
        self._held -= most - missing
        return b"".join(taken)

    def close(self) -> None:
        """Close the connection without waiting and discard unread bytes."""
        self.fail(ConnectionError, "the connection was closed")
        self._pieces.clear()
        self._held = 0

    async def _wait(self, wanted: int) -> None:
        self._wanted = wanted
        if self._satisfied():
            return
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._enough = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._patience):
                await self._enough
        except TimeoutError:
            self.fail(TimeoutError, "nothing more came in time")
        finally:
            self._enough = None

    def _satisfied(self) -> bool:
        if self._complete or self._failure is not None:
            return True
        return self._held >= self._wanted if self._wanted else self.status > 0

    def _wake(self) -> None:
        if self._enough is not None and not self._enough.done() and self._satisfied():
            self._enough.set_result(None)

    def fail(self, kind: type[OSError], reason: str) -> None:
        """Close the connection and record why; bytes received before can still be read."""
        if not self._complete and self._failure is None:
            self._failure = kind, reason
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes (called by the event loop)."""
        super().data_received(data)
        if self._complete and self._transport is not None:
            self._transport.abort()
        elif self._held >= self._wanted + AHEAD_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_body(self, body: bytes) -> None:
        """Store a piece of the body (called by the parser)."""
        self._bytes_without_body = 0
        if not self._complete:
            self._pieces.append(body)
            self._held += len(body)

    def on_message_complete(self) -> None:
        """Note the end of the body; later bytes are ignored (called by the parser)."""
        self._complete = self.status > 0


async def fetch(request: Request, patience: float, tls: ssl.SSLContext) -> Exchange:
    """Send a request and return its reply once the head has arrived.

    Raises `TimeoutError` when a step takes longer than `patience` seconds, and `ConnectionError`.
    """
    origin, parts = Origin.of(request.url), urlsplit(request.url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    fields = "".join([f"{name}: {value}\r\n" for name, value in request.headers.items()])
    head = f"{request.method} {target} HTTP/1.1\r\nHost: {origin.name}\r\n{fields}\r\n"
    exchange = await connect(lambda: Exchange(patience), origin, tls, patience)
    try:
        await exchange.send(head.encode("latin-1"), request.body)
    except BaseException:
        exchange.close()
        raise
    return exchange
