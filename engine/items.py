"""Records -> DynamoDB put requests as JSON text, in waves and batches that BatchWriteItem accepts.

Items stay columns of values, as the messages bring them, until a batch of them is put into words.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from engine.decimal_text import canonical_number
from engine.identity import ingestion_digits, row_digits
from engine.item_size import write_units
from engine.messages.message import Message
from engine.reading.format import REST
from engine.schema.model import Schema
from engine.schema.values import Encoded

MAX_BATCH_ITEMS = 25
"""BatchWriteItem: at most 25 put requests in one call."""

MAX_BATCH_BYTES = 16_000_000
"""BatchWriteItem: at most 16 MB in one call; a little below, for the envelope."""

_DAY = 86_400

_REQUEST, _REQUEST_END = '{"PutRequest":{"Item":', "}}"


class _Requests:
    """The put requests of one message, in pieces: some are the same for all rows, some have a text for each."""

    def __init__(self, pieces: list[str | Sequence[str]]) -> None:
        self._fixed = [piece if isinstance(piece, str) else "" for piece in pieces]
        self._columns = [(place, piece) for place, piece in enumerate(pieces) if not isinstance(piece, str)]

    def text(self, start: int, stop: int) -> str:
        """Return the pieces of these rows, all joined at once."""
        texts = self._fixed * (stop - start)
        for place, column in self._columns:
            texts[place :: len(self._fixed)] = column[start:stop]
        return "".join(texts)


class Items:
    """The items of a batch of messages, in order, by index: text, keys and versions when asked for.

    `ttl_days` after the object's LastModified items expire (None: never).
    """

    def __init__(self, schema: Schema, ttl_days: int | None = None) -> None:
        self._schema, self._ttl_days = schema, ttl_days
        self._messages: list[tuple[range, Message, _Requests]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, message: Message) -> range:
        """Add one item for each row of `message`, and return their indexes."""
        # Made before anything is kept: a message that cannot be made into items leaves nothing of itself behind.
        requests = _Requests(self._clean(message) if message.clean else [",", self._escaped(message)])
        own = range(self._count, self._count + len(message.numbers))
        self._messages.append((own, message, requests))
        self._count = own.stop
        return own

    def text(self, part: Sequence[int]) -> str:
        """Return the put requests of the items with these indexes, as JSON with commas in between."""
        runs = [part] if isinstance(part, range) else [range(index, index + 1) for index in part]
        return "".join(map(self._run, runs))[1:]

    def _run(self, run: range) -> str:
        """Return the requests of neighbours, each with a comma before it."""
        text = ""
        start = run.start
        while start < run.stop:
            own, _, requests = self._holding(start)
            stop = min(run.stop, own.stop)
            text += requests.text(start - own.start, stop - own.start)
            start = stop
        return text

    def key(self, index: int) -> tuple[str, ...]:
        """Return the values of an item's key attributes."""
        message, row = self._place(index)
        return tuple(self._key_value(message, row, name) for name in self._schema.keys)

    def conditional(self, index: int) -> tuple[str, str, str]:
        """Return an item as JSON, the name of its attribute of the kind `version`, and the value of that."""
        message, row = self._place(index)
        item = self.text(range(index, index + 1))[len(_REQUEST) : -len(_REQUEST_END)]
        name = next(name for name, kind in self._schema.generated.items() if kind == "version")
        return item, name, self._generated(message, "version", [message.numbers[row]])[0]

    def units(self, part: Sequence[int]) -> int:
        """Return how many write units these items cost at least."""
        return sum(map(write_units, self.each(part)))

    def each(self, part: Sequence[int]) -> list[str]:
        """Return each of these items as JSON."""
        # Putting them into words together takes a fraction of the time. No value contains what is in between: its
        # quotes would be escaped.
        return self.text(part)[len(_REQUEST) : -len(_REQUEST_END)].split(f"{_REQUEST_END},{_REQUEST}")

    def version(self, index: int) -> tuple[int, int, str]:
        """Return what orders the items of one key: LastModified, row number, and the digits of the ingestion."""
        message, row = self._place(index)
        return message.modified, message.numbers[row], ingestion_digits(message.ingestion)

    def waves(self) -> list[Sequence[int]]:
        """Split the indexes so that no wave holds a key twice, and the versions of a key come in order.

        Waves are to be written one after the other. Almost always there is just one.
        """
        if not self._count:
            return []
        if self._distinct():
            return [range(self._count)]
        by_key = self.by_key()
        waves: list[list[int]] = [[] for _ in range(max(map(len, by_key)))]
        for indexes in by_key:
            for wave, index in zip(waves, indexes, strict=False):
                wave.append(index)
        return [sorted(wave) for wave in waves]

    def by_key(self) -> list[list[int]]:
        """Return the indexes of each key in the order of their versions, the highest last."""
        by_key: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for index in range(self._count):
            by_key[self.key(index)].append(index)
        return [sorted(indexes, key=self.version) for indexes in by_key.values()]

    def _distinct(self) -> bool:
        """Tell whether no key comes twice, as cheaply as the schema allows."""
        if "version" in {self._schema.generated.get(name) for name in self._schema.keys}:
            # One ingestion and one row number are one key at the most.
            numbers: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
            for _, message, _ in self._messages:
                numbers[message.modified, message.ingestion].update(message.numbers)
            return sum(map(len, numbers.values())) == self._count
        return len(set(map(self.key, range(self._count)))) == self._count

    def _holding(self, index: int) -> tuple[range, Message, _Requests]:
        return self._messages[bisect_right(self._messages, index, key=_start) - 1]

    def _place(self, index: int) -> tuple[Message, int]:
        own, message, _ = self._holding(index)
        return message, index - own.start

    def _key_value(self, message: Message, row: int, name: str) -> str:
        if name in self._schema.constants:
            return str(self._schema.constants[name])
        kind = self._schema.generated.get(name)
        if kind is None:
            return str(message.values[message.columns.index(name)][row])
        return self._generated(message, kind, [message.numbers[row]])[0]

    def _generated(self, message: Message, kind: str, numbers: Sequence[int]) -> list[str]:
        """Return the values of a generated attribute for rows with these numbers, as text."""
        if kind == "version":
            digits = ingestion_digits(message.ingestion)
            return [f"{message.modified}.{row}{digits}" for row in row_digits(numbers)]
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

    def _clean(self, message: Message) -> list[str | Sequence[str]]:
        """Return the requests of values that stand in JSON as they are, in pieces."""
        pieces: list[str | Sequence[str]] = []
        text = f",{_REQUEST}{{"
        comma = ""
        for name, values in zip(message.columns, message.values, strict=True):
            pieces += [f'{text}{comma}{_name(name)}:{{"{self._type(name)}":"', values]
            text, comma = '"}', ","
        for name, value in self._constants().items():
            text += f"{comma}{_name(name)}:{orjson.dumps(value).decode()}"
        for name, kind in self._schema.generated.items():
            start = f'{text}{comma}{_name(name)}:{{"{self._schema.types[name]}":'
            if kind == "version":
                pieces += [f'{start}"{message.modified}.', row_digits(message.numbers)]
                text = f'{ingestion_digits(message.ingestion)}"}}'
            elif kind == "row_number":
                pieces += [f'{start}"', list(map(str, message.numbers))]
                text = '"}'
            elif shared := self._shared(message, kind):
                text = f"{start}{_name(shared)}}}"
        return [*pieces, f"{text}}}{_REQUEST_END}"]

    def _escaped(self, message: Message) -> list[str]:
        """Make requests of any values: absent ones are left out, and a serialiser escapes what must be.

        A value that is an attribute value already stays as it is. The attributes in the column `REST` become the
        item's own.
        """
        constants = self._constants()
        generated = {
            name: self._generated(message, kind, message.numbers) for name, kind in self._schema.generated.items()
        }
        types = list(map(self._type, message.columns))
        requests = []
        for row in range(len(message.numbers)):
            attributes = {
                name: value if isinstance(value, dict | Encoded) else {type_: value}
                for name, type_, value in zip(message.columns, types, message.row(row), strict=True)
                if value is not None
            }
            attributes |= attributes.pop(REST, {})
            attributes |= constants
            attributes |= {
                name: {self._schema.types[name]: values[row]} for name, values in generated.items() if values[row]
            }
            requests.append(f"{_REQUEST}{orjson.dumps(attributes).decode()}{_REQUEST_END}")
        return requests

    def _constants(self) -> dict[str, Any]:
        return {name: {self._schema.types[name]: value} for name, value in self._schema.constants.items()}

    def _type(self, name: str) -> str:
        # Columns that the schema does not know are stored as text.
        return self._schema.types.get(name, "S")


