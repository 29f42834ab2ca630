"""DynamoDB and SQS on a loopback port, going wrong on purpose.

Real sockets and the real JSON protocols, so any client can be pointed at it; plain asyncio, because most of the faults
are ones that a proper web server would not let happen. See `plans` for what can go wrong and when, and `services` for
what is kept.

    async with FaultServer(plan=[THROTTLED, None, Unprocessed(0.5)]) as server:
        ...  # a client with endpoint_url=server.endpoint
        assert server.tables["users"].writes[("john@gmail.com", "1775260800.000000000042")] == 1

A handler that runs an event loop of its own needs a server on another one: `with in_thread(server)`.
"""

import asyncio
import json
import socket
import struct
import threading
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, assert_never

from tests.faults.plans import (
    Call,
    CloseAfter,
    Failed,
    Fault,
    Garbage,
    Json,
    Operation,
    Plan,
    Poison,
    Refuse,
    Reset,
    Script,
    Silent,
    Slow,
    Truncated,
    Unmentioned,
    Unprocessed,
    WrongChecksum,
)
from tests.faults.services import Queue, Refusal, Table, batch_write_item, send_message_batch

OPERATIONS: dict[str, Operation] = {
    "DynamoDB_20120810.BatchWriteItem": "BatchWriteItem",
    "AmazonSQS.SendMessageBatch": "SendMessageBatch",
}
# DynamoDB's own errors carry its namespace; those of the layers before it carry theirs.
NAMESPACES = {
    "AccessDeniedException": "com.amazon.coral.service",
    "ExpiredTokenException": "com.amazon.coral.service",
    "MissingAuthenticationTokenException": "com.amazon.coral.service",
    "ServiceUnavailable": "com.amazon.coral.service",
    "ThrottlingException": "com.amazon.coral.availability",
    "UnknownOperationException": "com.amazon.coral.service",
    "UnrecognizedClientException": "com.amazon.coral.service",
    "ValidationException": "com.amazon.coral.validate",
}
# What SQS called them before it spoke JSON, where that is another name; clients are shown the old one.
QUERY_CODES = {
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
}
JSON_TYPE = "application/x-amz-json-1.0"
MOST_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Reply:
    """An HTTP reply before it meets the wire."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def head(self) -> bytes:
        """Status line and headers."""
        fields = {**self.headers, "Content-Length": str(len(self.body)), "x-amzn-RequestId": uuid.uuid4().hex}
        lines = [f"HTTP/1.1 {self.status} {'OK' if self.status == 200 else 'Error'}"]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in fields.items()), "", ""]).encode()


def json_reply(target: str, status: int, body: Json, headers: Mapping[str, str] | None = None) -> Reply:
    """What the service that the target names would send; DynamoDB adds the checksum of the body."""
    data = json.dumps(body).encode()
    checksum = {"x-amz-crc32": str(zlib.crc32(data))} if target.startswith("DynamoDB") else {}
    return Reply(status, data, {"Content-Type": JSON_TYPE, **checksum, **(headers or {})})


def error_reply(target: str, code: str, message: str, status: int) -> Reply:
    """An error in the service's own format."""
    if target.startswith("AmazonSQS"):
        side = "Receiver" if status >= 500 else "Sender"
        namespace = "com.amazon.coral.service" if code in NAMESPACES else "com.amazonaws.sqs"
        body = {"__type": f"{namespace}#{code}", "message": message}
        return json_reply(target, status, body, {"x-amzn-query-error": f"{QUERY_CODES.get(code, code)};{side}"})
    namespace = NAMESPACES.get(code, "com.amazonaws.dynamodb.v20120810")
    # The layer that decides on access is the one that writes this word large.
    word = "Message" if code == "AccessDeniedException" else "message"
    return json_reply(target, status, {"__type": f"{namespace}#{code}", word: message})


