"""DynamoDB and SQS on a loopback port, going wrong on purpose.

Real sockets and the real JSON protocols, so any client can be pointed at it; plain asyncio, because most of the faults
are ones that a proper web server would not let happen. See `plans` for what can go wrong and when, and `dynamodb` and
`sqs` for what is kept.

    async with FaultServer(plan=[THROTTLED, None, Unprocessed(0.5)]) as server:
        ...  # a client with endpoint_url=server.endpoint
        assert server.tables["users"].writes[("john@gmail.com", "1775260800.000000000042")] == 1

A handler that runs an event loop of its own needs a server on another one: `with listener.in_thread(server)`.
"""

import asyncio
import zlib
from collections.abc import Iterable, Mapping
from typing import assert_never

import orjson

from tests.fakeaws.backend import Backend
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.errors import Refusal
from tests.fakeaws.listener import Listener, Reply, Request, reset
from tests.fakeaws.plans import (
    Call,
    CloseAfter,
    Failed,
    Fault,
    Garbage,
    Json,
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
    chosen,
)
from tests.fakeaws.protocol import JsonReply, document_of, error_reply, json_reply
from tests.fakeaws.queues import Queue
from tests.fakeaws.sqs import Sqs


class FaultServer(Listener):
    """A DynamoDB and an SQS that do as the plan says; `plan` may be set anew at any time."""

    def __init__(
        self,
        plan: Plan | Iterable[Fault | None] = (),
        *,
        tables: Mapping[str, Mapping[str, str]] | None = None,
        queues: Iterable[str] = ("user-csv-queue",),
    ) -> None:
        """Have these tables (name → key attribute → S or N; by default the users table) and these queues."""
        super().__init__()
        keys = tables or {"users": {"email": "S", "createdAt": "N"}}
        self.plan = plan
        self.tables = {name: Table(key) for name, key in keys.items()}
        self.queues = {name: Queue() for name in queues}
        self._dynamodb, self._sqs = DynamoDB(self.tables), Sqs(self.queues)
        self._backend = Backend(self._dynamodb, self._sqs)
        self.calls: list[Call] = []

    @property
    def plan(self) -> Plan:
        """What befalls the next calls."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan | Iterable[Fault | None]) -> None:
        self._plan: Plan = plan if callable(plan) else Script(plan)

    def queue_url(self, name: str = "user-csv-queue") -> str:
        """The URL of a queue."""
        return f"{self.endpoint}/123456789012/{name}"

    async def answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Do what is asked, as far as the fault lets it."""
        headers = request.headers
        target = headers.get("x-amz-target", "")
        if not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
            missing = Refusal("MissingAuthenticationTokenException", "Request is missing a token")
            return await deliver(on_the_wire(error_reply(target, missing)), None, reader, writer)
        try:
            document = document_of(request.body)
        except Refusal as refusal:
            return await deliver(on_the_wire(error_reply(target, refusal)), None, reader, writer)
        operation = target.partition(".")[2]
        if operation == "DescribeTable":  # of no interest to any plan
            reply = self._backend.answer(target, request.body, request.at)
            return await deliver(on_the_wire(reply), None, reader, writer)
        call = Call(len(self.calls) + 1, operation, document, headers, request.connection, request.at)
        self.calls.append(call)
        fault = self._plan(call)
        while isinstance(fault, Slow):
            await asyncio.sleep(fault.seconds)
            fault = fault.then
        if isinstance(fault, Refuse):
            reply = error_reply(target, Refusal(fault.code, fault.message, fault.status, fault.members))
        elif isinstance(fault, Reset | Silent | Garbage) and not fault.applied:
            reply = JsonReply(200, b"", {})
        elif isinstance(fault, Poison | Unprocessed | Failed | Unmentioned):
            reply = self._half_done(target, call, len(request.body), fault)
        else:
            reply = self._backend.answer(target, request.body, request.at)
        return await deliver(on_the_wire(reply), fault, reader, writer)

    def _half_done(
        self, target: str, call: Call, size: int, fault: Poison | Unprocessed | Failed | Unmentioned
    ) -> JsonReply:
        try:
            if isinstance(fault, Poison | Unprocessed):
                return json_reply(target, 200, self._write_in_part(call, size, fault))
            return json_reply(target, 200, self._send_in_part(call, fault))
        except Refusal as refusal:
            return error_reply(target, refusal)

    def _write_in_part(self, call: Call, size: int, fault: Poison | Unprocessed) -> Json:
        """Check all of a batch, and write what the fault leaves of it."""
        if isinstance(fault, Poison):
            if any(map(fault.item, call.entries)):
                raise Refusal("ValidationException", fault.message)
            return self._dynamodb.call(call.operation, orjson.dumps(call.body), call.at)
        writes = self._dynamodb.checked(call.body, size)
        left = chosen(fault.which, call.entries)
        reply = self._dynamodb.write([write for i, write in enumerate(writes) if i not in left], call.at)
        for index in sorted(left):
            reply["UnprocessedItems"].setdefault(writes[index].table, []).append(writes[index].request)
        return reply

    def _send_in_part(self, call: Call, fault: Failed | Unmentioned) -> Json:
        """Check all of a batch, and take what the fault leaves of it."""
        entries = self._sqs.checked(call.body)
        hit = {entries[index].id for index in chosen(fault.which, call.entries)}
        taken = isinstance(fault, Unmentioned) and fault.accepted
        queue = self._sqs.queue(call.body["QueueUrl"])
        reply = self._sqs.send(queue, [entry for entry in entries if taken or entry.id not in hit], call.at)
        reply["Successful"] = [entry for entry in reply.get("Successful", []) if entry["Id"] not in hit]
        if isinstance(fault, Failed):
            said = {"Code": fault.code, "SenderFault": fault.sender_fault}
            reply["Failed"] = [*reply.get("Failed", []), *({"Id": each, **said} for each in sorted(hit))]
        return {key: value for key, value in reply.items() if value}


def on_the_wire(reply: JsonReply) -> Reply:
    """Return a reply as the listener sends it."""
    return Reply(reply.status, reply.body, reply.headers)


async def deliver(
    reply: Reply, fault: Fault | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Put the reply on the wire, or what the fault makes of it; False closes the connection."""
    match fault:
        case Silent():
            await reader.read()  # until the client gives up
            return False
        case Reset():
            reset(writer)
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
