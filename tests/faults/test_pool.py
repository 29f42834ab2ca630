"""The pool of the lean transport: which connections are reused, and what remains of closed ones."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.aws.http1 import MAX_IDLE_SECONDS, Connection, Origin, Pool, connect

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
TLS = ssl.create_default_context()


class Server:
    """Answers every request; counts connections, and those that the client has closed."""

    def __init__(self) -> None:
        """Listen on a free port once entered."""
        self.opened = self.closed = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Server:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self._writers.append(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\nbody")
                writer.write(REPLY)
                await asyncio.sleep(0.02)  # so that concurrent calls need separate connections
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed += 1
            writer.close()


class Clock:
    """A wall clock set by the test."""

    def __init__(self) -> None:
        """Show some time."""
        self.now = 1_775_260_800.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


@asynccontextmanager
async def pool_to(server: Server, clock: Clock) -> AsyncIterator[Pool]:
    pool = Pool(server.url, TLS, clock=clock)
    try:
        yield pool
    finally:
        pool.close()


async def call(pool: Pool, times: int = 1) -> None:
    replies = await asyncio.gather(*(pool.send({}, b"body", 5) for _ in range(times)))
    assert [(status, body) for status, _, body in replies] == [(200, b"abc")] * times


async def test_idle_connections_are_reused_up_to_the_limit() -> None:
    clock = Clock()
    async with Server() as server, pool_to(server, clock) as pool:
        for _ in range(4):
            await call(pool)
            clock.now += MAX_IDLE_SECONDS
        assert server.opened == 1


async def test_connections_idle_for_too_long_are_closed_and_not_reused() -> None:
    clock = Clock()
    async with Server() as server, pool_to(server, clock) as pool:
        await call(pool, 5)
        assert server.opened == 5
        clock.now += MAX_IDLE_SECONDS + 0.01
        await call(pool)
        assert server.opened == 6
        await asyncio.sleep(0.1)
        assert server.closed == 5


async def test_idle_limit_is_an_argument() -> None:
    clock = Clock()
    async with Server() as server:
        pool = Pool(server.url, TLS, max_idle_seconds=1, clock=clock)
        for _ in range(3):
            await call(pool)
            clock.now += 1.5
        pool.close()
        assert server.opened == 3


async def test_time_frozen_counts_as_idle() -> None:
    # By default the wall clock counts: the event loop's may stop in a freeze.
    async with Server() as server:
        pool = Pool(server.url, TLS, max_idle_seconds=0.5)
        await call(pool)
        await call(pool)
        assert server.opened == 1
        time.sleep(0.6)  # noqa: ASYNC251 - the whole process stops
        await call(pool)
        pool.close()
        assert server.opened == 2


@pytest.mark.parametrize("closer", ["client", "server"])
async def test_closed_connection_leaves_no_reference_cycle(closer: str) -> None:
    gc.collect()
    gc.disable()  # in the functions collection is rare
    try:
        async with Server() as server:
            connection = await connect(Connection, Origin.of(server.url), TLS, 5)
            assert (await connection.send(b"POST / HTTP/1.1\r\n\r\n", b"body", 5))[0] == 200
            if closer == "client":
                connection.close()
        left = weakref.ref(connection)
        del connection
        for _ in range(100):
            if left() is None:
                return
            await asyncio.sleep(0.01)
        assert left() is None
    finally:
        gc.enable()
