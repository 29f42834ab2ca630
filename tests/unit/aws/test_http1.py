"""The HTTP/1.1 connection: replies in any pieces and every valid form, and invalid replies.

No sockets: the test passes bytes to the connection as an event loop would.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aws.http1 import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    Connection,
    Headers,
    Origin,
    RawReply,
    StaleConnectionError,
    connect,
)

BODY = b'{"UnprocessedItems":{}}'
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 23\r\nx-amz-crc32: 123\r\n\r\n" + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-AMZ-CRC32: 123\r\n\r\n"
    b'5;ext=1\r\n{"Unp\r\n12\r\nrocessedItems":{}}\r\n0\r\nTrailer: x\r\n\r\n'
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN
ERROR = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 23\r\nx-amz-crc32: 123\r\n\r\n{"__type":"x#Throttled"}'[:-1]


class FakeTransport:
    """Records what was written, and whether it was closed."""

    def __init__(self) -> None:
        self.written = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True


async def begun() -> tuple[Connection, FakeTransport, asyncio.Task[RawReply]]:
    """A connection with a request in flight."""
    connection, transport = Connection(), FakeTransport()
    connection.connection_made(cast(Any, transport))
    return connection, transport, await again(connection)


async def again(connection: Connection, seconds: float = 5) -> asyncio.Task[RawReply]:
    task = asyncio.ensure_future(connection.send(b"POST / HTTP/1.1\r\n\r\n", b"body", seconds))
    await asyncio.sleep(0)
    return task


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for start, end in pairwise(places):
        yield data[start:end]


@pytest.mark.parametrize("reply", [PLAIN, CHUNKED, INTERIM, ERROR], ids=["plain", "chunked", "interim", "error"])
@given(cuts=st.lists(st.integers(0, 250), max_size=12))
def test_reply_is_the_same_in_any_pieces(reply: bytes, cuts: list[int]) -> None:
    async def run() -> None:
        connection, transport, task = await begun()
        for piece in pieces(reply, cuts):
            connection.data_received(piece)
        status, headers, body = await task
        assert status == (400 if reply is ERROR else 200)
        assert body == (ERROR[-23:] if reply is ERROR else BODY)
        assert headers.get("X-Amz-Crc32") == "123"
        assert headers.get("absent") is None
        assert transport.written == b"POST / HTTP/1.1\r\n\r\nbody"
        assert not connection.closed
        # The connection can be reused.
        second = await again(connection)
        connection.data_received(PLAIN)
        assert (await second)[2] == BODY

    asyncio.run(run())


@pytest.mark.parametrize("length", range(len(PLAIN)))
async def test_connection_closed_during_the_first_reply_is_an_error(length: int) -> None:
    connection, _, task = await begun()
    if length:
        connection.data_received(PLAIN[:length])
    connection.connection_lost(None)
    with pytest.raises(ConnectionError) as caught:
        await task
    # It was new, so it was not closed while idle: the request must not be sent again at once.
    assert not isinstance(caught.value, StaleConnectionError)


async def test_connection_closed_before_a_later_reply_is_stale() -> None:
    connection, _, task = await begun()
    connection.data_received(PLAIN)
    await task
    task = await again(connection)
    connection.connection_lost(ConnectionResetError())
    with pytest.raises(StaleConnectionError):
        await task


async def test_connection_closed_during_a_later_reply_is_not_stale() -> None:
    connection, _, task = await begun()
    connection.data_received(PLAIN)
    await task
    task = await again(connection)
    connection.data_received(PLAIN[:20])
    connection.connection_lost(None)
    with pytest.raises(ConnectionError) as caught:
        await task
    assert not isinstance(caught.value, StaleConnectionError)


@pytest.mark.parametrize(
    "garbage",
    [
        b"<html>go away</html>\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nBad Header\x00: x\r\n\r\n",
    ],
)
async def test_invalid_reply_is_an_error_and_closes_the_connection(garbage: bytes) -> None:
    connection, transport, task = await begun()
    connection.data_received(garbage)
    with pytest.raises(ConnectionError):
        await task
    assert connection.closed
    assert transport.aborted


@pytest.mark.parametrize(
    "reply", [PLAIN + PLAIN, PLAIN + b"x", PLAIN + b"HTTP/1.1 200 OK\r\n"], ids=["two", "x", "half"]
)
async def test_bytes_after_a_reply_close_the_connection(reply: bytes) -> None:
    connection, _, task = await begun()
    connection.data_received(reply)
    assert (await task)[2] == BODY
    assert connection.closed


async def test_unsolicited_bytes_close_the_connection() -> None:
    connection, _, task = await begun()
    connection.data_received(PLAIN)
    await task
    connection.data_received(PLAIN)
    assert connection.closed


async def test_connection_close_header_is_obeyed() -> None:
    connection, _, task = await begun()
    connection.data_received(PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    assert (await task)[0] == 200
    assert connection.closed


async def test_endless_reply_is_an_error() -> None:
    connection, _, task = await begun()
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    megabyte = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    for _ in range((MAX_BODY_BYTES + MAX_HEAD_BYTES) // 0x100000 + 1):
        connection.data_received(megabyte)
    with pytest.raises(ConnectionError, match="more than a reply"):
        await task


async def test_missing_reply_times_out() -> None:
    connection, transport, task = await begun()
    connection.data_received(PLAIN)
    await task
    task = await again(connection, seconds=0.01)
    with pytest.raises(TimeoutError):
        await task
    assert transport.aborted


async def test_cancelled_request_closes_the_connection() -> None:
    _, transport, task = await begun()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert transport.aborted


def test_header_lookup_ignores_case() -> None:
    headers = Headers([(b"X-Amzn-RequestId", b"one"), (b"x-amzn-requestid", b"two")])
    assert headers.get("x-AMZN-requestid") == "one"


@pytest.mark.parametrize("url", ["ftp://x/", "https:///", "nonsense"])
def test_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an http"):
        Origin.of(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "name"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/", "sqs.eu-west-1.amazonaws.com", 443, "sqs.eu-west-1.amazonaws.com"),
        ("https://example.org:443/a?b=c", "example.org", 443, "example.org"),
        ("https://example.org:80/", "example.org", 80, "example.org:80"),
        ("http://127.0.0.1:4566/b/k", "127.0.0.1", 4566, "127.0.0.1:4566"),
        ("http://localhost", "localhost", 80, "localhost"),
        ("http://user:secret@MyHost:9000/", "myhost", 9000, "myhost:9000"),
        ("http://[::1]:9000/", "::1", 9000, "[::1]:9000"),
    ],
)
def test_host_header_has_a_port_unless_it_is_the_default(url: str, host: str, port: int, name: str) -> None:
    assert Origin.of(url)[1:] == (host, port, name)


@pytest.mark.parametrize("url", ["http://a..b/", f"http://{'x' * 64}.example/"])
async def test_invalid_host_name_is_a_connection_error(url: str) -> None:
    with pytest.raises(ConnectionError, match="cannot be reached"):
        await connect(Connection, Origin.of(url), ssl.create_default_context(), 5)
