"""Models behind the engine's own transport type, without sockets: calls take time on the running loop's clock.

backend = Backend(dynamodb=DynamoDB({"users": table}), sqs=Sqs({"user-csv-queue": queue}))
lane = lane_to(InMemory(backend, Server(seconds=0.014)), BATCH_WRITE_ITEM)
run(scenario(TableWriter("users", schema, lane)))  # see `tests.fakeaws.virtual_time`
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from engine.aws.lane import Lane
from engine.aws.sign import Credentials
from engine.aws.types import Operation, Reply, Request, Transport
from engine.flow.backoff import Backoff
from tests.fakeaws.backend import Backend
from tests.fakeaws.s3 import S3, S3Reply

ENDPOINT = "http://127.0.0.1:1"
"""Where nobody listens: what goes through `InMemory` never gets there."""


@dataclass
class Server:
    """How long calls take: `seconds` of work each, on one of so many `workers` (None: as many as there are calls).

    A call for which no worker is free waits for one.
    """

    seconds: float = 0.014
    workers: int | None = None
    _free_at: list[float] = field(default_factory=list)

    def done_at(self, now: float) -> float:
        """Return when the work on a call that arrives at `now` is done."""
        if self.workers is None:
            return now + self.seconds
        begin = now if len(self._free_at) < self.workers else max(now, heapq.heappop(self._free_at))
        heapq.heappush(self._free_at, begin + self.seconds)
        return begin + self.seconds


class InMemory:
    """A `Transport` to a backend. A client that gives up does not undo its call: the work is done all the same."""

    def __init__(self, backend: Backend, server: Server | None = None) -> None:
        self._backend = backend
        self.server = server or Server()
        self.calls: Counter[str] = Counter()
        """Calls by operation, answered or not."""
        self.in_flight = 0
        self.most_in_flight = 0

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Reply:  # noqa: ASYNC109
        """Send a request; see `Transport`."""
        loop = asyncio.get_running_loop()
        target = next(value for name, value in headers.items() if name.lower() == "x-amz-target")
        self.calls[target.partition(".")[2]] += 1
        reply: asyncio.Future[Reply] = loop.create_future()

        def work() -> None:
            self.in_flight -= 1
            answer = self._backend.answer(target, body, loop.time())
            if not reply.done():
                fields = {name.lower(): value for name, value in answer.headers.items()}
                reply.set_result(Reply(answer.status, fields, answer.body))

        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        loop.call_at(self.server.done_at(loop.time()), work)
        async with asyncio.timeout(timeout):
            return await reply


class InMemoryObject:
    """An object on its way: what a `Fetch` returns."""

    def __init__(self, reply: S3Reply) -> None:
        self.status = reply.status
        self.headers = {
            **{name.lower(): value for name, value in reply.headers.items()},
            "content-length": str(reply.length),
        }
        self._body = memoryview(reply.body())

    async def read(self, most: int) -> bytes:
        """Return up to `most` bytes of the body, none at its end."""
        piece, self._body = self._body[:most], self._body[most:]
        return bytes(piece)

    def close(self) -> None:
        """Give the rest up."""
        self._body = memoryview(b"")


class InMemoryObjects:
    """A `Fetch` from a model of S3, whose head comes after so many seconds."""

    def __init__(self, s3: S3, seconds: float = 0.03) -> None:
        self._s3, self._seconds = s3, seconds

    async def __call__(self, request: Request, patience: float) -> InMemoryObject:
        """Send a request; see `Fetch`."""
        parts = urlsplit(request.url)
        async with asyncio.timeout(patience):
            await asyncio.sleep(self._seconds)
        lower = {name.lower(): value for name, value in request.headers.items()}
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return InMemoryObject(
            self._s3.answer(request.method, target, lower, request.body, asyncio.get_running_loop().time())
        )


def lane_to(transport: Transport, operation: Operation, backoff: Backoff | None = None) -> Lane:
    """Return the engine's own lane through a transport, with made-up credentials."""

    async def credentials(_renew: bool) -> Credentials:
        return Credentials("test", "test")

    return Lane(
        operation,
        transport,
        credentials,
        endpoint_url=ENDPOINT,
        region="us-east-1",
        backoff=backoff,
    )
