"""The example file of the checkout that fits a schema, and the keys that a file has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from engine.cli.expected import Group, converter_of, expected
from engine.deployment.checkout import CHECKOUT
from engine.errors import BadFile
from engine.identity import ObjectVersion
from engine.schema.model import Schema


@dataclass(frozen=True, slots=True)
class Example:
    """A file, how many rows of it the schema accepts, and the partition key of the first of them."""

    path: Path
    rows: int
    key: str


async def example_of(schema: Schema, folder: Path = CHECKOUT / "examples") -> Example | None:
    """Return the example that fits a schema: named after its collection, with a row that it accepts."""
    path = folder / f"{schema.collection}.csv"
    if not path.is_file():
        return None
    try:
        rows = [row async for group in _groups(path, schema) for row in group.values()]
    except BadFile:
        return None
    return Example(path, len(rows), rows[0].key[0]) if rows else None


async def first_key(path: Path, schema: Schema) -> str:
    """Return the partition key of a file's first row that the schema accepts. Raises `BadFile` if there is none."""
    async for group in _groups(path, schema):
        for row in group.values():
            return row.key[0]
    raise BadFile(f"no row of {path.name} fits the schema")


def item_path(schema: Schema, example: Example | None) -> str:
    """Return the path of an item in the API: of the example's first row, or else with a word for a person's own key."""
    return f"{schema.collection}/{'KEY' if example is None else quote(example.key, safe='@')}"


def _groups(path: Path, schema: Schema) -> AsyncIterator[Group]:
    return expected(_bytes_of(path), converter_of(ObjectVersion("", "", None, "", 0), schema), schema)


async def _bytes_of(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(1 << 18):
            yield data
