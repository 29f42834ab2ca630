"""A table's key as DescribeTable shows it, compared with the key of a schema. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.schema.model import Schema

Key = list[tuple[str, str]]
"""Name and DynamoDB type of each key attribute, the partition key first."""


def described_key(table: Mapping[str, Any]) -> Key:
    """Return the key of a table, of `Table` in a reply to DescribeTable. Raises `KeyError` for what is none."""
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    names = {each["KeyType"]: each["AttributeName"] for each in table["KeySchema"]}
    return [(names[kind], types[names[kind]]) for kind in ("HASH", "RANGE") if kind in names]


def key_problem(table: str, key: Sequence[tuple[str, str]], schema: Schema) -> str | None:
    """Return how the key of the table called `table` differs from the schema's, or None if it does not."""
    wanted = [(name, schema.types[name]) for name in schema.keys]
    if list(key) == wanted:
        return None
    has, needed = (", ".join(f"{name} ({type_})" for name, type_ in each) for each in (key, wanted))
    return f"the key of the table {table} is {has}, that of the schema {needed}"
