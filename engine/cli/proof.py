"""Which items an ingestion has in the table: each row's key, and what shows that an item is still as the row wrote it.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.config import SQS_MAX_BYTES
from engine.convert import Converter
from engine.decimal_text import canonical_number
from engine.identity import ObjectVersion, ingestion_digits, row_digits
from engine.items import Items, canonical_key
from engine.messages.message import Message
from engine.schema.model import Schema

ROWS = 500
"""Rows in a message that is made again."""

Key = tuple[str, ...]
"""Key values in the order of the schema's keys; numbers in canonical form."""


def converter_of(version: ObjectVersion, schema: Schema) -> Converter:
    """Return what reads an object as the producer does, for `engine.replay`."""
    # The largest messages: a row that the stack's own limit rejects is found in a reject file.
    return Converter(version, schema, records_per_message=ROWS, max_message_bytes=SQS_MAX_BYTES)


def proof_attribute(schema: Schema) -> str | None:
    """Return the attribute that shows which object an item was made from, or None if the schema has none.

    An attribute of the key is preferred: such an item is never replaced by another object's.
    """
    kinds = {name: kind for name, kind in schema.generated.items() if kind in ("version", "ingestion")}
    in_key = [name for name in schema.keys if name in kinds]
    beside = sorted(kinds, key=lambda name: kinds[name] != "version")
    return next(iter([*in_key, *beside]), None)


def wire_key(key: Key, schema: Schema) -> dict[str, dict[str, str]]:
    """Return a key as DynamoDB writes it."""
    return {name: {schema.types[name]: value} for name, value in zip(schema.keys, key, strict=True)}


def proofs_of(message: Message, schema: Schema) -> list[tuple[Key, str]]:
    """Return key and proof of each row's item. The proof is empty if it is part of the key."""
    items = Items(schema)
    items.add(message)
    keys = [_canonical(items.key(index), schema) for index in range(len(items))]
    return list(zip(keys, _proofs(message, schema), strict=True))


def _proofs(message: Message, schema: Schema) -> list[str]:
    attribute = proof_attribute(schema)
    if attribute is None or attribute in schema.keys:
        return [""] * len(message.numbers)
    if schema.generated[attribute] == "ingestion":
        return [message.ingestion] * len(message.numbers)
    digits = ingestion_digits(message.ingestion)
    return [f"{message.modified}.{row}{digits}" for row in row_digits(message.numbers)]


def own_keys(wanted: Iterable[tuple[Key, str]], items: Iterable[Mapping[str, Any]], schema: Schema) -> dict[Key, str]:
    """Return which of `items` are still as rows with these keys and proofs wrote them: key -> proof.

    Only for schemas with a proof attribute. An item that a later row or another object has replaced has another proof.
    """
    own = {(key, _number(proof)): proof for key, proof in wanted}
    is_in_key = proof_attribute(schema) in schema.keys
    found: dict[Key, str] = {}
    for key, proof in _proven(items, schema):
        place = _canonical(key, schema), "" if is_in_key else _number(proof)
        if place in own:
            found[place[0]] = own[place]
    return found


def _number(proof: str) -> str:
    """Return a proof so that two ways to write one version are equal; an ingestion's id is never changed."""
    return (canonical_number(proof) or proof) if "." in proof else proof


def _proven(items: Iterable[Mapping[str, Any]], schema: Schema) -> Iterator[tuple[Key, str]]:
    """Yield key and proof of each item as they are there."""
    attribute = proof_attribute(schema) or ""
    type_ = schema.types.get(attribute, "S")
    for item in items:
        key = tuple(str(item[name][schema.types[name]]) for name in schema.keys)
        yield key, str(item.get(attribute, {}).get(type_, ""))


def _canonical(values: Iterable[str], schema: Schema) -> Key:
    return canonical_key(zip((schema.types[name] for name in schema.keys), values, strict=True))