def _start(held: tuple[range, Message, _Requests]) -> int:
    return held[0].start


def _name(text: str) -> str:
    return orjson.dumps(text).decode()


def batches(wave: Sequence[int], most: int = MAX_BATCH_ITEMS) -> Iterator[Sequence[int]]:
    """Cut a wave into batches of at most so many items, in order."""
    for start in range(0, len(wave), most):
        yield wave[start : start + most]


_REPORTS_UNITS = ',"ReturnConsumedCapacity":"TOTAL"'


def batch_body(table: str, requests: str, *, reports_units: bool = False) -> bytes:
    """Return the body of a BatchWriteItem call, from put requests with commas in between.

    `reports_units`: the reply is to say how many write units the call has cost.
    """
    options = _REPORTS_UNITS if reports_units else ""
    return f'{{"RequestItems":{{{_name(table)}:[{requests}]}}{options}}}'.encode()


def put_body(table: str, items: Items, index: int, *, reports_units: bool = False) -> bytes:
    """Return the body of a PutItem call for an item, on the condition that no newer one of its key is there.

    An equal version is the same row again, perhaps by an attempt whose answer was lost. An item without a version was
    written by something else, and is replaced.
    """
    item, name, version = items.conditional(index)
    options = _REPORTS_UNITS if reports_units else ""
    return (
        f'{{"TableName":{_name(table)},"Item":{item},'
        '"ConditionExpression":"attribute_not_exists(#v) OR #v <= :v",'
        f'"ExpressionAttributeNames":{{"#v":{_name(name)}}},"ExpressionAttributeValues":{{":v":{{"N":"{version}"}}}}{options}}}'
    ).encode()


def canonical_key(key: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return key values, given as ``(type, value)``, so that two texts of one number are equal."""
    return tuple((canonical_number(value) or value) if type_ == "N" else value for type_, value in key)
