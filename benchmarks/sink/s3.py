"""S3's side: objects that were never stored, whole or by ranges, and PutObject, which counts.

An object's content is its header line, then one generated block of rows again and again; see `benchmarks.data`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from benchmarks import data

LAST_MODIFIED = "Sat, 04 Apr 2026 00:00:00 GMT"
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")


class Body(NamedTuple):
    """A reply to GET: the head, and which bytes of an object follow."""

    head: bytes
    rows: int
    row_bytes: int
    first: int
    behind: int

    def pieces(self) -> Iterator[memoryview]:
        """Yield the bytes, in pieces of a block at most, without copying any."""
        block = _block(self.row_bytes)
        at, behind = self.first, self.behind
        if at < len(data.HEADER):
            yield memoryview(data.HEADER)[at : min(behind, len(data.HEADER))]
            at = len(data.HEADER)
        while at < behind:
            start = (at - len(data.HEADER)) % len(block)
            piece = block[start : start + behind - at]
            yield piece
            at += len(piece)


@lru_cache(maxsize=4)
def _block(row_bytes: int) -> memoryview:
    return memoryview(data.block(row_bytes))


def etag_of(key: str) -> str:
    """Return the ETag of the object with that key."""
    return hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()


def get(path: str, headers: dict[str, str]) -> Body | bytes:
    """Answer a GET or HEAD of ``/bucket/key``: what to send, or an error as a whole reply."""
    key = unquote(path).lstrip("/").partition("/")[2]
    shape = data.shape_of(key)
    if shape is None:
        return error_of(404, "NoSuchKey", "The specified key does not exist.")
    etag = etag_of(key)
    if headers.get("if-match", f'"{etag}"').strip('"') not in (etag, "*"):
        return error_of(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    size = data.object_bytes(*shape)
    first, behind, status, extra = 0, size, "200 OK", ""
    if found := _RANGE.fullmatch(headers.get("range", "")):
        first = int(found[1])
        behind = min(size, int(found[2]) + 1) if found[2] else size
        if first >= behind:
            return error_of(416, "InvalidRange", "The requested range is not satisfiable")
        status, extra = "206 Partial Content", f"Content-Range: bytes {first}-{behind - 1}/{size}\r\n"
    head = (
        f"HTTP/1.1 {status}\r\nx-amz-request-id: 0123456789ABCDEF\r\nx-amz-id-2: 0123456789ABCDEF\r\n"
        f'Last-Modified: {LAST_MODIFIED}\r\nETag: "{etag}"\r\nAccept-Ranges: bytes\r\nContent-Type: text/csv\r\n'
        f"{extra}Content-Length: {behind - first}\r\nServer: AmazonS3\r\n\r\n"
    )
    return Body(head.encode(), *shape, first, behind)


def put() -> bytes:
    """Return the reply to PutObject."""
    return b'HTTP/1.1 200 OK\r\nETag: "0123456789abcdef0123456789abcdef"\r\nContent-Length: 0\r\n\r\n'


def error_of(status: int, code: str, message: str) -> bytes:
    """Return an error as a whole HTTP reply."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    head = f"HTTP/1.1 {status} Error\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()
