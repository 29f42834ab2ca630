"""Records -> DynamoDB put requests as JSON text, in waves and batches that BatchWriteItem accepts.

The text of a request is made once; each attempt to write it sends the same one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import orjson

from engine.columns import is_number
from engine.messages import Message
from engine.schema import Schema

MAX_BATCH_ITEMS = 25
"""BatchWriteItem: at most 25 put requests in one call."""

MAX_BATCH_BYTES = 16_000_000
"""BatchWriteItem: at most 16 MB in one call; a little below, for the envelope."""

_DAY = 86_400


class Items:
    """The items of a batch of messages, in order, by index: requests at once, keys and versions when asked for.

    `ttl_days` after the object's LastModified items expire (None: never).
    """

    def __init__(self, schema: Schema, ttl_days: int | None = None) -> None:
        self._schema, self._ttl_days = schema, ttl_days
        self._messages: list[tuple[int, Message]] = []
        self.requests: list[str] = []
        """The put request of each item, as JSON."""

    def __len__(self) -> int:
        return len(self.requests)

    def add(self, message: Message) -> range:
        """Add one item for each row of `message`, and return their indexes."""
        # Made before anything is kept: a message that cannot be made into items leaves nothing of itself behind.
        requests = self._clean(message) if message.clean else self._escaped(message)
        first = len(self.requests)
        self._messages.append((first, message))
        self.requests += requests
        return range(first, len(self.requests))

    def key(self, index: int) -> tuple[str, ...]:
        """Return the values of an item's key attributes."""
        message, row = self._place(index)
        return tuple(self._key_value(message, row, name) for name in self._schema.keys)

    def version(self, index: int) -> tuple[int, int]:
        """Return LastModified and row number: of two items with one key, the later has the higher version."""
        message, row = self._place(index)
        return message.modified, message.numbers[row]

    def waves(self) -> list[Sequence[int]]:
        """Split the indexes so that no wave holds a key twice, and the versions of a key come in order.

        Waves are to be written one after the other. Almost always there is just one.
        """
        if not self.requests:
            return []
        if self._distinct():
            return [range(len(self.requests))]
        by_key: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for index in range(len(self.requests)):
            by_key[self.key(index)].append(index)
        waves: list[list[int]] = [[] for _ in range(max(map(len, by_key.values())))]
        for indexes in by_key.values():
            for wave, index in zip(waves, sorted(indexes, key=self.version), strict=False):
                wave.append(index)
        return [sorted(wave) for wave in waves]

    def _distinct(self) -> bool:
        """Tell whether no key comes twice, as cheaply as the schema allows."""
        seen: set[object] = set()
        versioned = "version" in {self._schema.generated.get(name) for name in self._schema.keys}
        for first, message in self._messages:
            if versioned:  # one time and one row number are one key at the most
                seen.update(zip(repeat(message.modified), message.numbers, strict=False))
            else:
                seen.update(self.key(first + row) for row in range(len(message.numbers)))
        return len(seen) == len(self.requests)

    def _place(self, index: int) -> tuple[Message, int]:
        first, message = next(place for place in reversed(self._messages) if place[0] <= index)
        return message, index - first

    def _key_value(self, message: Message, row: int, name: str) -> str:
        kind = self._schema.generated.get(name)
        if kind is None:
            return str(message.values[message.columns.index(name)][row])
        return self._generated(message, kind, [message.numbers[row]])[0]

    def _generated(self, message: Message, kind: str, numbers: Sequence[int]) -> list[str]:
        """Return the values of a generated attribute for rows with these numbers, as text."""
        if kind == "version":
            return list(map(f"{message.modified}.".__add__, map(str.zfill, map(str, numbers), repeat(12))))
        if kind == "row_number":
            return list(map(str, numbers))
        return [self._shared(message, kind)] * len(numbers)

    def _shared(self, message: Message, kind: str) -> str:
        """Return the value of a generated attribute that all rows of a message share; empty if there is none."""
        match kind:
            case "modified":
                return str(message.modified)
            case "processed_at":
                return message.processed_at
            case "expires_at":
                return "" if self._ttl_days is None else str(message.modified + self._ttl_days * _DAY)
            case "ingestion":
                return message.ingestion
            case _:
                return f"s3://{message.source.bucket}/{message.source.key}" if message.source else ""

    def _clean(self, message: Message) -> list[str]:
        """Make requests of values that stand in JSON as they are: pieces of text, joined in C for all rows at once."""
        pieces: list[Iterable[str]] = []
        text = '{"PutRequest":{"Item":{'
        comma = ""
        for name, values in zip(message.columns, message.values, strict=True):
            pieces += [repeat(f'{text}{comma}{_name(name)}:{{"{self._type(name)}":"'), values]
            text, comma = '"}', ","
        for name, kind in self._schema.generated.items():
            start = f'{text}{comma}{_name(name)}:{{"{self._schema.types[name]}":'
            if kind in ("version", "row_number"):
                pieces += [repeat(start + '"'), self._generated(message, kind, message.numbers)]
                text = '"}'
            elif shared := self._shared(message, kind):
                text = f"{start}{_name(shared)}}}"
        pieces.append(repeat(text + "}}}"))
        return list(map("".join, zip(*pieces, strict=False)))

    def _escaped(self, message: Message) -> list[str]:
        """Make requests of any values: absent ones are left out, and a serialiser escapes what must be."""
        generated = {
            name: self._generated(message, kind, message.numbers) for name, kind in self._schema.generated.items()
        }
        requests = []
        for row in range(len(message.numbers)):
            attributes = {
                name: {self._type(name): values[row]}
                for name, values in zip(message.columns, message.values, strict=True)
                if values[row] is not None
            }
            attributes |= {
                name: {self._schema.types[name]: values[row]} for name, values in generated.items() if values[row]
            }
            requests.append(orjson.dumps({"PutRequest": {"Item": attributes}}).decode())
        return requests

    def _type(self, name: str) -> str:
        # Columns that the schema does not know are stored as text.
        return self._schema.types.get(name, "S")


def _name(text: str) -> str:
    return orjson.dumps(text).decode()


def batches(wave: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut a wave into batches of at most `MAX_BATCH_ITEMS`, in order."""
    for start in range(0, len(wave), MAX_BATCH_ITEMS):
        yield wave[start : start + MAX_BATCH_ITEMS]


def batch_body(table: str, requests: Iterable[str]) -> bytes:
    """Return the body of a BatchWriteItem call."""
    return f'{{"RequestItems":{{{_name(table)}:[{",".join(requests)}]}}}}'.encode()


def canonical_key(key: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return key values, given as ``(type, value)``, so that two texts of one number are equal."""
    return tuple((is_number(value) or value) if type_ == "N" else value for type_, value in key)
