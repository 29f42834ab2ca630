"""Bytes from a server, in any pieces -> one reply, or a connection that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from engine.aws.exchange import Exchange
from engine.aws.http1 import MAX_BODY_BYTES, Connection
from tests.builders.csv_text import cut
from tests.fakeaws.virtual_time import run
from tests.fuzz.source import Source, seed

_REPLIES = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: "e"\r\n\r\nabc',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nxyz",
    b"HTTP/1.1 503 Slow Down\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny",
)
SEEDS = [seed(each) for each in _REPLIES]
TOKENS = [
    *(b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/2 ", b"200 OK", b"999", b"-1", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b": ", b":", b"\0"),
    *(b"Content-Length: ", b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive", b"Upgrade: x", b"ffffffffffffffff"),
    *(b"18446744073709551616", b"0x3", b"1_0", b"0\r\n\r\n", b"X: " + b"x" * 100, b"\xff", b" folded"),
]  # fmt: skip

Outcome = tuple[object, ...]


class Wire:
    """The transport of a connection to nowhere."""

    def __init__(self) -> None:
        self.open = True

    def write(self, data: bytes) -> None:
        """Lose it."""

    def abort(self) -> None:
        """Note that nothing more is to come."""
        self.open = False

    def pause_reading(self) -> None:
        """Come all the same: the most of an input is far less than is held."""

    def resume_reading(self) -> None:
        """Do nothing."""


def check(data: bytes) -> None:
    """The outcome does not depend on the pieces, and is a reply or an error of the connection."""
    source = Source(data)
    sizes, used = source.sizes(), source.below(2)
    text = source.rest(3_000)
    whole = run(reply([text], used=bool(used)))
    assert run(reply(cut(text, sizes), used=bool(used))) == whole, "a reply depends on its pieces"
    assert run(_exchange([text])) == run(_exchange(cut(text, sizes))), "an exchange depends on its pieces"


async def reply(pieces: Iterable[bytes], *, used: bool = False) -> Outcome:
    connection, wire = Connection(), Wire()
    connection.connection_made(cast(Any, wire))
    if used:
        first = asyncio.ensure_future(connection.send(b"POST / HTTP/1.1\r\n\r\n", b"", 5))
        await asyncio.sleep(0)
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await first
    sending = asyncio.ensure_future(connection.send(b"POST / HTTP/1.1\r\n\r\n", b"", 5))
    await asyncio.sleep(0)
    for piece in pieces:
        if wire.open:
            connection.data_received(piece)
    connection.connection_lost(None)
    try:
        status, _, body = await sending
    except (ConnectionError, TimeoutError):
        assert connection.closed
        return ("failed",)
    assert 200 <= status <= 999
    assert len(body) <= MAX_BODY_BYTES
    return status, body


async def _exchange(pieces: Iterable[bytes]) -> Outcome:
    exchange, wire = Exchange(5), Wire()
    exchange.connection_made(cast(Any, wire))
    sending = asyncio.ensure_future(exchange.send(b"GET / HTTP/1.1\r\n\r\n", b""))
    await asyncio.sleep(0)
    for piece in pieces:
        if wire.open:
            exchange.data_received(piece)
    exchange.connection_lost(None)
    came = b""
    try:
        await sending
        while part := await exchange.read(100):
            came += part
    except (ConnectionError, TimeoutError):
        return ("failed",)
    return exchange.status, came
