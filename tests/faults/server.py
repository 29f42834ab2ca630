"""DynamoDB and SQS on a loopback port, going wrong on purpose.

Real sockets and the real JSON protocols, so any client can be pointed at it; plain asyncio, because most of the faults
are ones that a proper web server would not let happen. See `plans` for what can go wrong and when, and `services` for
what is kept.

    async with FaultServer(plan=[THROTTLED, None, Unprocessed(0.5)]) as server:
        ...  # a client with endpoint_url=server.endpoint
        assert server.tables["users"].writes[("john@gmail.com", "1775260800.000000000042")] == 1

A handler that runs an event loop of its own needs a server on another one: `with listener.in_thread(server)`.
"""

import asyncio
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import assert_never

from tests.faults.listener import Listener, Reply, Request, reset
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


def describe_table(tables: Mapping[str, Table], body: Json) -> Reply:
    """The answer to a DescribeTable: the key alone."""
    target = "DynamoDB_20120810.DescribeTable"
    table = tables.get(body["TableName"])
    if table is None:
        return error_reply(target, "ResourceNotFoundException", "Requested resource not found", 400)
    kinds = zip(table.key, ("HASH", "RANGE"), strict=False)
    description = {
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in kinds],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": type_} for name, type_ in table.key.items()],
    }
    return json_reply(target, 200, {"Table": description})


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
        if target == "DynamoDB_20120810.DescribeTable":  # of no interest to any plan
            return await deliver(describe_table(self.tables, json.loads(request.body)), None, reader, writer)
        if target not in OPERATIONS:
            return await deliver(error_reply(target, "UnknownOperationException", "", 400), None, reader, writer)
        if not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
            missing = error_reply(target, "MissingAuthenticationTokenException", "Request is missing a token", 400)
            return await deliver(missing, None, reader, writer)
        body = json.loads(request.body)
        call = Call(len(self.calls) + 1, OPERATIONS[target], body, headers, request.connection, request.at)
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
            reply = self._work(target, call, len(request.body), fault)
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
