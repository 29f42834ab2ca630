"""Which items an object's rows become, from its bytes alone: the functions' own code, without sending anything.

The key of a row follows from the object and the row, so each row can be looked up by its key and nothing is scanned.
Pure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from engine.config import SQS_MAX_BYTES
from engine.convert import Converter
from engine.identity import ObjectVersion, ingestion_digits, row_digits
from engine.items import Items, canonical_key
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.schema.model import Schema

ROWS = 500
"""Rows in a group: about one message."""

Key = tuple[str, ...]
"""Key values in the order of the schema's keys; numbers in canonical form."""


class Wanted(NamedTuple):
    """The item of one row: its key, and the value of the proof attribute if that is not part of the key."""

    key: Key
    proof: str = ""


Group = dict[int, Wanted]
"""Neighbouring rows: row number -> item, in row order."""


def proof_attribute(schema: Schema) -> str | None:
    """Return the attribute that shows which object an item was made from, or None if the schema has none.

    An attribute of the key is preferred: such an item is never replaced by another object's.
    """
    kinds = {name: kind for name, kind in schema.generated.items() if kind in ("version", "ingestion")}
    in_key = [name for name in schema.keys if name in kinds]
    beside = sorted(kinds, key=lambda name: kinds[name] != "version")
    return next(iter([*in_key, *beside]), None)


def converter_of(version: ObjectVersion, schema: Schema) -> Converter:
    """Return what reads an object as the producer does, for `expected`."""
    # The largest messages: a row that the stack's own limit rejects is found in a reject file.
    return Converter(version, schema, records_per_message=ROWS, max_message_bytes=SQS_MAX_BYTES)


async def expected(chunks: AsyncIterator[bytes], converter: Converter, schema: Schema) -> AsyncIterator[Group]:
    """Yield the items of an object's rows in groups, in row order. Rows that the schema rejects are left out.

    Raises `BadFile` for an object that the producer refuses.
    """
    async for chunk in chunks:
        for converted in converter.feed(chunk, ""):
            for outgoing in converted.messages:
                yield _group(outgoing.body, schema)
    for converted in converter.finish(""):
        for outgoing in converted.messages:
            yield _group(outgoing.body, schema)


def _group(body: bytes, schema: Schema) -> Group:
    message = parse_message(body.decode(), {}, "", 0, schema)
    assert isinstance(message, Message)  # noqa: S101 - packed messages are never refused
    items = Items(schema)
    items.add(message)
    keys = [_canonical(items.key(index), schema) for index in range(len(items))]
    wanted = map(Wanted, keys, _proofs(message, schema))
    return dict(zip(message.numbers, wanted, strict=True))


def _proofs(message: Message, schema: Schema) -> list[str]:
    attribute = proof_attribute(schema)
    if attribute is None or attribute in schema.keys:
        return [""] * len(message.numbers)
    if schema.generated[attribute] == "ingestion":
        return [message.ingestion] * len(message.numbers)
    digits = ingestion_digits(message.ingestion)
    return [f"{message.modified}.{row}{digits}" for row in row_digits(message.numbers)]


def _canonical(values: Iterable[str], schema: Schema) -> Key:
    return canonical_key(zip((schema.types[name] for name in schema.keys), values, strict=True))


def wire_key(key: Key, schema: Schema) -> dict[str, dict[str, str]]:
    """Return a key as DynamoDB writes it."""
    return {name: {schema.types[name]: value} for name, value in zip(schema.keys, key, strict=True)}


def rows_found(wanted: Mapping[int, Wanted], items: Iterable[Mapping[str, Any]], schema: Schema) -> list[int]:
    """Return the rows whose items are among `items`.

    An item with the row's key but an older version has yet to be replaced by the row. A newer version has replaced the
    row, which then counts as written: whether it was ever there can no longer be known.
    """
    attribute = proof_attribute(schema) or ""
    type_ = schema.types.get(attribute, "S")
    keys = {key for key, _ in wanted.values()}
    proofs: dict[Key, str] = {}
    for item in items:
        key = tuple(str(item[name][schema.types[name]]) for name in schema.keys)
        # DynamoDB writes numbers in canonical form; other implementations return them as they came.
        proofs[key if key in keys else _canonical(key, schema)] = str(item.get(attribute, {}).get(type_, ""))
    is_proof = _is_at_least if schema.generated.get(attribute) == "version" else str.__eq__
    return [
        row
        for row, (key, proof) in wanted.items()
        if (found := proofs.get(key)) is not None and (not proof or is_proof(found, proof))
    ]


def _is_at_least(version: str, wanted: str) -> bool:
    try:
        return Decimal(version) >= Decimal(wanted)
    except InvalidOperation:  # written by another program
        return False
