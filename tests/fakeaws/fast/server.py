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

from tests.fakeaws import signatures
from tests.fakeaws.errors import Refusal
from tests.fakeaws.fast.contents import Contents
from tests.fakeaws.fast.dynamodb import BATCH_WRITE_ITEM, PUT_ITEM, Tables
from tests.fakeaws.fast.http import Body, chunked_length, json_bytes, object_bytes
from tests.fakeaws.fast.sqs import Queues
from tests.fakeaws.fast.state import Counts, Settings
from tests.fakeaws.latency import Latency
from tests.fakeaws.protocol import JSON_TYPE, JsonReply, error_reply
from tests.fakeaws.s3 import S3
from tests.fakeaws.s3 import error_reply as s3_error

_HIGH_WATER = 4 * 1024 * 1024
"""Bytes of an object that may wait for a slow reader."""

_CONTROL = {"/_stats", "/_reset", "/_config"}
_TARGETS = {
    f"{prefix}.{name}".lower(): f"{prefix}.{name}"
    for prefix, names in {
        "DynamoDB_20120810": (
            "BatchWriteItem",
            "PutItem",
            "UpdateItem",
            "DeleteItem",
            "Query",
            "Scan",
            "DescribeTable",
        ),
        "AWSEvents": ("PutEvents",),
        "AmazonSQS": (
            "SendMessageBatch",
            "SendMessage",
            "ReceiveMessage",
            "DeleteMessageBatch",
            "DeleteMessage",
            "ChangeMessageVisibility",
            "ChangeMessageVisibilityBatch",
            "GetQueueAttributes",
        ),
    }.items()
    for name in names
}
_BATCH_WRITE_ITEM, _PUT_ITEM = BATCH_WRITE_ITEM.lower().encode(), PUT_ITEM.lower().encode()


class StandIn:
    """Everything that connections share. `scheme` is what clients sign with: http or https."""

    def __init__(self, contents: Contents, scheme: str = "http") -> None:
        self.contents, self.scheme = contents, scheme
        self.settings = Settings()
        self.reset()

    def reset(self) -> None:
        """Count from nothing, with capacity and queues as new."""
        settings, contents = self.settings, self.contents
        self.counts = Counts(slots=defaultdict(Counter))
        self.tables = Tables(contents, settings, self.counts, time.monotonic())
        self.queues = Queues(contents, settings, self.counts)
        self.objects = S3(generated=contents.generated)
        draw = random.Random(settings.seed).random
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
                return _json(400, {"error": f"{type(error).__name__}: {error}"})
            self.settings = changed
        if path != "/_stats":
            self.reset()
        return _json(200, self.counts.report())

    def answer(self, head: bytes, low: bytes, body: bytes) -> bytes | Body | None:
        """Return what to send for a request, or None to reset the connection; `low` is the head in lower case."""
        at = low.find(b"\r\nx-amz-target:")
        end = low.find(b"\r", at + 2)
        target = low[at + 15 : end if end > 0 else None].strip() if at >= 0 else b""
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
                return _error(target, "InvalidSignatureException", "SignatureDoesNotMatch", fault, 400, 403)
            counts.signatures += 1
        if self.draw is not None and (drawn := self.draw()) < settings.error_share + settings.reset_share:
            return self._spoil(target, drawn)
        if target == _BATCH_WRITE_ITEM:
            counts.calls["BatchWriteItem"] += 1
            key = signatures.access_key_of(head) if settings.timeline else ""
            return self.tables.batch_write(body, key, time.monotonic(), check=check)
        if target == _PUT_ITEM:
            counts.calls["PutItem"] += 1
            key = signatures.access_key_of(head) if settings.timeline else ""
            return self.tables.put_item(body, key, time.monotonic(), check=check)
        if target:
            return self._call(target.decode("latin-1"), body, check=check)
        return self._object(head, body)

    def _spoil(self, target: bytes, drawn: float) -> bytes | None:
        if drawn >= self.settings.error_share:
            self.counts.errors["reset"] += 1
            return None
        self.counts.errors["500"] += 1
        return _error(target, "InternalServerError", "InternalError", "Internal server error", 500, 500)

    def _call(self, target: str, body: bytes, *, check: bool) -> bytes:
        target = _TARGETS.get(target, target)
        service, _, operation = target.partition(".")
        self.counts.calls[operation] += 1
        if service == "AmazonSQS":
            return self.queues.answer(target, body, time.time(), check=check)
        return json_bytes(target, self.tables.call(target, body, time.monotonic()))

    def _object(self, head: bytes, body: bytes) -> bytes | Body:
        request_line, _, rest = head.decode("latin-1").partition("\r\n")
        method, path, _ = request_line.split(" ", 2)
        operation = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject"}.get(method, method)
        self.counts.calls[operation] += 1
        fields = (line.partition(":") for line in rest.split("\r\n"))
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        reply = self.objects.answer(method, path, headers, body, time.time())
        self.objects.objects.clear()  # nothing is stored
        if method == "PUT" and reply.status == 200:
            self.counts.objects_put += 1
        if reply.status in (400, 501):
            self.counts.violation(f"{request_line!r}: {reply.text.decode()}")
        return object_bytes(method, reply)


def _json(status: int, document: object) -> bytes:
    return json_bytes("", JsonReply(status, orjson.dumps(document), {"Content-Type": JSON_TYPE}))


def _error(target: bytes, code: str, s3_code: str, message: str, status: int, s3_status: int) -> bytes:
    """Return an error in the format of the service that was asked."""
    if target:
        name = _TARGETS.get(target.decode("latin-1"), "")
        return json_bytes(name, error_reply(name, Refusal(code, message, status)))
    reply = object_bytes("GET", s3_error(Refusal(s3_code, message, s3_status)))
    assert isinstance(reply, bytes)  # an error is sent as a whole
    return reply


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._held = bytearray()
        self._need = 0
        self._pieces: Iterator[bytes | memoryview] | None = None
        self._paused = False
        self._told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but not by inheritance
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._stand_in.counts.connections += 1

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
                length = chunked_length(data, end + 4)
            total = end + 4 + length
            if len(data) < total:
                self._held += data
                self._need = total
                if not self._told and b"\r\nexpect: 100-continue" in low:
                    self._told = True
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._told = False
            self._answer(data[:end], low, data[end + 4 : total])
            data = data[total:]

    def _answer(self, head: bytes, low: bytes, body: bytes) -> None:
        answer = self._stand_in.answer(head, low, body)
        latency = self._stand_in.latency
        if latency is None or b" /_" in head[:8]:
            self._send(answer)
        else:
            asyncio.get_running_loop().call_later(latency.next(), self._send, answer)

    def _send(self, answer: bytes | Body | None) -> None:
        if answer is None:
            self._transport.abort()
        elif isinstance(answer, bytes):
            self._transport.write(answer)
        else:
            self._transport.write(answer.head)
            self._pieces = answer.pieces
            self._pump()

    def _pump(self) -> None:
        while self._pieces is not None and not self._paused and not self._transport.is_closing():
            piece = next(self._pieces, None)
            if piece is None:
                self._pieces = None
                return
            self._stand_in.counts.bytes_out += len(piece)
            self._transport.write(piece)

    def pause_writing(self) -> None:
        """Wait: the reader is slower."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._pump()
