"""Connections in memory: what the engine's own HTTP code writes is parsed here, and answered by the services."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from tests.simulate.clock import ENVIRONMENT
from tests.simulate.functions import Environment

IDLE_LIMIT = 21.0
"""Seconds: the engine's limit for idle connections, and a little more. Devices on the path drop what is idle longer."""


class Received(NamedTuple):
    """One request as it arrived; names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Services(Protocol):
    """What answers."""

    idle_seconds: float
    """For which servers keep a connection open."""

    def receive(self, connection: Connection, request: Received) -> None:
        """Answer a request on its connection, sooner or later or not at all."""

    def fail(self, error: BaseException) -> None:
        """End the run: a promise is broken."""


class Connection(asyncio.Transport):
    """The client's end of a connection, and what the server does with it."""

    def __init__(self, services: Services, protocol: Any, environment: Environment | None) -> None:
        super().__init__()
        self._services, self._protocol, self.environment = services, protocol, environment
        self._loop = asyncio.get_running_loop()
        self._data = b""
        self._answered_at: float | None = None
        self._closed = False
        self._paused: asyncio.Event | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes of a request, and pass it on when it is whole."""
        if self._closed or (self.environment and self.environment.is_dead):
            return
        self._data += bytes(data)
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if len(rest) < int(headers.get("content-length", 0)):
            return
        self._data = b""
        method, target, _ = first.split(" ")
        if self._answered_at is not None:
            idle = self._loop.time() - self._answered_at
            if idle > IDLE_LIMIT:
                self._services.fail(AssertionError(f"a connection was used again after it was idle for {idle:.0f} s"))
            if idle > self._services.idle_seconds:
                self._loop.call_soon(self.break_off, None)
                return
        self._services.receive(
            self, Received(method, urlsplit(target)._replace(scheme="", netloc="").geturl(), headers, rest)
        )

    def reply(self, data: bytes) -> None:
        """Deliver bytes of a reply."""
        if not self.is_gone:
            self._answered_at = self._loop.time()
            self._protocol.data_received(data)

    def break_off(self, error: Exception | None) -> None:
        """Close the connection from the server's side."""
        if not self._closed:
            self._closed = True
            self._protocol.connection_lost(error)

    @property
    def is_gone(self) -> bool:
        """Whether nobody reads any more."""
        return self._closed or bool(self.environment and self.environment.is_dead)

    async def readable(self) -> None:
        """Wait until the client reads."""
        while self._paused is not None and not self._closed:
            await self._paused.wait()

    def abort(self) -> None:
        """Close the connection from the client's side."""
        if not self._closed:
            self._closed = True
            self.resume_reading()
            self._loop.call_soon(self._protocol.connection_lost, None)

    def close(self) -> None:
        """Close it, as `abort`."""
        self.abort()

    def is_closing(self) -> bool:
        """Return whether it is closed."""
        return self._closed

    def pause_reading(self) -> None:
        """Make the server wait."""
        self._paused = asyncio.Event()

    def resume_reading(self) -> None:
        """Let the server go on."""
        paused, self._paused = self._paused, None
        if paused:
            paused.set()


class Network:
    """Opens connections to the services."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def connect(self, factory: Callable[[], Any]) -> tuple[Connection, Any]:
        """Open a connection; see `asyncio.loop.create_connection`."""
        environment = ENVIRONMENT.get()
        if environment and environment.is_dead:
            raise ConnectionResetError
        await asyncio.sleep(0.001)
        protocol = factory()
        connection = Connection(self._services, protocol, environment)
        protocol.connection_made(connection)
        return connection, protocol
