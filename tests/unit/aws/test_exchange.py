"""Exchanges: replies and reads in any pieces, back-pressure, and invalid replies.

No sockets: the test passes bytes to the exchange as an event loop would.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aws.exchange import AHEAD_BYTES, Exchange
from engine.aws.http1 import MAX_HEAD_BYTES

BODY = b"name,mail,phone\nJohn Doe,john@gmail.com,9876543210\n"
PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 51\r\nETag: "e"\r\n\r\n' + BODY
CHUNKED = (
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "e"\r\n\r\n'
    b"10;ext=1\r\n" + BODY[:16] + b"\r\n23\r\n" + BODY[16:] + b"\r\n0\r\nTrailer: x\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\nETag: no\r\n\r\n" + PLAIN
ANOTHER = b"HTTP/1.1 500 Error\r\nContent-Length: 3\r\n\r\nabc"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


class FakeTransport:
    """Records the calls made to it."""

    def __init__(self) -> None:
        self.written = b""
        self.aborted = False
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def may_send(self) -> bool:
        return self.reading and not self.aborted

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


def made(patience: float = 5) -> tuple[Exchange, FakeTransport]:
    exchange, transport = Exchange(patience), FakeTransport()
    exchange.connection_made(cast(Any, transport))
    return exchange, transport


async def begun(data: bytes, patience: float = 5) -> tuple[Exchange, FakeTransport]:
    """An exchange whose head has arrived."""
    exchange, transport = made(patience)
    task = asyncio.ensure_future(exchange.send(REQUEST, b""))
    await asyncio.sleep(0)
    exchange.data_received(data)
    await task
    return exchange, transport


async def whole(exchange: Exchange, most: int) -> bytes:
    parts = []
    while part := await exchange.read(most):
        assert len(part) <= most
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("reply", [PLAIN, CHUNKED, INTERIM], ids=["plain", "chunked", "interim"])
@given(cuts=st.lists(st.integers(0, 250), max_size=12), most=st.integers(1, 60))
def test_reply_is_the_same_in_any_pieces(reply: bytes, cuts: list[int], most: int) -> None:
    async def run() -> None:
        exchange, transport = made()
        places = sorted({min(cut, len(reply)) for cut in cuts} | {0, len(reply)})

        async def read() -> bytes:
            await exchange.send(REQUEST, b"")
            assert exchange.status == 200
            assert exchange.headers.get("etag") == '"e"'
            return await whole(exchange, most)

        task = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        for start, end in pairwise(places):
            exchange.data_received(reply[start:end])
            await asyncio.sleep(0)
        exchange.connection_lost(None)
        assert await task == BODY
        assert transport.written == REQUEST
        assert transport.aborted

    asyncio.run(run())


@pytest.mark.parametrize("length", range(len(PLAIN)))
async def test_connection_that_ends_early_yields_its_bytes_and_then_an_error(length: int) -> None:
    exchange, _ = made()

    async def read() -> bytes:
        await exchange.send(REQUEST, b"")
        return await exchange.read(1_000)

    task = asyncio.ensure_future(read())
    await asyncio.sleep(0)
    if length:
        exchange.data_received(PLAIN[:length])
    exchange.connection_lost(ConnectionResetError())
    came = PLAIN[:length].partition(b"\r\n\r\n")[2]
    if came:
        assert await task == came
    else:
        with pytest.raises(ConnectionError, match="ConnectionResetError"):
            await task
    with pytest.raises(ConnectionError, match="ConnectionResetError"):
        await exchange.read(1)


async def test_server_is_paused_while_nobody_reads() -> None:
    size, most = 40 * AHEAD_BYTES, 100_000
    exchange, transport = await begun(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    came = read = most_held = 0

    def serve() -> int:
        """Send until paused."""
        sent = 0
        while transport.may_send() and came + sent < size:
            exchange.data_received(b"x" * 65_536)
            sent += 65_536
        return sent

    while read < size:
        came += serve()
        most_held = max(most_held, came - read)
        task = asyncio.ensure_future(exchange.read(most))
        await asyncio.sleep(0)
        if not task.done():  # it asks for more than was received, so the server continues
            assert transport.may_send()
            came += serve()
        read += len(await task)
    assert read == size
    assert AHEAD_BYTES <= most_held < most + AHEAD_BYTES + 65_536


async def test_missing_head_times_out() -> None:
    exchange, transport = made(patience=0.01)
    with pytest.raises(TimeoutError):
        await exchange.send(REQUEST, b"")
    assert transport.aborted


async def test_body_that_stalls_yields_its_bytes_and_then_an_error() -> None:
    exchange, transport = await begun(PLAIN[:-20], patience=0.01)
    assert await exchange.read(1_000) == BODY[:-20]
    assert transport.aborted
    with pytest.raises(TimeoutError):
        await exchange.read(1_000)


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (MAX_HEAD_BYTES + 1),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000,
    ],
    ids=["ssh", "tls", "negative", "two-lengths", "endless", "interim-forever"],
)
async def test_invalid_reply_is_an_error(garbage: bytes) -> None:
    exchange, transport = made()
    task = asyncio.ensure_future(exchange.send(REQUEST, b""))
    await asyncio.sleep(0)
    exchange.data_received(garbage)
    with pytest.raises(ConnectionError):
        await task
    assert transport.aborted


async def test_garbage_between_chunks_is_an_error() -> None:
    exchange, _ = await begun(CHUNKED.partition(b"\r\n23\r\n")[0])
    exchange.data_received(b"\r\nnonsense\r\n")
    assert await exchange.read(1_000) == BODY[:16]
    with pytest.raises(ConnectionError, match="not HTTP"):
        await exchange.read(1_000)


@pytest.mark.parametrize("first", [b"", ANOTHER], ids=["later", "with-it"])
async def test_bytes_after_the_reply_are_ignored(first: bytes) -> None:
    exchange, transport = await begun(PLAIN + first)
    assert transport.aborted  # the reply is complete
    exchange.data_received(ANOTHER)
    assert exchange.status == 200
    assert await whole(exchange, 10) == BODY


async def test_closing_early_ends_connection_and_reads() -> None:
    exchange, transport = await begun(PLAIN[:-20])
    exchange.close()
    exchange.close()
    assert transport.aborted
    with pytest.raises(ConnectionError, match="closed"):
        await exchange.read(1_000)


@pytest.mark.parametrize("reply", [PLAIN, PLAIN[:-20], PLAIN[:10]], ids=["whole", "cut", "head"])
async def test_finished_exchange_leaves_no_reference_cycle(reply: bytes) -> None:
    gc.disable()  # in the functions collection is rare
    try:
        exchange, transport = made()
        task = asyncio.ensure_future(exchange.send(REQUEST, b""))
        await asyncio.sleep(0)
        exchange.data_received(reply)
        exchange.connection_lost(None)
        with suppress(ConnectionError):
            await task
        left = weakref.ref(exchange)
        del exchange, task
        await asyncio.sleep(0)  # until then the loop holds the error
        assert transport.aborted
        assert left() is None
    finally:
        gc.enable()


async def test_trailers_are_ignored_and_bounded() -> None:
    exchange, transport = await begun(CHUNKED.partition(b"Trailer")[0])
    trailer = b"Trailer: x\r\n"
    for _ in range(100):
        exchange.data_received(trailer)
    assert exchange.headers.get("trailer") is None
    assert transport.may_send()
    for _ in range(MAX_HEAD_BYTES // len(trailer)):
        exchange.data_received(trailer)
    assert not transport.may_send()
    assert await exchange.read(1_000) == BODY
    with pytest.raises(ConnectionError, match="without end"):
        await exchange.read(1_000)


async def test_protocol_upgrade_is_an_error() -> None:
    exchange, _ = made()
    task = asyncio.ensure_future(exchange.send(REQUEST, b""))
    await asyncio.sleep(0)
    exchange.data_received(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    with pytest.raises(ConnectionError, match="not HTTP"):
        await task


async def test_cancelled_read_consumes_nothing() -> None:
    exchange, _ = await begun(PLAIN[:-20])
    task = asyncio.ensure_future(exchange.read(1_000))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    exchange.data_received(PLAIN[-20:])
    assert await exchange.read(1_000) == BODY
