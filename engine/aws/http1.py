"""The lean transport: HTTP/1.1 requests over kept-alive connections, parsed by httptools, and nothing else.

It sends POST requests to one origin, one at a time on each connection, and returns status, headers and body. The other
features of a general client (redirects, cookies, proxies, compression, hooks) cost more than half a core at the rate of
the hot calls. `engine.aws.aiohttp_transport` is a general client behind the same interface, for networks that need a
proxy.

The server may close an idle connection without the client noticing, especially while the process is frozen. A request
that fails because its connection was stale is sent again at once, on a new connection. The work may then be done twice,
which is safe for all hot calls: they put the same items, or send the same messages.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

import httptools

MAX_IDLE = 160
"""Idle connections kept: as many as there can be calls in flight."""

MAX_IDLE_SECONDS = 20.0
"""Connections idle for longer are not reused: a device on the path may have dropped them silently."""

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 32 * 1_048_576
"""No service sends larger replies: BatchWriteItem, at most, returns the 16 MB that it was sent."""

CONNECT_SECONDS = 5.0


class StaleConnectionError(ConnectionError):
    """A reused connection was closed before any byte of the reply arrived."""


class Headers:
    """Header fields of a reply. Lookup ignores case; values are decoded on lookup."""

    __slots__ = ("_fields",)

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        self._fields = fields

    def get(self, name: str) -> str | None:
        """Return the value of the first field of that name, or None."""
        wanted = name.lower().encode("latin-1")
        for field, value in self._fields:
            if field.lower() == wanted:
                return value.decode("latin-1")
        return None


RawReply = tuple[int, Headers, bytes]
"""HTTP status, header fields, body."""


class ReplyProtocol(asyncio.Protocol):
    """Parses the replies on a connection. `status` is 0 until the head of the current reply has arrived.

    Everything but bodies is bounded (heads, interim replies, trailers, chunk framing): more than `MAX_HEAD_BYTES`
    without a byte of body closes the connection.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers = Headers([])
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._bytes_without_body = 0

    def fail(self, kind: type[OSError], reason: str) -> None:
        """Close the connection; a caller that waits for it gets this exception."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport (called by the event loop)."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not subclasses of it

    def data_received(self, data: bytes) -> None:
        """Parse received bytes (called by the event loop)."""
        if self._parser is None:
            return
        self._bytes_without_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail(ConnectionError, f"the reply is not HTTP: {type(error).__name__}")
            return
        if self._bytes_without_body > MAX_HEAD_BYTES:
            self.fail(ConnectionError, "the reply has a head or trailers without end")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever is incomplete (called by the event loop)."""
        self.fail(ConnectionError, type(exc).__name__ if exc else "the server closed the connection")
        # Both refer to this object. Without this the cycle would stay until garbage collection, which rarely runs here.
        self._transport = self._parser = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header field, or a trailer, which nobody reads (called by the parser)."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Store status and headers, unless the reply is an interim one (called by the parser)."""
        if self._parser is not None and not self.status:
            status = self._parser.get_status_code()
            if status >= 200:
                self.status, self.headers = status, Headers(self._fields)
            self._fields = []


class Connection(ReplyProtocol):
    """One kept-alive connection: sends a request, receives its reply, and is then free for the next request."""

    def __init__(self) -> None:
        super().__init__()
        self._reply: asyncio.Future[RawReply] | None = None
        self._body: list[bytes] = []
        self._size = 0  # bytes of the body
        self._used = self._begun = False
        self.closed = False

    async def send(self, head: bytes, body: bytes, seconds: float) -> RawReply:
        """Send a request and wait for its reply.

        Raises `TimeoutError`, `StaleConnectionError`, or `ConnectionError` with the reason, and closes the connection.
        """
        if self.closed or self._transport is None:
            raise StaleConnectionError("the connection was closed while idle")
        loop = asyncio.get_running_loop()
        self._reply = loop.create_future()
        self.status = self._size = self._bytes_without_body = 0
        self._fields, self._begun = [], False
        timer = loop.call_later(seconds, self._expire)
        try:
            self._transport.write(head + body)
            return await self._reply
        except BaseException:
            self.close()  # bytes that arrive later would be taken for the next reply
            raise
        finally:
            timer.cancel()
            self._reply = None
            self._body = []
            self._used = True

    def close(self) -> None:
        """Close the connection without waiting."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def fail(self, kind: type[OSError], reason: str) -> None:
        """Close the connection; the request in flight, if any, gets this exception."""
        self.close()
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(kind(reason))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request in flight, if any (called by the event loop)."""
        if self._used and not self._begun:
            self.fail(StaleConnectionError, "the server had closed the connection")
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Refuse an unsolicited reply (called by the parser at its first byte)."""
        self._begun = True
        if self._reply is None:  # the server is out of step, so the connection must not be reused
            self.close()

    def on_body(self, body: bytes) -> None:
        """Store a piece of the body (called by the parser)."""
        self._bytes_without_body = 0
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self.fail(ConnectionError, "the server sent more than a reply")
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Deliver the reply, unless it is an interim one (called by the parser)."""
        if not self.status:
            return
        if self._parser is not None and not self._parser.should_keep_alive():
            self.close()
        reply, self._reply = self._reply, None
        if reply is not None and not reply.done():
            reply.set_result((self.status, self.headers, b"".join(self._body)))

    def _expire(self) -> None:
        self.fail(TimeoutError, "no reply in time")


