"""What the stand-in for AWS holds in benchmarks: a table and a queue, objects of generated rows, and one user to read.

An object's content is its header line, then one generated block of rows again and again; see `benchmarks.data`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from benchmarks import data
from benchmarks.large import LargeObject, large
from tests.fakeaws.fast.contents import Contents


@dataclass(frozen=True, slots=True)
class GeneratedObject:
    """An object that was never stored."""

    key: str
    rows: int
    row_bytes: int
    modified: int = data.MODIFIED
    content_type: str = "text/csv"
    version: str | None = None

    @property
    def size(self) -> int:
        """Its bytes."""
        return data.object_bytes(self.rows, self.row_bytes)

    @property
    def etag(self) -> str:
        """Its ETag, without quotes."""
        return hashlib.md5(self.key.encode(), usedforsecurity=False).hexdigest()

    def pieces(self, first: int, behind: int) -> Iterator[memoryview]:
        """Yield the bytes from `first` on, before `behind`, in pieces of a block at most, without copying any."""
        block = _block(self.row_bytes)
        at = first
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


def generated(bucket: str, key: str) -> GeneratedObject | LargeObject | None:
    """Return the object of that key; None if it names no rows."""
    shape = data.shape_of(key)
    return large(key) if shape is None else GeneratedObject(key, *shape)


def records_of(message: bytes) -> int:
    """Return how many records a message holds: a packed one has a bracket for each, and one for each of two lists.

    Rows of the benchmarks hold no brackets. One byte is counted five times as fast as more.
    """
    return message.count(b"[") - 2 if b'"rows":[[' in message else 1


def numbers_of(message: bytes) -> list[Any]:
    """Return the row numbers of a message. Raises `ValueError`."""
    try:
        document = orjson.loads(message)
        return [row[0] for row in document["rows"]] if "rows" in document else [document["rowNumber"]]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("the message holds no rows") from error


def user() -> dict[str, Any]:
    """Return the item that reads find."""
    name, mail, phone = data.row(1)
    return {
        "name": {"S": name},
        "email": {"S": mail},
        "phone": {"S": phone},
        "createdAt": {"N": f"{data.MODIFIED}.000000000042"},
        "processedAt": {"S": "2026-04-04T00:00:01.234Z"},
    }


CONTENTS = Contents(
    tables={data.TABLE: {"email": "S", "createdAt": "N"}, data.NEWEST_TABLE: {"email": "S"}},
    kept={data.LEDGER_TABLE: {"ingestion": "S", "part": "S"}},
    queues=(data.QUEUE,),
    generated=generated,
    records=records_of,
    numbers=numbers_of,
    units=data.sqs_units,
    sent=data.MODIFIED,
    items={data.TABLE: [user()]},
)
