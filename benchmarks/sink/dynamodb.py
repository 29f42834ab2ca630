"""DynamoDB's side: BatchWriteItem with limits and capacity, and one canned answer to every Query.

The fast path never parses a body: a put request is counted by its name, which cannot stand in the data, where quotes
are escaped. What parses is the sample, and what capacity cuts.
"""

from __future__ import annotations

import random
import zlib
from typing import Any, NamedTuple

import orjson

from benchmarks.data import MODIFIED, row
from benchmarks.sink.limits import Bucket
from benchmarks.sink.state import SLOTS_PER_SECOND, Counts, Settings

MAX_ITEMS = 25
MAX_BYTES = 16 * 1024 * 1024
ITEM_BYTES = 1024
"""One write capacity unit; every row of the benchmarks is smaller than this."""

PREFIX = b"dynamodb_20120810."


class Answer(NamedTuple):
    """Status and JSON body of a reply."""

    status: int
    body: bytes


def reply_of(status: int, body: bytes) -> bytes:
    """Return a whole HTTP reply with its checksum, as DynamoDB sends it."""
    reason = "OK" if status == 200 else "Error"
    return (
        b"HTTP/1.1 %d %b\r\nServer: Server\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n"
        b"Connection: keep-alive\r\nx-amzn-RequestId: ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGHIJKLMN\r\n"
        b"x-amz-crc32: %d\r\n\r\n%b" % (status, reason.encode(), len(body), zlib.crc32(body), body)
    )


def error_of(status: int, code: str, message: str) -> bytes:
    """Return an error as a whole HTTP reply."""
    kind = "com.amazonaws.dynamodb.v20120810" if not code.startswith("Validation") else "com.amazon.coral.validate"
    return reply_of(status, orjson.dumps({"__type": f"{kind}#{code}", "message": message}))


ALL_WRITTEN = reply_of(200, b'{"UnprocessedItems":{}}')
EMPTY = reply_of(200, b"{}")


def canned_query() -> bytes:
    """Return the reply to a Query: one user."""
    name, mail, phone = row(1)
    item = {
        "name": {"S": name},
        "email": {"S": mail},
        "phone": {"S": phone},
        "createdAt": {"N": f"{MODIFIED}.000000000042"},
        "processedAt": {"S": "2026-04-04T00:00:01.234Z"},
    }
    return reply_of(200, orjson.dumps({"Items": [item], "Count": 1, "ScannedCount": 1}))


def canned_description() -> bytes:
    """Return the reply to a DescribeTable: the key of the users table."""
    table = {
        "KeySchema": [
            {"AttributeName": "email", "KeyType": "HASH"},
            {"AttributeName": "createdAt", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "email", "AttributeType": "S"},
            {"AttributeName": "createdAt", "AttributeType": "N"},
        ],
    }
    return reply_of(200, orjson.dumps({"Table": table}))


class Table:
    """Takes BatchWriteItem calls."""

    def __init__(self, settings: Settings, counts: Counts, now: float) -> None:
        self._settings, self._counts = settings, counts
        self._bucket = Bucket(settings.wcu, settings.burst_seconds, now) if settings.wcu else None
        self._draw = random.Random(settings.seed)  # noqa: S311 - no secret
        self._began: float | None = None

    def batch_write(self, body: bytes, access_key: str, now: float, *, check: bool) -> bytes:
        """Answer one call; `check` it in full or count only."""
        count = body.count(b'"PutRequest"')
        if check and (fault := self._fault(body, count)):
            self._counts.violation(fault)
            return error_of(400, "ValidationException", fault)
        if count > MAX_ITEMS or not count:
            self._counts.violation(f"{count} items in one call")
            return error_of(400, "ValidationException", "Too many items requested for the BatchWriteItem call")
        if self._bucket is not None:
            room = self._bucket.available(now)
            if room < count:
                return self._throttle(body, count, room, access_key, now)
            self._bucket.take(count)
        self._accept(count, access_key, now)
        return ALL_WRITTEN

    def _accept(self, count: int, access_key: str, now: float) -> None:
        self._counts.rows_written += count
        if self._settings.timeline:
            if self._began is None:
                self._began = now
            self._counts.slots[access_key][int((now - self._began) * SLOTS_PER_SECOND)] += count

    def _throttle(self, body: bytes, count: int, room: int, access_key: str, now: float) -> bytes:
        assert self._bucket is not None  # noqa: S101 - for mypy
        self._counts.rows_refused += count - room
        if room == 0 or self._draw.random() < self._settings.exception_share:
            self._counts.rows_refused += room
            code = "ProvisionedThroughputExceededException"
            self._counts.errors[code] += 1
            return error_of(400, code, "The level of configured provisioned throughput for the table was exceeded.")
        self._bucket.take(room)
        self._accept(room, access_key, now)
        self._counts.partial += 1
        requests = orjson.loads(body)["RequestItems"]
        left: dict[str, Any] = {}
        for table, puts in requests.items():
            if puts[room:]:
                left[table] = puts[room:]
            room = max(0, room - len(puts))
        return reply_of(200, orjson.dumps({"UnprocessedItems": left}))

    def _fault(self, body: bytes, count: int) -> str | None:
        """Return what a real table would refuse, and what would make the counts wrong."""
        if len(body) > MAX_BYTES:
            return f"a body of {len(body):,} bytes"
        try:
            tables = orjson.loads(body)["RequestItems"]
            items = [put["PutRequest"]["Item"] for puts in tables.values() for put in puts]
            keys = [(item["email"]["S"], item["createdAt"]["N"]) for item in items]
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            return f"not a BatchWriteItem of users: {type(error).__name__} {error}"
        if len(items) != count:
            return f"{count} put requests counted, {len(items)} found"
        if len(set(keys)) != len(keys):
            return "Provided list of item keys contains duplicates"
        if any(not key[0] for key in keys):
            return "an empty key"
        if (largest := max(map(item_size, items))) > ITEM_BYTES:
            return f"an item of {largest:,} bytes, more than one write capacity unit"
        if self._settings.keys:
            self._counts.keys.update(keys)
        return None


def item_size(item: dict[str, dict[str, Any]]) -> int:
    """Return the bytes that DynamoDB counts for an item of texts and numbers (numbers at most)."""
    return sum(
        len(name.encode()) + sum(len(str(content).encode()) if kind == "S" else 21 for kind, content in value.items())
        for name, value in item.items()
    )
