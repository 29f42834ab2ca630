"""Plain messages: one row as one flat JSON object, which other programs may send too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from engine.errors import BadFile, MalformedMessage
from engine.identity import ObjectVersion
from engine.messages.message import (
    RUN,
    Message,
    Outgoing,
    Refused,
    is_packed,
    is_row_number,
    legal_json,
    run_attribute,
    text_attribute,
)
from engine.schema.columns import Column
from engine.schema.model import Schema
from engine.schema.values import NULL

PLAIN_FIELDS = ("processedAt", "rowNumber")
"""Fields of a plain message that are not columns."""

PLACE = "place"
"""Message attribute: span and message number, for the producer's own messages."""

_PLACE = re.compile(r"([0-9]{1,15})-([0-9]{1,10})")
_SECONDS = re.compile(r"[0-9]{1,12}")

_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")


class PlainPacker:
    """Makes one plain message of each row, for ``RECORDS_PER_MESSAGE=1`` and schemas with `Schema.is_plain`.

    The attribute `modified` carries the object's LastModified, so that a second run writes the same items here too; a
    message without it gets the time at which SQS accepted it. Rows before `first_row` are checked but not sent: they
    were.
    """

    first_waiting: int | None = None
    """No row waits for others."""

    waiting = 0
    """How many rows have not filled a message yet."""

    def __init__(
        self,
        source: ObjectVersion,
        schema: Schema,
        columns: Sequence[str],
        *,
        span: int = 0,
        number: int = 0,
        first_row: int = 0,
        run: int = 0,
        max_bytes: int,
    ) -> None:
        self._max_bytes, self._first_row = max_bytes, first_row
        self._span, self._number = span, number
        names = {column.attribute: column.name for column in schema.columns}
        # Computed attributes are left out: the worker computes them again.
        computed = {each.attribute.attribute for each in schema.computed}
        self._places = [place for place, column in enumerate(columns) if column not in computed]
        self._names = [names.get(columns[place], columns[place]) for place in self._places]
        taken = "v" if is_packed(self._names, schema) else next((n for n in PLAIN_FIELDS if n in self._names), None)
        if taken:
            raise BadFile(f"the column {taken!r} cannot go into plain messages, where that name means something else")
        # A column found by its place leaves its names to unknown columns; messages have names only.
        unknown = [columns[place] for place in self._places if columns[place] not in names]
        if schema.knows_any(unknown):
            raise BadFile(
                "an unknown column has the name of one that the schema finds by its place: plain messages "
                "cannot tell them apart"
            )
        # A default that its own column would reject or change is left out; the worker adds it.
        self._left_out = {column.name: column.default for column in schema.columns if not _survives(column)}
        self._attributes = {
            "ingestion": text_attribute(source.ingestion),
            "records": {"DataType": "Number", "StringValue": "1"},
            "modified": {"DataType": "Number", "StringValue": str(source.modified)},
            **run_attribute(run),
        }
        self._key_name = schema.partition_key
        legal = _ATTRIBUTE_NAME.fullmatch(self._key_name) and self._key_name not in {*self._attributes, PLACE, RUN}
        self._key = columns.index(self._key_name) if legal and self._key_name in columns else None

    def add(self, rows: Iterable[tuple[Any, ...]], processed_at: str) -> tuple[list[Outgoing], list[int]]:
        """Take more rows ``(number, value, …)``; return their messages, and the numbers of rows that fit into none."""
        messages, oversize = [], []
        for number, *values in rows:
            pairs = zip(self._names, map(values.__getitem__, self._places), strict=True)
            fields = {
                name: None if value == NULL else value  # the worker makes it NULL again
                for name, value in pairs
                if value is not None and value != self._left_out.get(name)
            }
            body = legal_json(orjson.dumps({**fields, "processedAt": processed_at, "rowNumber": number}))
            attributes = {**self._attributes, PLACE: text_attribute(f"{self._span}-{self._number}")}
            if self._key is not None:
                attributes[self._key_name] = text_attribute(str(values[self._key]))
            message = Outgoing(body, 1, attributes)
            if message.size > self._max_bytes:
                oversize.append(number)
            elif number >= self._first_row:
                messages.append(message)
                self._number += 1
        return messages, oversize

    def flush(self, processed_at: str) -> list[Outgoing]:
        """Return nothing: each row is already a message of its own."""
        return []


def read_plain(
    document: dict[str, Any], attributes: dict[str, Any], message_id: str, sent: int, schema: Schema
) -> Message | Refused:
    """Read a plain message; see `engine.messages.parse.parse_message`. Raises `MalformedMessage`."""
    number = document.get("rowNumber", 0)
    if not is_row_number(number):
        raise MalformedMessage("rowNumber is not a whole number")
    modified, ingestion = _attribute(attributes, "modified"), _attribute(attributes, "ingestion")
    place = _place(attributes) if ingestion else None

    def refused(reason: str) -> Refused:
        return Refused(number, reason, ingestion, place)

    fields = {name: value for name, value in document.items() if name not in PLAIN_FIELDS}
    nested = [name for name, value in fields.items() if isinstance(value, dict | list)]
    for name in nested:
        if schema.takes_nested(name):
            continue
        if schema.unknown_columns != "ignore" or schema.knows_any([name]):
            return refused("a field of the plain message is neither text, number, boolean nor null")
        del fields[name]
    try:
        plan = schema.plan(list(fields), "message")
    except BadFile as error:
        return refused(str(error).replace("the header", "the plain message"))
    rows, bad = plan.clean([number], [list(fields.values())])
    if bad:
        return refused(bad[0])
    dated = _SECONDS.fullmatch(modified) is not None
    return Message(
        source=None,
        modified=int(modified) if dated else sent,
        processed_at=str(document.get("processedAt") or ""),
        columns=plan.attributes,
        numbers=[number],
        values=[[value] for value in rows[0][1:]],
        # Without a date of its own a message is an ingestion by itself: two of one second stay apart.
        ingestion=ingestion if dated or ingestion else message_id,
        name=message_id,
        clean=False,
        place=place,
    )


def _place(attributes: dict[str, Any]) -> tuple[int, int] | None:
    found = _PLACE.fullmatch(_attribute(attributes, PLACE))
    return (int(found[1]), int(found[2])) if found else None


def _attribute(attributes: dict[str, Any], name: str) -> str:
    value = attributes.get(name, {}).get("stringValue")
    return value if isinstance(value, str) else ""


def _survives(column: Column) -> bool:
    """Return whether a column's default passes the column's own checks unchanged."""
    bad: dict[int, str] = {}
    return column.default is None or (list(column.clean_json([column.default], bad)) == [column.default] and not bad)
