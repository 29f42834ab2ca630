"""Packed messages: one JSON object with many rows, cut by count and by bytes.

The cut depends on the rows alone, so that a second run over the same object makes the same messages.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import orjson

from engine.errors import BadFile, MalformedMessage
from engine.identity import ObjectVersion
from engine.messages.message import MAX_ROWS, Message, Outgoing, is_whole, legal_json, text_attribute
from engine.schema.model import Schema

VERSION = 1

_BETWEEN_ROWS = b"],["


class Packer:
    """Packs the cleaned rows of one span of an object into messages of at most `max_records` and `max_bytes` each.

    `span` is the first byte of the span; messages count from 0 within it.
    """

    def __init__(
        self, source: ObjectVersion, columns: Sequence[str], *, span: int = 0, max_records: int, max_bytes: int
    ) -> None:
        self._max_records, self._max_bytes = max_records, max_bytes
        self._attributes = {"ingestion": text_attribute(source.ingestion)}
        # What stands before and behind the two parts that change: the message's number and the time.
        about, names = legal_json(orjson.dumps(source._asdict())), legal_json(orjson.dumps(list(columns)))
        self._head = b'{"v":%d,"object":%b,"span":%d,"message":' % (VERSION, about, span)
        self._columns = b'","columns":%b,"rows":[[' % names
        # A message number has at most 10 digits (no object has that many records), a time 24 characters.
        envelope = len(self._head) + 10 + len(b',"processedAt":"') + 24 + len(self._columns) + len(b"}")
        attributes = len("ingestionString") + 20 + len("recordsNumber") + 10
        self._room = max_bytes - envelope - attributes
        if self._room < 1:
            raise BadFile(f"the object's key and columns alone fill a message of {max_bytes:,} bytes")
        self._rows: list[bytes] = []
        self._sizes: list[int] = []
        self._number = 0

    def add(self, rows: Sequence[tuple[Any, ...]], processed_at: str) -> tuple[list[Outgoing], list[int]]:
        """Take more rows ``(number, value, …)``; return the full messages, and the numbers of rows that fit none."""
        oversize: list[int] = []
        encoded = _encode(rows)
        sizes = list(map(len(_BETWEEN_ROWS).__add__, map(len, encoded)))
        if sizes and max(sizes) > self._room:
            over = [row for row, size in zip(encoded, sizes, strict=True) if size > self._room]
            oversize = [orjson.loads(b"[%b]" % row)[0] for row in over]
            encoded = [row for row, size in zip(encoded, sizes, strict=True) if size <= self._room]
            sizes = [size for size in sizes if size <= self._room]
        self._rows += encoded
        self._sizes += sizes
        return self._cut(processed_at, whole=False), oversize

    def flush(self, processed_at: str) -> list[Outgoing]:
        """Return what is left, as the last messages."""
        return self._cut(processed_at, whole=True)

    def _cut(self, processed_at: str, *, whole: bool) -> list[Outgoing]:
        totals = [0, *accumulate(self._sizes)]
        messages = []
        start, count = 0, len(self._rows)
        while start < count:
            end = min(start + self._max_records, bisect_right(totals, totals[start] + self._room) - 1)
            if end >= count and not whole and end - start < self._max_records:
                break
            messages.append(self._message(self._rows[start:end], processed_at))
            start = end
        self._rows, self._sizes = self._rows[start:], self._sizes[start:]
        return messages

    def _message(self, rows: list[bytes], processed_at: str) -> Outgoing:
        number = str(self._number).encode()
        self._number += 1
        body = b'%b%b,"processedAt":"%b%b%b]]}' % (
            self._head, number, processed_at.encode(), self._columns, _BETWEEN_ROWS.join(rows)
        )  # fmt: skip
        attributes = {**self._attributes, "records": {"DataType": "Number", "StringValue": str(len(rows))}}
        return Outgoing(body, len(rows), attributes)


def read_packed(document: dict[str, Any], escaped: bool, schema: Schema) -> Message:
    """Read a packed message; `escaped`: some string in it may have an escape. Raises `MalformedMessage`."""
    if document["v"] != VERSION or isinstance(document["v"], bool):
        raise MalformedMessage("the message's version is unknown")
    try:
        about = [document["object"][name] for name in ObjectVersion._fields]
        columns, rows, processed_at = document["columns"], document["rows"], document["processedAt"]
        span, number = document["span"], document["message"]
    except (KeyError, TypeError):
        raise MalformedMessage("the packed message lacks a field") from None
    bucket, key, version, etag, modified = about
    if not (
        is_whole(modified)
        and all(isinstance(text, str) for text in (bucket, key, etag, processed_at))
        and isinstance(version, str | None)
        and is_whole(span)
        and is_whole(number)
        and isinstance(columns, list)
        and columns
        and all(isinstance(column, str) for column in columns)
        and isinstance(rows, list)
        and set(map(type, rows)) <= {list}
        and set(map(len, rows)) <= {1 + len(columns)}
    ):
        raise MalformedMessage("a field of the packed message has the wrong type, or a row the wrong length")
    numbers, *values = zip(*rows, strict=True) if rows else [()] * (1 + len(columns))
    if not (set(map(type, numbers)) <= {int} and min(numbers, default=0) >= 0 and max(numbers, default=0) < MAX_ROWS):
        raise MalformedMessage("a row of the packed message has no row number")
    attributes = {*columns, *schema.generated}
    if len(attributes) != len(columns) + len(schema.generated) or not attributes.issuperset(schema.keys):
        raise MalformedMessage(f"the columns of the packed message do not suit the schema {schema.collection}")
    texts = [set(map(type, column)) <= {str} for column in values]
    # A key that is empty or no text would have the whole call refused, as if the table had other keys than the schema.
    places = [columns.index(name) for name in schema.keys if name in columns]
    if not all(texts[place] and all(values[place]) for place in places):
        raise MalformedMessage("a row of the packed message has no key")
    source = ObjectVersion(bucket, key, version, etag, modified)
    return Message(
        source=source,
        modified=modified,
        processed_at=processed_at,
        columns=tuple(columns),
        numbers=numbers,
        values=values,
        ingestion=source.ingestion,
        name=f"{span:015d}-{number:06d}",
        clean=not escaped and all(texts),
    )


def _encode(rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
    """Return each row as JSON that SQS accepts, without the brackets around it."""
    # One call for all of them and a cut between each two cost half as much as a call for each.
    encoded = legal_json(orjson.dumps(rows))[2:-2].split(_BETWEEN_ROWS)
    if len(encoded) == len(rows):
        return encoded
    return [legal_json(orjson.dumps(row))[1:-1] for row in rows]  # no rows, or a value holds what looks like a cut
