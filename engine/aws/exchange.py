"""Exchanges with S3: one request on a connection of its own, its reply read in pieces while it comes.

The connection is closed at the end: next to what an object takes to read, opening one is little, and no connection can
have gone stale. It is this side that closes: uvloop loses what it still holds of a TLS connection when the other side
does. Memory: the request's body, what one read asks for, and as much again that came meanwhile.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import cast
from urllib.parse import urlsplit

import httptools

from engine.aws.http1 import MAX_HEAD_BYTES, Headers, Origin, connect
from engine.aws.types import Request

AHEAD_BYTES = 262_144
"""What may have come without having been asked for; then the server has to wait."""


class Exchange(asyncio.Protocol):
    """One request and its reply: after `send` there are `status` and `headers`, the body comes by `read`."""

    def __init__(self, patience: float) -> None:
        """Wait at most `patience` seconds for the head, and for what one read asks for."""
        self.status = 0
        self.headers = Headers([])
        self._patience = patience
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._pieces: deque[bytes] = deque()
        self._held = 0  # bytes in all pieces
        self._wanted = 0  # bytes that `_enough` waits for; 0: the head
        self._enough: asyncio.Future[None] | None = None
        self._failure: tuple[type[OSError], str] | None = None  # an exception would refer to who raised it
        self._complete = self._paused = False
        self._transport: asyncio.Transport | None = None

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the head of the reply. Raises `TimeoutError` and `ConnectionError`."""
        if self._transport is not None:
            self._transport.write(head)
            if body:
                self._transport.write(body)
        await self._wait(0)
        if self._failure is not None and self.status < 200:
            kind, reason = self._failure
            raise kind(reason)

    async def read(self, most: int) -> bytes:
        """Return the next `most` bytes of the body; fewer at its end or before a failure, none behind its end.

        Raises `TimeoutError` when they do not come in time, and `ConnectionError` when the connection breaks.
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
        """Close the connection without waiting; what was not read is gone."""
        self._fail(ConnectionError, "the connection was closed")
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
            self._fail(TimeoutError, "nothing more came in time")
        finally:
            self._enough = None

    def _satisfied(self) -> bool:
        if self._complete or self._failure is not None:
            return True
        return self._held >= self._wanted if self._wanted else self.status >= 200

    def _wake(self) -> None:
        if self._enough is not None and not self._enough.done() and self._satisfied():
            self._enough.set_result(None)

    def _fail(self, kind: type[OSError], reason: str) -> None:
        """Note why nothing more comes; what has come can still be read."""
        if not self._complete and self._failure is None:
            self._failure = kind, reason
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport (called by the event loop)."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        """Parse bytes of the reply (called by the event loop)."""
        if self.status < 200:
            self._head_bytes += len(data)
        try:
            if self._parser is not None:
                self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionError, f"the reply is not HTTP: {type(error).__name__}")
            return
        if self.status < 200 and self._head_bytes > MAX_HEAD_BYTES:
            self._fail(ConnectionError, "the head of the reply has no end")
        elif self._complete and self._transport is not None:
            self._transport.abort()
        elif self._held >= self._wanted + AHEAD_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is not complete (called by the event loop)."""
        self._fail(ConnectionError, type(exc).__name__ if exc else "the server closed the connection")
        # Both refer to this object, which would be kept until somebody looks for circles: in these processes, rarely.
        self._transport = self._parser = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; those behind the body are none (called by the parser)."""
        if self.status < 200:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the head, unless it is an interim one, which the real one follows (called by the parser)."""
        if not self._complete and self._parser is not None:
            self.status, self.headers, self._fields = self._parser.get_status_code(), Headers(self._fields), []

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body (called by the parser)."""
        if not self._complete:
            self._pieces.append(body)
            self._held += len(body)

    def on_message_complete(self) -> None:
        """Note the end of the body; what may follow is none of it (called by the parser)."""
        self._complete = self.status >= 200


async def fetch(request: Request, patience: float, tls: ssl.SSLContext) -> Exchange:
    """Send a request and return its reply as soon as the head is there.

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
