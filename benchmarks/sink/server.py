"""Connections -> requests -> answers. Written for speed: it must be well above what any client can send.

HTTP/1.1, keep-alive, one request at a time on a connection: what SDKs speak. Pipelining is not understood.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import cast

import orjson

from benchmarks.sink import dynamodb, s3, signatures, sqs
from benchmarks.sink.limits import Latency
from benchmarks.sink.state import Counts, Settings

_HIGH_WATER = 4 * 1024 * 1024
"""Bytes of an object that may wait for a slow reader."""

_CONTROL = {"/_stats", "/_reset", "/_config"}


class Sink:
    """Everything that connections share. `scheme` is what clients sign with: http or https."""

    def __init__(self, scheme: str = "http") -> None:
        self.scheme = scheme
        self.settings = Settings()
        self._verified = 0
        self.reset()

    def reset(self) -> None:
        """Count from nothing, with capacity and queue as new."""
        self.counts = Counts(slots=defaultdict(Counter))
        self.table = dynamodb.Table(self.settings, self.counts, time.monotonic())
        self.queue = sqs.Queue(self.settings, self.counts)
        self.query, self.description = dynamodb.canned_query(), dynamodb.canned_description()
        settings = self.settings
        draw = random.Random(settings.seed).random  # noqa: S311 - no secret
        self.draw = draw if settings.error_share or settings.reset_share else None
        self.latency = (
            Latency(settings.latency_median_ms, settings.latency_p99_ms, settings.seed)
            if settings.latency_median_ms
            else None
        )
        self._calls = 0

    def control(self, path: str, body: bytes) -> bytes:
        """Answer a request to the stand-in itself."""
        if path == "/_config":
            changed = Settings()
            try:
                changed.update(orjson.loads(body or b"{}"))
                if changed.latency_median_ms:
                    Latency(changed.latency_median_ms, changed.latency_p99_ms, 1)
            except (KeyError, TypeError, ValueError) as error:
                return sqs.reply_of(400, orjson.dumps({"error": f"{type(error).__name__}: {error}"}))
            self.settings = changed
        if path != "/_stats":
            self.reset()
        return sqs.reply_of(200, orjson.dumps(self.counts.report()))

    def answer(self, head: bytes, body: bytes) -> bytes | s3.Body | None:
        """Return what to send for a request, or None to reset the connection."""
        low = head.lower()
        at = low.find(b"x-amz-target: ")
        if at < 0:
            at = low.find(b"x-amz-target:")
            target = low[at + 13 : low.find(b"\r", at)] if at >= 0 else b""
        else:
            end = low.find(b"\r", at)
            target = low[at + 14 : end if end > 0 else None]
        if not target and head.split(b" ", 2)[1].decode() in _CONTROL:
            return self.control(head.split(b" ", 2)[1].decode(), body)
        counts, settings = self.counts, self.settings
        counts.bytes_in += len(body)
        self._calls += 1
        check = settings.sample > 0 and self._calls % settings.sample == 0
        if check:
            counts.checked += 1
            if fault := signatures.fault_of(head, body, self.scheme, time.time()):
                counts.violation(f"signature: {fault}")
                counts.errors["InvalidSignatureException"] += 1
                return (
                    dynamodb.error_of(400, "InvalidSignatureException", fault)
                    if target
                    else s3.error_of(403, "SignatureDoesNotMatch", fault)
                )
            counts.signatures += 1
        if self.draw is not None and (drawn := self.draw()) < settings.error_share + settings.reset_share:
            return self._spoil(target, drawn)
        if target == b"dynamodb_20120810.batchwriteitem":
            counts.calls["BatchWriteItem"] += 1
            key = signatures.access_key_of(head) if settings.timeline else ""
            return self.table.batch_write(body, key, time.monotonic(), check=check)
        return self._rarely(target.decode("latin-1"), head, body, check=check)

    def _spoil(self, target: bytes, drawn: float) -> bytes | None:
        if drawn >= self.settings.error_share:
            self.counts.errors["reset"] += 1
            return None
        self.counts.errors["500"] += 1
        if target.startswith(dynamodb.PREFIX):
            return dynamodb.error_of(500, "InternalServerError", "Internal server error")
        if target:
            return sqs.error_of(500, "InternalFailure", "Internal failure")
        return s3.error_of(500, "InternalError", "We encountered an internal error. Please try again.")

    def _rarely(self, target: str, head: bytes, body: bytes, *, check: bool) -> bytes | s3.Body:
        operation = target.partition(".")[2]
        if target.startswith("amazonsqs."):
            self.counts.calls[_SQS_NAMES.get(operation, operation)] += 1
            return self.queue.answer(operation, body, check=check)
        if target:
            self.counts.calls[_DYNAMODB_NAMES.get(operation, operation)] += 1
            if operation == "describetable":
                return self.description
            return self.query if operation in ("query", "scan") else dynamodb.EMPTY
        request_line, _, rest = head.decode("latin-1").partition("\r\n")
        method, path, _ = request_line.split(" ", 2)
        path = path.partition("?")[0]
        if method in ("GET", "HEAD"):
            self.counts.calls["GetObject" if method == "GET" else "HeadObject"] += 1
            fields = (line.partition(":") for line in rest.split("\r\n"))
            answer = s3.get(path, {name.strip().lower(): value.strip() for name, _, value in fields})
            return answer.head if isinstance(answer, s3.Body) and method == "HEAD" else answer
        if method == "PUT":
            self.counts.calls["PutObject"] += 1
            self.counts.objects_put += 1
            return s3.put()
        self.counts.violation(f"unknown request {request_line!r}")
        return s3.error_of(400, "InvalidRequest", "unknown request")


_SQS_NAMES = {
    name.lower(): name
    for name in ("SendMessageBatch", "SendMessage", "ReceiveMessage", "DeleteMessageBatch", "DeleteMessage")
}
_DYNAMODB_NAMES = {name.lower(): name for name in ("Query", "Scan", "PutItem", "UpdateItem", "DescribeTable")}


def _chunked_length(data: bytes, start: int) -> int:
    """Return the length of the chunked body that begins at `start`, or more than there is while it is not complete.

    Only PutObject over TLS comes so, and what was put is not looked at: the body is passed on with its framing.
    """
    at = start
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end].partition(b";")[0], 16)
        if size == 0:
            closed = data.find(b"\r\n\r\n", end)
            return closed + 4 - start if closed >= 0 else len(data) - start + 1
        at = end + 2 + size + 2
    return len(data) - start + 1


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._held = bytearray()
        self._need = 0
        self._pieces: Iterator[memoryview] | None = None
        self._paused = False
        self._told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but not by inheritance
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._sink.counts.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """End; what was being sent is dropped."""
        self._pieces = None

    def data_received(self, data: bytes) -> None:
        """Take bytes; answer each request that they complete."""
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return
            data = bytes(self._held)
            self._held.clear()
            self._need = 0
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._held += data
                return
            low = data[:end].lower()
            at = low.find(b"\r\ncontent-length:")
            length = 0
            if at >= 0:
                stop = low.find(b"\r\n", at + 17)
                length = int(low[at + 17 : stop if stop > 0 else None])
            elif b"\r\ntransfer-encoding:" in low:
                length = _chunked_length(data, end + 4)
            total = end + 4 + length
            if len(data) < total:
                self._held += data
                self._need = total
                if not self._told and b"\r\nexpect: 100-continue" in low:
                    self._told = True
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._told = False
            self._answer(data[:end], data[end + 4 : total])
            data = data[total:]

    def _answer(self, head: bytes, body: bytes) -> None:
        answer = self._sink.answer(head, body)
        latency = self._sink.latency
        if latency is None or b" /_" in head[:8]:
            self._send(answer)
        else:
            asyncio.get_running_loop().call_later(latency.next(), self._send, answer)

    def _send(self, answer: bytes | s3.Body | None) -> None:
        if answer is None:
            self._transport.abort()
        elif isinstance(answer, bytes):
            self._transport.write(answer)
        else:
            self._transport.write(answer.head)
            self._pieces = answer.pieces()
            self._pump()

    def _pump(self) -> None:
        while self._pieces is not None and not self._paused and not self._transport.is_closing():
            piece = next(self._pieces, None)
            if piece is None:
                self._pieces = None
                return
            self._sink.counts.bytes_out += len(piece)
            self._transport.write(piece)

    def pause_writing(self) -> None:
        """Wait: the reader is slower."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._pump()