class Origin(NamedTuple):
    """The origin of an http(s) URL: all its paths share connections and the Host header."""

    scheme: str
    host: str
    port: int
    name: str
    """The value of the Host header: it includes the port unless that is the scheme's default, as in signatures."""

    @classmethod
    def of(cls, url: str) -> Origin:
        """Return the origin of a URL. Raises `ValueError` unless it is an http(s) URL."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http(s) URL: {url}")
        usual = 443 if parts.scheme == "https" else 80
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = parts.port or usual
        return cls(parts.scheme, parts.hostname, port, name if port == usual else f"{name}:{port}")


Protocol = TypeVar("Protocol", bound=asyncio.Protocol)


async def connect(factory: Callable[[], Protocol], origin: Origin, tls: ssl.SSLContext, seconds: float) -> Protocol:
    """Open a connection and return its protocol; `tls` checks the certificates of https servers.

    Raises `TimeoutError` and `ConnectionError`.
    """
    secure = origin.scheme == "https"
    try:
        async with asyncio.timeout(min(seconds, CONNECT_SECONDS)):
            _, protocol = await asyncio.get_running_loop().create_connection(
                factory,
                origin.host,
                origin.port,
                ssl=tls if secure else None,
                server_hostname=origin.host if secure else None,
            )
    except TimeoutError:
        raise TimeoutError("no connection in time") from None
    except ssl.SSLCertVerificationError as error:
        raise ConnectionError(f"the certificate of {origin.host} is not trusted: {error.verify_message}") from error
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        raise ConnectionError(f"{origin.host} cannot be reached: {type(error).__name__}") from error
    return protocol


class Pool:
    """Connections to one origin, opened on demand; the most recently used one is reused first."""

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext,
        *,
        max_idle_seconds: float = MAX_IDLE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare for `url`; `tls` checks certificates.

        `clock` measures idle time. It is the wall clock, as the monotonic clock may stop while the process is frozen.
        """
        self._origin, self._tls = Origin.of(url), tls
        self._max_idle_seconds, self._clock = max_idle_seconds, clock
        self._start = f"POST {urlsplit(url).path or '/'} HTTP/1.1\r\nHost: {self._origin.name}\r\n"
        self._idle: deque[tuple[float, Connection]] = deque()  # (idle since, connection), oldest first

    async def send(self, headers: Mapping[str, str], body: bytes, seconds: float) -> RawReply:
        """Send a POST and return status, headers and body of the reply.

        Raises `TimeoutError` after `seconds`, and `ConnectionError`.
        """
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{self._start}{fields}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        connection = self._idle_one()
        if connection is not None:
            try:
                return self._back(connection, await connection.send(head, body, seconds))
            except StaleConnectionError:
                self.close()  # the others are most likely stale too
            except TimeoutError:
                self.close()  # if this one died silently, so did the others: one timeout is enough
                raise
        connection = await connect(Connection, self._origin, self._tls, end - clock())
        return self._back(connection, await connection.send(head, body, end - clock()))

    def _back(self, connection: Connection, reply: RawReply) -> RawReply:
        """Return a connection to the pool after a complete reply."""
        if not connection.closed:
            if len(self._idle) < MAX_IDLE:
                self._idle.append((self._clock(), connection))
            else:
                connection.close()
        return reply

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop()[1].close()

    def _idle_one(self) -> Connection | None:
        oldest = self._clock() - self._max_idle_seconds
        while self._idle:
            since, connection = self._idle.pop()
            if not connection.closed and since >= oldest:
                return connection
            connection.close()
        return None
