"""The rows of the benchmarks: made from their number alone, so that every process makes the same ones. Pure.

A row is a line of exactly `row_bytes` bytes with its line end, of the columns ``name,mail,phone``. Every sixteenth name
has a letter outside ASCII, as people's names do. The rows repeat after `BLOCK_ROWS`; the row number tells them apart.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

BUCKET = "bench"
QUEUE = "bench-queue"
TABLE = "bench-users"
NEWEST_TABLE = "bench-newest"
"""Has one item for each mail address, see `newest.toml`."""
LEDGER_TABLE = "bench-ledger"
ACCOUNT = "000000000000"

HEADER = b"name,mail,phone\n"
MODIFIED = 1_775_260_800
"""2026-04-04T00:00:00Z: LastModified of every generated object."""

DEFAULT_ROW_BYTES = 100
"""What the money is counted for: rows of 100 bytes."""

BLOCK_ROWS = 10_000
MIN_ROW_BYTES = 72

_FIRST = ("John", "Mary", "Arjun", "Fatima", "Wei", "Olga", "Pedro", "Aiko")
_LAST = ("Doe", "Smith", "Rao", "Khan", "Zhang", "Petrova", "Alvarez", "Tanaka")
_MIDDLE = "Alexandra Maria Theodora Benedict Constantine Josephine Emanuel Sebastian Victoria Leopold " * 12
_KEY = re.compile(r"uploads/([0-9]{1,10})x([0-9]{2,4})\.csv")


def key_of(rows: int, row_bytes: int = DEFAULT_ROW_BYTES) -> str:
    """Return the S3 key under which an object of that many rows is found."""
    return f"uploads/{rows}x{row_bytes}.csv"


def shape_of(key: str) -> tuple[int, int] | None:
    """Return rows and bytes a row of the object with that key; None if there is no such object."""
    found = _KEY.fullmatch(key)
    if found is None or int(found[2]) < MIN_ROW_BYTES:
        return None
    return int(found[1]), int(found[2])


def row(number: int, row_bytes: int = DEFAULT_ROW_BYTES) -> tuple[str, str, str]:
    """Return name, mail and phone of row `number` (from 1)."""
    index = (number - 1) % BLOCK_ROWS
    first, last = _FIRST[index % 8], _LAST[index // 8 % 8]
    mail = f"{first.lower()}.{last.lower()}{index:06d}@example.com"
    phone = f"98{index:08d}"
    room = row_bytes - len(mail) - len(phone) - 3  # two commas and the line end
    name = f"{first} {_MIDDLE}"[: room - len(last) - 1].rstrip().ljust(room - len(last) - 1, "a") + " " + last
    if index % 16 == 5:
        name = name[:1] + "é" + name[3:]  # two bytes for two letters
    return name, mail, phone


def block(row_bytes: int = DEFAULT_ROW_BYTES) -> bytes:
    """Return the lines of the first `BLOCK_ROWS` rows."""
    return "".join(",".join(row(number, row_bytes)) + "\n" for number in range(1, BLOCK_ROWS + 1)).encode()


def object_bytes(rows: int, row_bytes: int = DEFAULT_ROW_BYTES) -> int:
    """Return the size of an object."""
    return len(HEADER) + rows * row_bytes


def packed_body(first: int, rows: int, message: int, row_bytes: int = DEFAULT_ROW_BYTES, key: str = "") -> str:
    """Return a packed message of `rows` rows from number `first` on, in the format of docs/messages.md."""
    document = {
        "v": 1,
        "object": {
            "bucket": BUCKET,
            "key": key or key_of(1_000_000, row_bytes),
            "version": None,
            "etag": "0123456789abcdef0123456789abcdef",
            "modified": MODIFIED,
        },
        "span": 0,
        "message": message,
        "processedAt": "2026-04-04T00:00:01.234Z",
        "columns": ["name", "email", "phone"],
        "rows": [[number, *row(number, row_bytes)] for number in range(first, first + rows)],
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def plain_body(number: int, row_bytes: int = DEFAULT_ROW_BYTES) -> str:
    """Return a plain message of one row, as other programs send it."""
    name, mail, phone = row(number, row_bytes)
    document = {
        "name": name,
        "mail": mail,
        "phone": phone,
        "processedAt": "2026-04-04T00:00:01.234Z",
        "rowNumber": number,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def sqs_event(messages: int, rows_per_message: int, *, first: int = 1, row_bytes: int = DEFAULT_ROW_BYTES) -> Any:
    """Return the event with which Lambda hands a batch over; with one row a message, the messages are plain."""
    bodies = [
        plain_body(first + i, row_bytes)
        if rows_per_message == 1
        else packed_body(first + i * rows_per_message, rows_per_message, i, row_bytes)
        for i in range(messages)
    ]
    return {"Records": [_record(i, body, rows_per_message) for i, body in enumerate(bodies)]}


def _record(index: int, body: str, rows: int) -> Any:
    return {
        "messageId": f"00000000-0000-4000-8000-{index:012d}",
        "receiptHandle": f"handle-{index}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": f"{MODIFIED}000"},
        "messageAttributes": {
            "ingestion": {"stringValue": "0123456789abcdef0123", "dataType": "String"},
            "records": {"stringValue": str(rows), "dataType": "Number"},
        },
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{QUEUE}",
        "awsRegion": "us-east-1",
    }


def s3_event(key: str, *, bucket: str = BUCKET) -> Any:
    """Return the event with which S3 announces an object."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": {"key": key, "size": 1}},
    }
    return {"Records": [record]}


def sqs_units(payload_bytes: int) -> int:
    """Return how many requests SQS bills for a call with that payload: one for each 64 KiB begun."""
    return max(1, math.ceil(payload_bytes / 65_536))


def received_units(event: Any) -> int:
    """Return what SQS bills for receiving a batch, and for deleting it by calls of 10 messages."""
    records = event["Records"]
    payload = sum(len(record["body"].encode()) + 52 for record in records)
    return sqs_units(payload) + math.ceil(len(records) / 10)
