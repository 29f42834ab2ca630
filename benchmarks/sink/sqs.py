"""SQS's side, in its JSON protocol: messages in and, if asked to keep them, out again.

Every call is parsed: the bodies that are checked and billed are inside, and MD5 sums of them go back, as clients check.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any

import orjson

from benchmarks.data import MODIFIED, sqs_units
from benchmarks.sink.state import Counts, Settings

PREFIX = b"amazonsqs."
MAX_ENTRIES = 10
MAX_BYTES = 1_048_576


def reply_of(status: int, body: bytes, code: str = "") -> bytes:
    """Return a whole HTTP reply."""
    extra = f"x-amzn-query-error: {code};Sender\r\n".encode() if code else b""
    return (
        b"HTTP/1.1 %d %b\r\nx-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n%b"
        b"Content-Type: application/x-amz-json-1.0\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n%b"
        % (status, b"OK" if status == 200 else b"Error", extra, len(body), body)
    )


def error_of(status: int, code: str, message: str) -> bytes:
    """Return an error as a whole HTTP reply."""
    return reply_of(status, orjson.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message}), code)


class Queue:
    """Takes messages, and gives them back in order; each once, whether deleted or not."""

    def __init__(self, settings: Settings, counts: Counts) -> None:
        self._settings, self._counts = settings, counts
        self._kept: deque[dict[str, Any]] = deque()
        self._serial = 0

    def answer(self, operation: str, body: bytes, *, check: bool) -> bytes:
        """Answer one call."""
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError:
            return error_of(400, "InvalidParameterValue", "the body is not JSON")
        if operation == "sendmessagebatch":
            return self._send_batch(request["Entries"], check=check)
        if operation == "sendmessage":
            return self._send(request, check=check)
        if operation == "receivemessage":
            return self._receive(int(request.get("MaxNumberOfMessages", 1)))
        if operation == "deletemessagebatch":
            done = [{"Id": entry["Id"]} for entry in request["Entries"]]
            return reply_of(200, orjson.dumps({"Successful": done, "Failed": []}))
        if operation in ("deletemessage", "changemessagevisibility"):
            return reply_of(200, b"{}")
        if operation == "getqueueattributes":
            waiting = {"ApproximateNumberOfMessages": str(len(self._kept))}
            return reply_of(200, orjson.dumps({"Attributes": waiting}))
        return error_of(400, "UnsupportedOperation", operation)

    def _send_batch(self, entries: list[dict[str, Any]], *, check: bool) -> bytes:
        ids = {entry["Id"] for entry in entries}
        if not 1 <= len(entries) <= MAX_ENTRIES or len(ids) != len(entries):
            self._counts.violation(f"{len(entries)} entries, {len(ids)} different ids")
            return error_of(400, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "1 to 10 entries, each id once")
        texts = [entry["MessageBody"].encode() for entry in entries]
        payload = sum(map(len, texts)) + sum(_attribute_bytes(entry.get("MessageAttributes")) for entry in entries)
        if payload > MAX_BYTES:
            self._counts.violation(f"a batch of {payload:,} bytes")
            return error_of(400, "AWS.SimpleQueueService.BatchRequestTooLong", f"{payload} bytes")
        done = [
            {"Id": entry["Id"], **self._take(entry, text, check=check)}
            for entry, text in zip(entries, texts, strict=True)
        ]
        self._bill(payload)
        return reply_of(200, orjson.dumps({"Successful": done, "Failed": []}))

    def _send(self, request: dict[str, Any], *, check: bool) -> bytes:
        text = request["MessageBody"].encode()
        self._bill(len(text) + _attribute_bytes(request.get("MessageAttributes")))
        return reply_of(200, orjson.dumps(self._take(request, text, check=check)))

    def _take(self, message: dict[str, Any], text: bytes, *, check: bool) -> dict[str, str]:
        records = (message.get("MessageAttributes") or {}).get("records")
        self._counts.messages += 1
        # Counted here and not believed: rows of the benchmarks hold no brackets.
        self._counts.records += text.count(b"],[") + 1 if b'"rows":[[' in text else 1
        if check:
            self._check(text, int(records["StringValue"]) if records else None)
        self._serial += 1
        digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
        identity = f"00000000-0000-4000-8000-{self._serial:012d}"
        if self._settings.keep_messages:
            self._kept.append(
                {
                    "MessageId": identity,
                    "ReceiptHandle": f"handle-{self._serial}",
                    "MD5OfBody": digest,
                    "Body": message["MessageBody"],
                    "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": f"{MODIFIED}000"},
                    "MessageAttributes": message.get("MessageAttributes") or {},
                }
            )
        return {"MessageId": identity, "MD5OfMessageBody": digest}

    def _check(self, text: bytes, records: int | None) -> None:
        """Look inside: as many rows as the attribute says, and, if asked for, which."""
        try:
            document = orjson.loads(text)
            rows = [row[0] for row in document["rows"]] if "rows" in document else [document["rowNumber"]]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            self._counts.violation("a message that is not of rows")
            return
        if records is not None and len(rows) != records:
            self._counts.violation(f"a message of {len(rows)} rows says that it has {records}")
        if self._settings.keys:
            self._counts.keys.update(rows)

    def _bill(self, payload: int) -> None:
        self._counts.message_bytes += payload
        self._counts.sqs_units += sqs_units(payload)

    def _receive(self, most: int) -> bytes:
        taken = [self._kept.popleft() for _ in range(min(most, 10, len(self._kept)))]
        return reply_of(200, orjson.dumps({"Messages": taken} if taken else {}))


def _attribute_bytes(attributes: dict[str, Any] | None) -> int:
    if not attributes:
        return 0
    return sum(
        len(name) + len(value["DataType"]) + len(value.get("StringValue", "").encode())
        for name, value in attributes.items()
    )
