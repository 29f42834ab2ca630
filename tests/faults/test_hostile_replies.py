"""Hostile and broken servers: every step of a call is bounded in bytes and in time."""

from __future__ import annotations

import asyncio
import os
import socket
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import pytest
import uvloop

from engine.aws.session import Session
from engine.aws.transports import open_fetch, open_transport
from engine.aws.types import Request
from engine.config import TRANSPORTS

MEGABYTE = 1_048_576
SOME_HEADER = b"X-Some-Header: " + b"x" * 1_000 + b"\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n%s\r\nabc"

Script = Callable[["Answer"], Awaitable[None]]


class Answer:
    """Where a script writes its reply; `sent` counts bytes, `request` is the head of the request."""

    def __init__(self, writer: asyncio.StreamWriter, request: bytes) -> None:
        """Begin."""
        self._writer = writer
        self.request = request
        self.sent = 0

    async def write(self, data: bytes) -> None:
        """Write, and wait until the client reads. Raises `ConnectionError` once the client has closed."""
        self._writer.write(data)
        self.sent += len(data)
        await self._writer.drain()


class Scripted:
    """A server on a free port whose replies are written by a script."""

    def __init__(self, host: str, script: Script) -> None:
        """Do not listen yet."""
        self._host, self._script = host, script
        self.answers: list[Answer] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Scripted:
        """Listen."""
        # A small buffer, so that the server cannot send much that the client does not read.
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        self._server = await asyncio.start_server(self._serve, sock=listening)
        self.url = f"http://{self._host}:{listening.getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(b"body") if head.startswith(b"POST") else 0)
                answer = Answer(writer, head)
                self.answers.append(answer)
                await self._script(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


Call = Callable[[str, float], Awaitable[bytes]]
"""(url, seconds) -> the whole body of the reply."""


@asynccontextmanager
async def posting(kind: str) -> AsyncIterator[Call]:
    async with open_transport(kind, Session()) as send:

        async def call(url: str, seconds: float) -> bytes:
            return (await send(url, {}, b"body", seconds)).body

        yield call


@asynccontextmanager
async def fetching(kind: str) -> AsyncIterator[Call]:
    async with open_fetch(kind, Session()) as fetch:

        async def call(url: str, seconds: float) -> bytes:
            with closing(await fetch(Request("GET", url, {}), seconds)) as reply:
                parts = []
                while part := await reply.read(MEGABYTE):
                    parts.append(part)
                return b"".join(parts)

        yield call


each = pytest.mark.parametrize("kind", TRANSPORTS)
either = pytest.mark.parametrize("way", [posting, fetching])


async def failure(way: Callable[..., object], kind: str, script: Script, seconds: float) -> tuple[int, float]:
    """Bytes sent by the server, and seconds, until the call failed."""
    clock = asyncio.get_running_loop().time
    async with Scripted("127.0.0.1", script) as server, way(kind) as call:  # type: ignore[attr-defined]
        began = clock()
        with pytest.raises((ConnectionError, TimeoutError)):
            await call(server.url, seconds)
        return max(answer.sent for answer in server.answers), clock() - began


def forever(first: bytes, then: bytes) -> Script:
    async def script(answer: Answer) -> None:
        await answer.write(first)
        for _ in range(64 * MEGABYTE // len(then)):
            await answer.write(then)

    return script


@each
@either
@pytest.mark.parametrize(
    "script",
    [
        forever(b"HTTP/1.1 200 OK\r\n", SOME_HEADER * 60),
        forever(b"HTTP/1.1 200 OK\r\nX-Endless: ", b"x" * 60_000),
        forever(b"HTTP/1.1 200 OK\r\n", b"X" * 60_000),
        forever(b"HTTP/1.1 200 ", b"x" * 60_000),
        forever(CHUNKED, SOME_HEADER * 60),
        forever(CHUNKED + b"X-Endless: ", b"x" * 60_000),
    ],
    ids=["headers", "header", "name", "reason", "trailers", "trailer"],
)
async def test_head_and_trailers_are_bounded(way: Callable[..., object], kind: str, script: Script) -> None:
    sent, seconds = await failure(way, kind, script, 20)
    assert sent < 8 * MEGABYTE  # much of it is in the kernel's buffers
    assert seconds < 15


@each
@either
async def test_chunk_framing_is_bounded(way: Callable[..., object], kind: str) -> None:
    async def endless(answer: Answer) -> None:
        await answer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=")
        while True:
            await answer.write(b"x" * 60_000)

    sent, seconds = await failure(way, kind, endless, 1)
    if kind == "lean":
        assert sent < 8 * MEGABYTE
    assert seconds < 3


@each
@either
async def test_interim_replies_are_bounded(way: Callable[..., object], kind: str) -> None:
    async def script(answer: Answer) -> None:
        while True:
            await answer.write(INTERIM * 100)

    _, seconds = await failure(way, kind, script, 1)
    assert seconds < 3


@each
async def test_oversized_body_is_refused(kind: str) -> None:
    script = forever(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"x" * MEGABYTE)
    sent, _ = await failure(posting, kind, script, 30)
    assert sent < 40 * MEGABYTE


def drip(data: bytes) -> Script:
    async def script(answer: Answer) -> None:
        while True:
            for byte in data:
                await answer.write(bytes([byte]))
                await asyncio.sleep(0.05)

    return script


@each
@either
@pytest.mark.parametrize(
    "script",
    [drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000), drip(b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["x", "100"],
)
async def test_slowly_dripping_head_times_out(way: Callable[..., object], kind: str, script: Script) -> None:
    _, seconds = await failure(way, kind, script, 0.5)
    assert seconds < 2


@each
@either
@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\nabcdefghij",
        b"HTTP/1.1 " + b"2" * 5_000 + b" OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 -200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 5_000 + b"\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    ],
    ids=["length", "hex", "underscore", "status", "negative", "chunk", "negative-chunk"],
)
async def test_invalid_number_is_not_a_reply(way: Callable[..., object], kind: str, reply: bytes) -> None:
    async def script(answer: Answer) -> None:
        await answer.write(reply)

    _, seconds = await failure(way, kind, script, 3)
    assert seconds < 2  # noticed, not timed out


@each
@either
async def test_cookies_are_not_sent_back(way: Callable[..., object], kind: str) -> None:
    async def script(answer: Answer) -> None:
        await answer.write(GOOD % b"Set-Cookie: id=1; Path=/\r\nWWW-Authenticate: Basic realm=x\r\n")

    async with Scripted("localhost", script) as server, way(kind) as call:  # type: ignore[attr-defined]
        for _ in range(3):
            assert await call(server.url, 5) == b"abc"
    assert not [answer.request for answer in server.answers if b"cookie" in answer.request.lower()]


async def test_idle_connection_does_not_keep_the_last_reply() -> None:
    size = 8 * MEGABYTE

    async def script(answer: Answer) -> None:
        await answer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(8):
            await answer.write(b"x" * MEGABYTE)

    async with Scripted("127.0.0.1", script) as server, posting("lean") as call:
        tracemalloc.start()
        try:
            assert len(await call(server.url, 10)) == size
            await asyncio.sleep(0)  # until then the loop holds the reply
            held, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak > size
        assert held < size / 2


def sockets() -> int:
    return sum(
        os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}") or os.path.islink(f"/proc/self/fd/{fd}")
    )


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts sockets in Linux's /proc")
@each
@either
@pytest.mark.parametrize("loops", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_failed_connections_leave_no_socket(
    way: Callable[..., object], kind: str, loops: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            before = sockets()
            async with way(kind) as call:  # type: ignore[attr-defined]
                for url in (f"https://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/"):
                    for _ in range(3):
                        with pytest.raises(TimeoutError):
                            await call(url, 0.1)
                        task = asyncio.ensure_future(call(url, 5))
                        await asyncio.sleep(0.05)
                        task.cancel()
                        with pytest.raises(asyncio.CancelledError):
                            await task
            for _ in range(100):
                if sockets() == before:
                    return
                await asyncio.sleep(0.02)
            assert sockets() == before
        finally:
            server.close()

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(run())
