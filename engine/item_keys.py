"""The keys of items, by the schema: values of which two that DynamoDB takes for the same are equal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.items import canonical_key
from engine.schema.model import Schema

Key = tuple[str, ...]
"""Key values in the order of the schema's keys; numbers in canonical form."""

Item = Mapping[str, Mapping[str, Any]]
"""Attributes by name, as DynamoDB's JSON has them; binary values may be bytes."""


def key_of(item: Item, schema: Schema) -> Key:
    """Return an item's key."""
    types = [schema.types[name] for name in schema.keys]
    return canonical_key((type_, str(item[name][type_])) for name, type_ in zip(schema.keys, types, strict=True))


def wire_key(key: Key, schema: Schema) -> dict[str, dict[str, str]]:
    """Return a key as DynamoDB's JSON has it."""
    return {name: {schema.types[name]: value} for name, value in zip(schema.keys, key, strict=True)}
