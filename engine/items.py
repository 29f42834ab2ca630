"""Records -> the bytes of DynamoDB items, and items -> batches that BatchWriteItem accepts.

The bytes of an item are made once; each attempt to write it sends the same ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from engine.columns import is_number
from engine.messages import Message
from engine.schema import Schema

MAX_BATCH_ITEMS = 25
"""BatchWriteItem: at most 25 put requests in one call."""

MAX_BATCH_BYTES = 16_000_000
"""BatchWriteItem: at most 16 MB in one call; a little below, for the envelope."""

_DAY = 86_400


class Item(NamedTuple):
    """An item to be put: its key (values of the key attributes), its place in time, and its put request as JSON."""

    key: tuple[str, ...]
    version: tuple[int, int]
    """LastModified seconds and row number: the later of two items with one key has the higher version."""
    request: bytes


class ItemMaker:
    """Makes items of one schema; `ttl_days` after the object's LastModified they expire (None: never)."""

    def __init__(self, schema: Schema, ttl_days: int | None = None) -> None:
        self._schema, self._ttl_days = schema, ttl_days

    def items(self, message: Message) -> list[Item]:
        """Return one item for each row of `message`, in order."""
        types = [(name, self._schema.types.get(name, "S")) for name in message.columns]
        fixed, per_row = self._generated(message)
        keys = self._schema.keys
        dumps = orjson.dumps
        items = []
        for number, *values in message.rows:
            attributes: dict[str, dict[str, Any]] = {
                name: {type_: value} for (name, type_), value in zip(types, values, strict=True) if value is not None
            }
            attributes.update(fixed)
            for name, make in per_row:
                attributes[name] = {"N": make(number)}
            # A key that is missing or no text is the service's to refuse: that makes a reject of this row alone.
            key = tuple(str(next(iter(attributes.get(name, {"S": ""}).values()))) for name in keys)
            items.append(Item(key, (message.modified, number), dumps({"PutRequest": {"Item": attributes}})))
        return items

    def _generated(self, message: Message) -> tuple[dict[str, dict[str, str]], list[tuple[str, Callable[[int], str]]]]:
        """Return the generated attributes: those that all rows share, and how to make the others from a row number."""
        modified = message.modified
        source = f"s3://{message.source.bucket}/{message.source.key}" if message.source else ""
        expires = None if self._ttl_days is None else str(modified + self._ttl_days * _DAY)
        shared = {
            "modified": str(modified),
            "processed_at": message.processed_at,
            "expires_at": expires,
            "ingestion": message.ingestion,
            "source": source,
        }
        fixed: dict[str, dict[str, str]] = {}
        per_row: list[tuple[str, Callable[[int], str]]] = []
        for name, kind in self._schema.generated.items():
            if kind == "version":
                per_row.append((name, lambda number: version_number(modified, number)))
            elif kind == "row_number":
                per_row.append((name, str))
            elif value := shared[kind]:
                fixed[name] = {self._schema.types[name]: value}
        return fixed, per_row


def version_number(modified: int, row: int) -> str:
    """Return the sort key of a row: whole seconds, and the row number as exactly 12 fraction digits."""
    return f"{modified}.{row:012d}"


def waves(items: Sequence[Item]) -> list[list[int]]:
    """Split the indexes of `items` so that no wave holds a key twice, and the versions of a key come in order.

    Waves are to be written one after the other. Almost always there is just one.
    """
    keys = {item.key for item in items}
    if len(keys) == len(items):
        return [list(range(len(items)))] if items else []
    by_key: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        by_key[item.key].append(index)
    result: list[list[int]] = [[] for _ in range(max(map(len, by_key.values())))]
    for indexes in by_key.values():
        for wave, index in zip(result, sorted(indexes, key=lambda i: items[i].version), strict=False):
            wave.append(index)
    return [sorted(wave) for wave in result]


def batches(items: Sequence[Item], wave: Iterable[int]) -> Iterator[list[int]]:
    """Cut a wave into batches within the limits of BatchWriteItem, in order."""
    batch: list[int] = []
    size = 0
    for index in wave:
        length = len(items[index].request) + 1
        if batch and (len(batch) == MAX_BATCH_ITEMS or size + length > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(index)
        size += length
    if batch:
        yield batch


def batch_body(table: str, requests: Iterable[bytes]) -> bytes:
    """Return the body of a BatchWriteItem call."""
    return b'{"RequestItems":{%b:[%b]}}' % (orjson.dumps(table), b",".join(requests))


def canonical_key(key: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return key values, given as ``(type, value)``, so that two texts of one number are equal."""
    return tuple((is_number(value) or value) if type_ == "N" else value for type_, value in key)
