"""Records <-> SQS message bodies.

Packed (the default): one JSON object with many rows, cut by count and by bytes. The cut depends on the rows alone, so
that a second run over the same object makes the same messages. Plain: one row as one flat object, which other programs
may send too. Both become a `Message` again in the worker.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import orjson

from engine.columns import Column
from engine.errors import BadFile, MalformedMessage
from engine.schema import Schema

VERSION = 1
_MAX_ROWS = 10**12  # the 12 fraction digits of the sort key hold any number below

PLAIN_FIELDS = ("processedAt", "rowNumber")
"""Fields of a plain message that are no columns."""

_BETWEEN_ROWS = b"],["

_SECONDS = re.compile(r"[0-9]{1,12}")
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")


class Source(NamedTuple):
    """The object that rows come from, as messages carry it. `modified`: LastModified in whole seconds."""

    bucket: str
    key: str
    version: str | None
    etag: str
    modified: int

    @property
    def ingestion(self) -> str:
        """The ingestion's id: a function of the object alone, 20 hex digits."""
        parts = (self.bucket, self.key, self.version or self.etag, str(self.modified))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


class Outgoing(NamedTuple):
    """A message ready to be sent: its body, how many records it holds, and its attributes as SQS wants them."""

    body: bytes
    records: int
    attributes: dict[str, dict[str, str]]

    @property
    def size(self) -> int:
        """Bytes that SQS counts: the body, and name, type and value of each attribute."""
        return len(self.body) + sum(
            len(name) + len(value["DataType"]) + len(value["StringValue"].encode())
            for name, value in self.attributes.items()
        )


class Packer:
    """Packs the cleaned rows of one object into messages of at most `max_records` and `max_bytes` each."""

    def __init__(self, source: Source, columns: Sequence[str], *, max_records: int, max_bytes: int) -> None:
        self._max_records, self._max_bytes = max_records, max_bytes
        self._attributes = {"ingestion": _text_attribute(source.ingestion)}
        # What stands before and behind the two parts that change: the message's number and the time.
        about, names = _legal(orjson.dumps(source._asdict())), _legal(orjson.dumps(list(columns)))
        self._head = b'{"v":%d,"object":%b,"span":0,"message":' % (VERSION, about)
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