class FaultServer:
    """A DynamoDB and an SQS that do as the plan says; `plan` may be set anew at any time."""

    def __init__(
        self,
        plan: Plan | Iterable[Fault | None] = (),
        *,
        tables: Mapping[str, Mapping[str, str]] | None = None,
        queues: Iterable[str] = ("user-csv-queue",),
    ) -> None:
        """Have these tables (name → key attribute → S or N; by default the users table) and these queues."""
        keys = tables or {"users": {"email": "S", "createdAt": "N"}}
        self.plan = plan
        self.tables = {name: Table(key) for name, key in keys.items()}
        self.queues = {name: Queue() for name in queues}
        self.calls: list[Call] = []
        self._in_flight = 0
        self.most_in_flight = 0
        self.connections = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def plan(self) -> Plan:
        """What befalls the next calls."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan | Iterable[Fault | None]) -> None:
        self._plan: Plan = plan if callable(plan) else Script(plan)

    @property
    def endpoint(self) -> str:
        """The endpoint URL of both services."""
        return f"http://127.0.0.1:{self.port}"

    def queue_url(self, name: str = "user-csv-queue") -> str:
        """The URL of a queue."""
        return f"{self.endpoint}/123456789012/{name}"

    def drop_connections(self) -> None:
        """Close every open connection, as a long freeze would find them; returns before the clients know."""
        for writer in list(self._writers):
            self._loop.call_soon_threadsafe(writer.close)

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MOST_HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, also in the middle of answers that would never come."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._converse(reader, writer, self.connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        """Answer one request after the other until either side has had enough."""
        self._writers.add(writer)
        try:
            while await self._answer(reader, writer, connection):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            return await self._perform(headers, data, reader, writer, connection)
        finally:
            self._in_flight -= 1

    async def _perform(
        self,
        headers: Mapping[str, str],
        data: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: int,
    ) -> bool:
        """Do what is asked, as far as the fault lets it; False closes the connection."""
        target = headers.get("x-amz-target", "")
        if target not in OPERATIONS:
            return await deliver(error_reply(target, "UnknownOperationException", "", 400), None, reader, writer)
        if not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
            missing = error_reply(target, "MissingAuthenticationTokenException", "Request is missing a token", 400)
            return await deliver(missing, None, reader, writer)
        call = Call(len(self.calls) + 1, OPERATIONS[target], json.loads(data), headers, connection, self._loop.time())
        self.calls.append(call)
        fault = self._plan(call)
        while isinstance(fault, Slow):
            await asyncio.sleep(fault.seconds)
            fault = fault.then
        if isinstance(fault, Refuse):
            reply = error_reply(target, fault.code, fault.message, fault.status)
        elif isinstance(fault, Reset | Silent | Garbage) and not fault.applied:
            reply = Reply(200, b"", {})
        else:
            reply = self._work(target, call, len(data), fault)
        return await deliver(reply, fault, reader, writer)

    def _work(self, target: str, call: Call, size: int, fault: Fault | None) -> Reply:
        try:
            if call.operation == "BatchWriteItem":
                body = batch_write_item(self.tables, call.body, size, fault)
            else:
                body = send_message_batch(self.queues, call.body, fault)
        except Refusal as refusal:
            return error_reply(target, refusal.code, refusal.message, refusal.status)
        return json_reply(target, 200, body)


async def deliver(
    reply: Reply, fault: Fault | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Put the reply on the wire, or what the fault makes of it; False closes the connection."""
    match fault:
        case Silent():
            await reader.read()  # until the client gives up
            return False
        case Reset():
            # Closing without lingering sends a reset, not an orderly end.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        case Truncated():
            writer.write(reply.head() + reply.body[: len(reply.body) // 2])
        case WrongChecksum():
            wrong = str(zlib.crc32(reply.body) ^ 1)
            writer.write(Reply(reply.status, reply.body, {**reply.headers, "x-amz-crc32": wrong}).head() + reply.body)
        case Garbage(status, body, content_type):
            writer.write(Reply(status, body, {"Content-Type": content_type}).head() + body)
        case None | Refuse() | Poison() | Unprocessed() | Failed() | Unmentioned() | CloseAfter() | Slow():
            writer.write(reply.head() + reply.body)
        case _:
            assert_never(fault)
    await writer.drain()
    return not isinstance(fault, CloseAfter | Truncated)


@contextmanager
def in_thread(server: FaultServer) -> Iterator[FaultServer]:
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
