"""Which items an object must have become, from its bytes: the same code as the functions', without sending anything.

The key of each row follows from the object and the row alone, so that rows are looked up by key and nothing is scanned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from engine.config import SQS_MAX_BYTES
from engine.convert import Converter
from engine.identity import ObjectVersion, ingestion_digits, row_digits
from engine.items import Items, canonical_key
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.schema.model import Schema

ROWS = 500
"""Rows that are looked up together: about one message."""

Key = tuple[str, ...]


@dataclass(slots=True)
class Expected:
    """The items that some neighbouring rows must have become."""

    rows: dict[int, Key] = field(default_factory=dict)
    """Row number -> key, of the rows that have not been found yet. Numbers in keys are in canonical form."""
    versions: dict[int, str] = field(default_factory=dict)
    """Row number -> version, where the schema has one beside the key."""


def version_attribute(schema: Schema) -> str | None:
    """Return the attribute that tells which upload an item is from, or None if there is none."""
    return next((name for name, kind in schema.generated.items() if kind == "version"), None)


async def expected(chunks: AsyncIterator[bytes], version: ObjectVersion, schema: Schema) -> AsyncIterator[Expected]:
    """Yield what the rows of an object must have become, in their order. Rows that the schema refuses are left out.

    Raises `BadFile` for an object that the producer refuses.
    """
    # The largest messages: a row that the stack's own limit refuses is among the rejects, and counted there.
    converter = Converter(version, schema, records_per_message=ROWS, max_message_bytes=SQS_MAX_BYTES)
    async for chunk in chunks:
        for converted in converter.feed(chunk, ""):
            for outgoing in converted.messages:
                yield _of_message(outgoing.body, schema)
    for converted in converter.finish(""):
        for outgoing in converted.messages:
            yield _of_message(outgoing.body, schema)


def _of_message(body: bytes, schema: Schema) -> Expected:
    message = parse_message(body.decode(), {}, "", 0, schema)
    assert isinstance(message, Message)  # noqa: S101 - packed messages are never refused
    items = Items(schema)
    items.add(message)
    types = [schema.types[name] for name in schema.keys]
    keys = [canonical_key(zip(types, items.key(index), strict=True)) for index in range(len(items))]
    found = Expected(dict(zip(message.numbers, keys, strict=True)))
    if version_attribute(schema) not in (None, *schema.keys):
        digits = ingestion_digits(message.ingestion)
        rows = row_digits(message.numbers)
        found.versions = {n: f"{message.modified}.{row}{digits}" for n, row in zip(message.numbers, rows, strict=True)}
    return found


def wire_key(key: Key, schema: Schema) -> dict[str, dict[str, str]]:
    """Return a key as DynamoDB writes it."""
    return {name: {schema.types[name]: value} for name, value in zip(schema.keys, key, strict=True)}


def take_found(waiting: Expected, found: list[dict[str, Any]], schema: Schema) -> int:
    """Take the rows whose items are among `found` from those that are waited for; return how many there were.

    An item with the right key and an older version is what the row has yet to replace; a newer one has replaced it.
    """
    beside = version_attribute(schema)
    versions: dict[Key, str] = {}
    for item in found:
        key = canonical_key((schema.types[name], str(item[name][schema.types[name]])) for name in schema.keys)
        versions[key] = str(item.get(beside or "", {}).get("N", ""))
    written = [
        number
        for number, key in waiting.rows.items()
        if key in versions and _is_at_least(versions[key], waiting.versions.get(number))
    ]
    for number in written:
        del waiting.rows[number]
        waiting.versions.pop(number, None)
    return len(written)


def _is_at_least(version: str, wanted: str | None) -> bool:
    try:
        return wanted is None or Decimal(version) >= Decimal(wanted)
    except InvalidOperation:  # another program's
        return False