class PlainPacker:
    """Makes one plain message of each row: what ``RECORDS_PER_MESSAGE=1`` asks for.

    The attribute `modified` carries the object's LastModified, so that a second run writes the same items here too; a
    message without it takes the time when SQS accepted it.
    """

    def __init__(self, source: Source, schema: Schema, columns: Sequence[str], *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        names = {column.attribute: column.name for column in schema.columns}
        self._names = [names.get(column, column) for column in columns]
        taken = "v" if _is_packed(self._names, schema) else next((n for n in PLAIN_FIELDS if n in self._names), None)
        if taken:
            raise BadFile(f"the column {taken!r} cannot go into plain messages, where that name means something else")
        # A default that its own column would refuse or change is left out: the worker puts it in.
        self._left_out = {column.name: column.default for column in schema.columns if not _survives(column)}
        self._attributes = {
            "ingestion": _text_attribute(source.ingestion),
            "records": {"DataType": "Number", "StringValue": "1"},
            "modified": {"DataType": "Number", "StringValue": str(source.modified)},
        }
        self._key_name = schema.partition_key
        legal = _ATTRIBUTE_NAME.fullmatch(self._key_name) and self._key_name not in self._attributes
        self._key = columns.index(self._key_name) if legal and self._key_name in columns else None

    def add(self, rows: Iterable[tuple[Any, ...]], processed_at: str) -> tuple[list[Outgoing], list[int]]:
        """Take more rows ``(number, value, …)``; return their messages, and the numbers of rows that fit none."""
        messages, oversize = [], []
        for number, *values in rows:
            pairs = zip(self._names, values, strict=True)
            fields = {name: value for name, value in pairs if value is not None and value != self._left_out.get(name)}
            body = _legal(orjson.dumps({**fields, "processedAt": processed_at, "rowNumber": number}))
            attributes = self._attributes
            if self._key is not None:
                attributes = {**attributes, self._key_name: _text_attribute(str(values[self._key]))}
            message = Outgoing(body, 1, attributes)
            if message.size > self._max_bytes:
                oversize.append(number)
            else:
                messages.append(message)
        return messages, oversize

    def flush(self, processed_at: str) -> list[Outgoing]:
        """Return nothing: each row has been a message of its own."""
        return []


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the worker reads it: row numbers, and for each of `columns` the values of all rows."""

    source: Source | None
    modified: int
    processed_at: str
    columns: tuple[str, ...]
    numbers: Sequence[int]
    values: Sequence[Sequence[Any]]
    ingestion: str
    name: str
    """What distinguishes it within its ingestion: span and message number, or the SQS message id."""
    clean: bool
    """Whether all values are texts that stand in JSON as they are, without an escape."""

    def row(self, index: int) -> list[Any]:
        """Return the values of one row, without its number."""
        return [values[index] for values in self.values]


@dataclass(frozen=True, slots=True)
class Refused:
    """A plain message whose record the schema refuses, with the reason."""

    row: int
    reason: str


def parse_message(
    body: str, attributes: dict[str, Any], message_id: str, sent: int, schema: Schema
) -> Message | Refused:
    """Read a message body, packed or plain.

    `attributes` are the SQS message attributes as Lambda's event has them, `sent` the SentTimestamp in whole seconds.
    Raises `MalformedMessage`, which never quotes the body.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedMessage("the body is not JSON") from None
    if not isinstance(document, dict):
        raise MalformedMessage("the body is not a JSON object")
    if _is_packed(document, schema):
        # Without a backslash in the whole body no text in it has an escape.
        return _packed(document, "\\" in body, schema)
    if any(isinstance(value, float) for value in document.values()):
        # orjson makes a float of each number that is no 64-bit integer, and that would change it.
        try:
            exact = json.loads(body, parse_int=str, parse_float=str)
        except RecursionError:
            raise MalformedMessage("the body is nested too deeply") from None
        document |= {name: exact[name] for name, value in document.items() if isinstance(value, float)}
    return _plain(document, attributes, message_id, sent, schema)


def _is_packed(fields: Container[str], schema: Schema) -> bool:
    """Tell a packed message, of whatever version, from a plain one; a schema may have a column ``v``."""
    return "v" in fields and ("rows" in fields or not schema.has_column("v"))


def _packed(document: dict[str, Any], escaped: bool, schema: Schema) -> Message:
    if document["v"] != VERSION or isinstance(document["v"], bool):
        raise MalformedMessage("the message's version is unknown")
    try:
        about = [document["object"][name] for name in Source._fields]
        columns, rows, processed_at = document["columns"], document["rows"], document["processedAt"]
        span, number = document["span"], document["message"]
    except (KeyError, TypeError):
        raise MalformedMessage("the packed message lacks a field") from None
    bucket, key, version, etag, modified = about
    if not (
        _is_whole(modified)
        and all(isinstance(text, str) for text in (bucket, key, etag, processed_at))
        and isinstance(version, str | None)
        and _is_whole(span)
        and _is_whole(number)
        and isinstance(columns, list)
        and columns
        and all(isinstance(column, str) for column in columns)
        and isinstance(rows, list)
        and set(map(type, rows)) <= {list}
        and set(map(len, rows)) <= {1 + len(columns)}
    ):
        raise MalformedMessage("a field of the packed message has the wrong type, or a row the wrong length")
    numbers, *values = zip(*rows, strict=True) if rows else [()] * (1 + len(columns))
    if not (set(map(type, numbers)) <= {int} and min(numbers, default=0) >= 0 and max(numbers, default=0) < _MAX_ROWS):
        raise MalformedMessage("a row of the packed message has no row number")
    attributes = {*columns, *schema.generated}
    if len(attributes) != len(columns) + len(schema.generated) or not attributes.issuperset(schema.keys):
        raise MalformedMessage(f"the columns of the packed message do not suit the schema {schema.collection}")
    texts = [set(map(type, column)) <= {str} for column in values]
    # A key that is empty or no text would have the whole call refused, as if the table had other keys than the schema.
    places = [columns.index(name) for name in schema.keys if name in columns]
    if not all(texts[place] and all(values[place]) for place in places):
        raise MalformedMessage("a row of the packed message has no key")
    source = Source(bucket, key, version, etag, modified)
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


def _plain(
    document: dict[str, Any], attributes: dict[str, Any], message_id: str, sent: int, schema: Schema
) -> Message | Refused:
    number = document.get("rowNumber", 0)
    if not _is_row_number(number):
        raise MalformedMessage("rowNumber is not a whole number")
    fields = {name: value for name, value in document.items() if name not in PLAIN_FIELDS}
    if any(isinstance(value, dict | list) for value in fields.values()):
        return Refused(number, "a field of the plain message is neither text, number, boolean nor null")
    try:
        plan = schema.plan(list(fields))
    except BadFile as error:
        return Refused(number, str(error).replace("the header", "the plain message"))
    rows, bad = plan.clean([number], [[_plain_text(value) for value in fields.values()]])
    if bad:
        return Refused(number, bad[0])
    modified = _attribute(attributes, "modified")
    return Message(
        source=None,
        modified=int(modified) if _SECONDS.fullmatch(modified) else sent,
        processed_at=str(document.get("processedAt") or ""),
        columns=plan.attributes,
        numbers=[number],
        values=[[value] for value in rows[0][1:]],
        ingestion=_attribute(attributes, "ingestion"),
        name=message_id,
        clean=False,
    )


def _attribute(attributes: dict[str, Any], name: str) -> str:
    value = attributes.get(name, {}).get("stringValue")
    return value if isinstance(value, str) else ""


def _plain_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _survives(column: Column) -> bool:
    """Tell whether the default of a column would come through its own checks as it is."""
    bad: dict[int, str] = {}
    return column.default is None or (
        list(column.clean([_plain_text(column.default)], bad)) == [column.default] and not bad
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_row_number(value: Any) -> bool:
    return _is_whole(value) and value < _MAX_ROWS


def _text_attribute(text: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": _printable(text)}


def _printable(text: str) -> str:
    """Replace what SQS refuses in an attribute's value, and make sure that it is not empty."""
    return "".join(c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in text) or "-"


def _encode(rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
    """Return each row as JSON that SQS accepts, without the brackets around it."""
    # One call for all of them and a cut between each two cost half as much as a call for each.
    encoded = _legal(orjson.dumps(rows))[2:-2].split(_BETWEEN_ROWS)
    if len(encoded) == len(rows):
        return encoded
    return [_legal(orjson.dumps(row))[1:-1] for row in rows]  # no rows, or a value holds what looks like a cut


_SUSPECT = b"\xef\xbf"  # how U+FFFE and U+FFFF begin in UTF-8, and little else


def _legal(encoded: bytes) -> bytes:
    r"""Escape what SQS refuses in a body and JSON leaves as it is: U+FFFE and U+FFFF (orjson escapes the controls)."""
    if _SUSPECT in encoded:
        return encoded.replace(b"\xef\xbf\xbe", b"\\ufffe").replace(b"\xef\xbf\xbf", b"\\uffff")
    return encoded
