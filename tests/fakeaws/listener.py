"""HTTP on a loopback port as far as the servers here need it, down to the resets that a proper web server avoids."""

import asyncio
import socket
import struct
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

MOST_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Request:
    """An HTTP request as it arrived."""

    method: str
    target: str  # path and query, as they were sent
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    connection: int  # from 1, in the order of opening
    at: float  # seconds of the server's monotonic clock


@dataclass(frozen=True)
class Reply:
    """An HTTP reply before it meets the wire."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def head(self) -> bytes:
        """Status line and headers."""
        fields = {"Content-Length": str(len(self.body)), "x-amzn-RequestId": uuid.uuid4().hex, **self.headers}
        lines = [f"HTTP/1.1 {self.status} {'OK' if self.status < 300 else 'Error'}"]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in fields.items()), "", ""]).encode()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close without lingering, which sends a reset and not an orderly end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int, clock: Callable[[], float]
) -> Request:
    """Wait for the next request of a connection."""
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    method, target, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    if headers.get("expect") == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body, connection, clock())


class Listener(ABC):
    """Listens from `__aenter__` to `__aexit__` and answers each connection's requests one after the other."""

    def __init__(self) -> None:
        """Do not listen yet."""
        self._in_flight = 0
        self.most_in_flight = 0
        self.connections = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._accepted: list[socket.socket] = []

    @abstractmethod
    async def answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Put the answer to a request on the wire; False closes the connection."""

    @property
    def endpoint(self) -> str:
        """The endpoint URL."""
        return f"http://127.0.0.1:{self.port}"

    def drop_connections(self) -> None:
        """Close every open connection, as a long freeze would find them; returns before the clients know."""
        for writer in list(self._writers):
            self._loop.call_soon_threadsafe(writer.close)

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._loop = asyncio.get_running_loop()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._listening.setblocking(False)
        self.port = self._listening.getsockname()[1]
        self._loop.add_reader(self._listening, self._accept)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, also in the middle of answers that would never come."""
        self._loop.remove_reader(self._listening)
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # An orderly end, also one that has begun, would wait for the client to read its last bytes.
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # they are closed in the loop's next round
        for connection in self._accepted:
            connection.close()  # also that of a conversation that had no time to begin

    # asyncio's own server loses what it has accepted but not yet made a transport of when it is closed.
    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        # asyncio does so only for sockets whose protocol is named; without it, a body waits for the head's late ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        self._accepted.append(connection)
        task = asyncio.ensure_future(self._converse(connection, self.connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, accepted: socket.socket, connection: int) -> None:
        """Answer one request after the other until either side has had enough."""
        reader, writer = await asyncio.open_connection(sock=accepted, limit=MOST_HEAD_BYTES)
        self._writers.append(writer)
        try:
            more = True
            while more:
                request = await read_request(reader, writer, connection, self._loop.time)
                self._in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self._in_flight)
                try:
                    more = await self.answer(request, reader, writer)
                finally:
                    self._in_flight -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Server = TypeVar("Server", bound=Listener)


@contextmanager
def in_thread(server: Server) -> Iterator[Server]:
    """Run the server on an event loop of its own, beside whatever the caller runs."""
    started = threading.Event()
    stops: list[Callable[[], object]] = []

    async def serve() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        stops.append(lambda: loop.call_soon_threadsafe(over.set))
        async with server:
            started.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="fault-server", daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the fault server did not start")
    try:
        yield server
    finally:
        stops[0]()
        thread.join(10)
