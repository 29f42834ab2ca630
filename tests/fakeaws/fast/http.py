"""Replies of the models as bytes."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.fakeaws.protocol import JsonReply
from tests.fakeaws.s3 import S3Reply

_DYNAMODB = {"Server": "Server", "x-amzn-RequestId": "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGHIJKLMN"}
_SQS = {"x-amzn-RequestId": "00000000-0000-4000-8000-000000000000"}
_S3 = {"x-amz-request-id": "0123456789ABCDEF", "x-amz-id-2": "0123456789ABCDEF", "Server": "AmazonS3"}


class Body(NamedTuple):
    """A reply whose body is sent in pieces."""

    head: bytes
    pieces: Iterator[bytes | memoryview]


def json_bytes(target: str, reply: JsonReply) -> bytes:
    """Return a reply of the service that the target names as a whole."""
    own = _DYNAMODB if target.startswith("DynamoDB") else _SQS
    return _head(reply.status, {**own, **reply.headers, "Connection": "keep-alive"}, len(reply.body)) + reply.body


def object_bytes(method: str, reply: S3Reply) -> bytes | Body:
    """Return a reply of S3: errors and what has no body as a whole."""
    head = _head(reply.status, {**_S3, **reply.headers}, reply.length)
    if reply.content is None or method == "HEAD":
        return head if method == "HEAD" else head + reply.text
    return Body(head, reply.pieces())


def _head(status: int, headers: Mapping[str, str], length: int) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {'OK' if status < 300 else 'Error'}\r\n{lines}Content-Length: {length}\r\n\r\n".encode()


def chunked_length(data: bytes, start: int) -> int:
    """Return the length of the chunked body that begins at `start`, or more than there is while it is not complete.

    Only PutObject over TLS comes so; the model of S3 takes the framing off.
    """
    at = start
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end].partition(b";")[0], 16)
        if size == 0:
            closed = data.find(b"\r\n\r\n", end)
            return closed + 4 - start if closed >= 0 else len(data) - start + 1
        at = end + 2 + size + 2
    return len(data) - start + 1
