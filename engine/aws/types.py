"""The types that transports, lane and services share. A transport is one callable: request in, reply out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine.flow.backoff import Deadline


class Headers(Protocol):
    """Header fields of a reply."""

    def get(self, name: str, /) -> str | None:
        """Return the value of a field, its name in any case, or None."""


class Reply(NamedTuple):
    """The reply to a hot call: the HTTP status, the headers, the whole body."""

    status: int
    headers: Headers
    body: bytes


Transport = Callable[[str, Mapping[str, str], bytes, float], Awaitable[Reply]]
"""(url, headers, body, timeout in seconds) -> reply. Raises `ConnectionError` or `TimeoutError`."""


class Request(NamedTuple):
    """A request to S3, complete but for the Host header."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Exchange(Protocol):
    """The reply to one request: the HTTP status, the headers, and the body as it arrives."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Headers:
        """The header fields."""

    async def read(self, most: int) -> bytes:
        """Return the next `most` bytes of the body: fewer at its end or before a failure, none after its end.

        Raises `TimeoutError` when they do not arrive in time, and `ConnectionError` when the connection breaks.
        """

    def close(self) -> None:
        """Close the connection, even in the middle of the body."""


Fetch = Callable[[Request, float], Awaitable[Exchange]]
"""(request, timeout of each step in seconds) -> reply, once its head has arrived. Raises what a `Transport` raises."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a service with a JSON protocol."""

    service: str
    name: str
    target: str
    content_type: str = "application/x-amz-json-1.0"


BATCH_GET_ITEM = Operation("dynamodb", "BatchGetItem", "DynamoDB_20120810.BatchGetItem")

BATCH_WRITE_ITEM = Operation("dynamodb", "BatchWriteItem", "DynamoDB_20120810.BatchWriteItem")

DELETE_ITEM = Operation("dynamodb", "DeleteItem", "DynamoDB_20120810.DeleteItem")

UPDATE_ITEM = Operation("dynamodb", "UpdateItem", "DynamoDB_20120810.UpdateItem")

PUT_EVENTS = Operation("events", "PutEvents", "AWSEvents.PutEvents", "application/x-amz-json-1.1")

DESCRIBE_TABLE = Operation("dynamodb", "DescribeTable", "DynamoDB_20120810.DescribeTable")
PUT_ITEM = Operation("dynamodb", "PutItem", "DynamoDB_20120810.PutItem")

QUERY = Operation("dynamodb", "Query", "DynamoDB_20120810.Query")

SCAN = Operation("dynamodb", "Scan", "DynamoDB_20120810.Scan")

SEND_MESSAGE_BATCH = Operation("sqs", "SendMessageBatch", "AmazonSQS.SendMessageBatch")


class Caller(Protocol):
    """The part of a lane that the queue and the table use."""

    async def call(self, body: bytes, deadline: Deadline, seconds: float | None = None) -> bytes:
        """Send once; see `Lane.call`."""

    async def pause(self, attempt: int, deadline: Deadline) -> None:
        """Wait before another attempt; see `Lane.pause`."""
