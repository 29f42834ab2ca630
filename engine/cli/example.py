"""The example file of the checkout that fits a schema, and the keys that a file has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from engine.deployment.checkout import CHECKOUT
from engine.errors import BadFile
from engine.identity import ObjectVersion
from engine.items import Items
from engine.jobs.replay import replay
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
        keys = [key async for key in _keys(path, schema)]
    except BadFile:
        return None
    return Example(path, len(keys), keys[0]) if keys else None


async def first_key(path: Path, schema: Schema) -> str:
    """Return the partition key of a file's first row that the schema accepts. Raises `BadFile` if there is none."""
    async for key in _keys(path, schema):
        return key
    raise BadFile(f"no row of {path.name} fits the schema")


def item_path(schema: Schema, example: Example | None) -> str:
    """Return the path of an item in the API: of the example's first row, or else with a word for a person's own key."""
    return f"{schema.collection}/{'KEY' if example is None else quote(example.key, safe='@')}"


async def _keys(path: Path, schema: Schema) -> AsyncIterator[str]:
    """Yield the partition key of each row that the schema accepts, as the producer and the worker make it."""
    async for part in replay(_chunks(path), ObjectVersion("", "", None, "", 0), schema):
        items = Items(schema)
        for message in part.messages:
            items.add(message)
        for index in range(len(items)):
            yield items.key(index)[0]


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(1 << 18):
            yield data
