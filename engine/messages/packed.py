"""Packed messages: one JSON object with many rows, cut by count and by bytes.

The cut depends on the rows alone, so that a second run over the same object makes the same messages.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, Final

import orjson

from engine.errors import BadFile, MalformedMessage
from engine.identity import ObjectVersion
from engine.messages.message import (
    HAND_ON_BYTES,
    MAX_ROWS,
    Message,
    Outgoing,
    is_whole,
    legal_json,
    run_attribute,
    text_attribute,
)
from engine.reading.format import REST
from engine.schema.model import Schema
from engine.schema.rest import are_names
from engine.schema.values import TYPED, is_attribute

VERSION = 1

MAX_TEXT_BYTES = 1_024
"""S3 quota of an object's key and version id, in UTF-8. No bucket's name, ETag or time is longer."""

MAX_SHARED_BYTES = 4 * 1_048_576
"""Limit for the names of a message's columns and object, counted once for each row. The worker's items repeat them, so
a message of 1 MiB with one long name could become gigabytes."""

_BETWEEN_ROWS = b"],["


class Packer:
    """Packs the cleaned rows of one span of an object into messages of at most `max_records` and `max_bytes` each.

    `span` is the first byte of the span; messages count from 0 within it. A run that continues another one begins with
    message `number`, whose first row is `first_row`: rows before that are checked but not packed.
    """

    def __init__(
        self,
        source: ObjectVersion,
        columns: Sequence[str],
        *,
        span: int = 0,
        number: int = 0,
        first_row: int = 0,
        run: int = 0,
        max_records: int,
        max_bytes: int,
    ) -> None:
        self._max_records = min(max_records, max(1, MAX_SHARED_BYTES // _shared_bytes(source, columns)))
        self._attributes = {"ingestion": text_attribute(source.ingestion), **run_attribute(run)}
        # Everything around the two parts that change: the message's number and the time.
        about, names = legal_json(orjson.dumps(source._asdict())), legal_json(orjson.dumps(list(columns)))
        self._head = b'{"v":%d,"object":%b,"span":%d,"message":' % (VERSION, about, span)
        self._columns = b'","columns":%b,"rows":[[' % names
        # A message number has at most 10 digits (no object has that many records), a time 24 characters.
        envelope = len(self._head) + 10 + len(b',"processedAt":"') + 24 + len(self._columns) + len(b"}")
        attributes = len("ingestionString") + 20 + len("recordsNumber") + 10 + HAND_ON_BYTES
        self._room = max_bytes - envelope - attributes
        if self._room < 1:
            raise BadFile(f"the object's key and columns alone fill a message of {max_bytes:,} bytes")
        self._rows: list[bytes] = []
        self._sizes: list[int] = []
        self._number, self._first_row = number, first_row

    @property
    def waiting(self) -> int:
        """How many rows have not filled a message yet."""
        return len(self._rows)

    @property
    def first_waiting(self) -> int | None:
        """The number of the first row that is in no message yet."""
        return _number_of(self._rows[0]) if self._rows else None

    def add(self, rows: Sequence[tuple[Any, ...]], processed_at: str) -> tuple[list[Outgoing], list[int]]:
        """Take more rows ``(number, value, …)``; return full messages, and the numbers of rows that fit into none."""
        oversize: list[int] = []
        encoded = _encode(rows)
        sizes = list(map(len(_BETWEEN_ROWS).__add__, map(len, encoded)))
        if sizes and max(sizes) > self._room:
            over = [row for row, size in zip(encoded, sizes, strict=True) if size > self._room]
            oversize = list(map(_number_of, over))
            encoded = [row for row, size in zip(encoded, sizes, strict=True) if size <= self._room]
            sizes = [size for size in sizes if size <= self._room]
        if rows and rows[0][0] < self._first_row:
            sent = sum(_number_of(row) < self._first_row for row in encoded)
            encoded, sizes = encoded[sent:], sizes[sent:]
        self._rows += encoded
        self._sizes += sizes
        return self._cut(processed_at, whole=False), oversize

    def flush(self, processed_at: str) -> list[Outgoing]:
        """Return the remaining rows as the last messages."""
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


def _number_of(row: bytes) -> int:
    """Return the number of a row; parsed whole, it would take its memory again."""
    return int(row.partition(b",")[0])


def read_packed(document: dict[str, Any], escaped: bool, schema: Schema) -> Message:
    """Read a packed message; `escaped`: some text in it may have an escape. Raises `MalformedMessage`."""
    if document["v"] != VERSION or isinstance(document["v"], bool):
        raise MalformedMessage("the message's version is unknown")
    source = _source(_field(document, "object"))
    span, number = _whole(document, "span"), _whole(document, "message")
    processed_at = _text(_field(document, "processedAt"), "processedAt")
    columns = _columns(_field(document, "columns"), schema)
    rows = _rows(_field(document, "rows"), columns)
    if len(rows) > 1 and len(rows) * _shared_bytes(source, columns) > MAX_SHARED_BYTES:
        raise MalformedMessage(
            "the packed message has too many rows for names as long as those of its columns and object"
        )
    numbers, *values = zip(*rows, strict=True) if rows else [()] * (1 + len(columns))
    if not (set(map(type, numbers)) <= {int} and min(numbers, default=0) >= 0 and max(numbers, default=0) < MAX_ROWS):
        raise MalformedMessage("a row of the packed message has no row number")
    texts = [set(map(type, column)) <= {str} for column in values]
    # A key that is empty or not text would have the whole call refused, as if the table had other keys than the schema.
    places = [columns.index(name) for name in schema.keys if name in columns]
    if not all(texts[place] and all(values[place]) for place in places):
        raise MalformedMessage("a row of the packed message has no key")
    for name, column, is_text in zip(columns, values, texts, strict=True):
        if name == REST:
            _check_rest(column, {*columns, *schema.types})
        elif not is_text or schema.types.get(name, "S") not in TYPED:
            _check_values(name, column, schema)
    return Message(
        source=source,
        modified=source.modified,
        processed_at=processed_at,
        columns=tuple(columns),
        numbers=numbers,
        values=values,
        ingestion=source.ingestion,
        name=f"{span:015d}-{number:06d}",
        clean=not escaped and all(texts) and REST not in columns,
        place=(span, number),
    )


_KINDS: Final = {str, bool, type(None), dict}


def _check_values(name: str, values: Sequence[Any], schema: Schema) -> None:
    """Raise `MalformedMessage` if a value of a column is nothing that an item can have."""
    kinds = set(map(type, values))
    if not kinds <= _KINDS:
        raise MalformedMessage("a value of the packed message is neither text, boolean, null nor an attribute value")
    if dict in kinds and not all(is_attribute(value) for value in values if isinstance(value, dict)):
        raise MalformedMessage("a value of the packed message is an object, but not an attribute value of DynamoDB")
    if schema.types.get(name, "S") not in TYPED and not kinds <= {dict, type(None)}:
        raise MalformedMessage("a value of the packed message is not an attribute value, as its column's type needs it")


def _check_rest(values: Sequence[Any], taken: set[str]) -> None:
    """Raise `MalformedMessage` if a value is not an object of attributes that no column and nothing else has."""
    if not set(map(type, values)) <= {dict, type(None)}:
        raise MalformedMessage("a value of the packed message's column without a name is no object")
    for value in filter(None, values):
        if not are_names(value):
            raise MalformedMessage("an attribute of the packed message has a name that is empty or too long")
        if not taken.isdisjoint(value):
            raise MalformedMessage("an attribute of the packed message has the name of a column or of the schema's own")
        if not all(map(is_attribute, value.values())):
            raise MalformedMessage("an attribute of the packed message is not an attribute value of DynamoDB")


def _field(fields: dict[str, Any], name: str, where: str = "") -> Any:
    if name not in fields:
        raise MalformedMessage(f"the packed message has no {where}{name}")
    return fields[name]


def _whole(fields: dict[str, Any], name: str, where: str = "") -> int:
    value = _field(fields, name, where)
    if not is_whole(value):
        raise MalformedMessage(f"{where}{name} of the packed message is not a whole number from 0")
    return int(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise MalformedMessage(f"{name} of the packed message is not text")
    if len(value.encode()) > MAX_TEXT_BYTES:
        raise MalformedMessage(f"{name} of the packed message is longer than {MAX_TEXT_BYTES:,} bytes")
    return value


def _source(about: Any) -> ObjectVersion:
    if not isinstance(about, dict):
        raise MalformedMessage("object of the packed message is not a JSON object")
    where = "object."
    bucket, key, etag = (_text(_field(about, name, where), where + name) for name in ("bucket", "key", "etag"))
    version = _field(about, "version", where)
    if version is not None:
        version = _text(version, "object.version")
    return ObjectVersion(bucket, key, version, etag, _whole(about, "modified", where))


def _columns(columns: Any, schema: Schema) -> list[str]:
    if not isinstance(columns, list) or not columns or set(map(type, columns)) != {str}:
        raise MalformedMessage("columns of the packed message is not a list of names")
    added = {*schema.generated, *schema.constants}
    attributes = {*columns, *added}
    if len(attributes) != len(columns) + len(added):
        raise MalformedMessage(
            f"the packed message has a column twice, or one that the schema {schema.collection} generates"
        )
    missing = [name for name in schema.keys if name not in attributes]
    if missing:
        raise MalformedMessage(
            f"the packed message has no column {missing[0]}, a key of the schema {schema.collection}"
        )
    return columns


def _rows(rows: Any, columns: list[str]) -> list[list[Any]]:
    if not isinstance(rows, list) or not set(map(type, rows)) <= {list}:
        raise MalformedMessage("rows of the packed message is not a list of rows")
    if not set(map(len, rows)) <= {1 + len(columns)}:
        raise MalformedMessage("a row of the packed message does not have a number and one value for each column")
    return rows


def _shared_bytes(source: ObjectVersion, columns: Iterable[str]) -> int:
    """Return the size of the names that all items of a message repeat: columns, bucket and key, in UTF-8 bytes."""
    return sum(len(text.encode()) for text in (source.bucket, source.key, *columns))


def _encode(rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
    """Return each row as JSON that SQS accepts, without the brackets around it."""
    # One call for all rows and a split cost half as much as a call for each.
    encoded = legal_json(orjson.dumps(rows))[2:-2].split(_BETWEEN_ROWS)
    if len(encoded) == len(rows):
        return encoded
    return [legal_json(orjson.dumps(row))[1:-1] for row in rows]  # no rows, or a value contains the separator
