"""Compares the table with an object, row by row: the items that its rows become, and what the table has for their keys.

Each row is judged once, in row order, and of a bounded number of rows anything is kept: 500 while they are looked up,
and up to `MAX_OPEN` that a later row of the file may have replaced.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, NamedTuple

import orjson

from engine.decimal_text import canonical_number
from engine.errors import BadFile
from engine.identity import ObjectVersion
from engine.item_keys import Item, Key, key_of
from engine.items import Items
from engine.jobs.replay import Replayed
from engine.messages.message import Message
from engine.schema.model import Schema

Lookup = Callable[[Iterable[Key]], Awaitable[list[dict[str, Any]]]]
"""Returns the items with these keys that are in the table."""

MAX_OPEN = 100_000
"""Rows that are neither in the table nor known to be replaced by a later row of the file: about 50 MB."""

MAX_NAMES, MAX_FIRST = 50, 5
"""Names of attributes that are counted each, and row numbers that are kept, for each verdict."""

MAX_INGESTIONS = 10_000

OTHER_ATTRIBUTES = "other attributes"

GOOD = ("match", "replaced", "rejected")
BAD = ("undone", "expired", "missing", "different")
"""What is found of a row, as docs/cli.md explains each."""


class Row(NamedTuple):
    """A row that is to be in the table: its number, its key, and the item that a worker writes."""

    number: int
    key: Key
    item: Item


def rows_of(message: Message, schema: Schema, ttl_days: int | None, chosen: Callable[[int], bool]) -> list[Row]:
    """Return the chosen rows of a message; the others are not put into words."""
    items = Items(schema, ttl_days)
    items.add(message)
    places = [place for place, number in enumerate(message.numbers) if chosen(number)]
    puts = orjson.loads(f"[{items.text(places)}]")
    made = [put["PutRequest"]["Item"] for put in puts]
    return [Row(message.numbers[i], key_of(item, schema), item) for i, item in zip(places, made, strict=True)]


def spread(sample: int | None, rows: int) -> Callable[[int], bool]:
    """Return what chooses `sample` of the row numbers 1 to `rows`, evenly spread; None, or more than that: all."""
    if sample is None or sample >= rows:
        return _each
    return lambda number: number * sample // rows > (number - 1) * sample // rows


def _each(_number: int) -> bool:
    return True


def differences(expected: Item, found: Item) -> list[str]:
    """Return the names of attributes that two items do not have in common with the same value."""
    return sorted(
        name
        for name in expected.keys() | found.keys()
        if name not in expected
        or name not in found
        or (expected[name] != found[name] and _comparable(expected[name]) != _comparable(found[name]))
    )


def _comparable(value: Mapping[str, Any]) -> Any:
    """Return an attribute value so that two ways to write one value are equal."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return kind, canonical_number(content) or content
        case "B":
            return kind, content if isinstance(content, bytes) else base64.b64decode(content)
        case "SS" | "NS" | "BS":
            return kind, frozenset(_comparable({kind[0]: each}) for each in content)
        case "L":
            return kind, [_comparable(each) for each in content]
        case "M":
            return kind, {name: _comparable(each) for name, each in content.items()}
        case _:
            return kind, content


class Verification:
    """Judges the rows of one object at a time; see `GOOD` and `BAD` for what is counted.

    `is_rejected` returns whether a row is in a reject file, `moment` is the time in seconds since the epoch.
    `modified_of` returns LastModified of another ingestion's object, or None if that is unknown. `is_undone`: rows
    without an item count as undone.
    """

    def __init__(
        self,
        source: ObjectVersion,
        schema: Schema,
        *,
        ttl_days: int | None,
        is_rejected: Callable[[int], bool],
        moment: int,
        modified_of: Callable[[str], Awaitable[int | None]],
        is_undone: bool = False,
        most_open: int = MAX_OPEN,
    ) -> None:
        self._source, self._schema, self._ttl_days = source, schema, ttl_days
        self._is_rejected, self._moment, self._modified_of = is_rejected, moment, modified_of
        self._gone = "undone" if is_undone else "missing"
        self._most_open = most_open
        kinds = schema.generated.items()
        self._ignored = {name for name, kind in kinds if kind == "processed_at"}
        self._named = {kind: name for name, kind in kinds}
        # Row numbers of two files say nothing about each other.
        self._ordered_by = ["version", "modified", "ingestion", *(["row_number"] if "ingestion" in self._named else [])]
        # Rows of one key that no attribute orders: a later one of the file may have replaced an earlier one.
        is_ordered = "version" in self._named or {"ingestion", "row_number"} <= self._named.keys()
        self._may_be_open = not (schema.tells_rows_apart or is_ordered)
        self._open: dict[Key, list[tuple[int, list[str]]]] = {}
        self._open_rows = 0
        self._modified: dict[str, int | None] = {}
        self.counts: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        """How often an attribute differs, by name."""
        self.first: dict[str, list[int]] = {verdict: [] for verdict in BAD}
        """The first row numbers of what is not as it should be."""
        self.is_exact = True
        """False: rows that count as different may have been replaced by later rows of the file."""
        self.fault = ""
        """Why the object cannot be read to its end."""

    @property
    def rows(self) -> int:
        """How many rows were judged."""
        return self.counts.total()

    @property
    def is_good(self) -> bool:
        """Whether each row is in the table, replaced there by a later one, or rejected."""
        return not self.fault and all(not self.counts[verdict] for verdict in BAD)

    async def run(self, parts: AsyncIterator[Replayed], lookup: Lookup, chosen: Callable[[int], bool]) -> None:
        """Judge the chosen rows of an object."""
        try:
            async for part in parts:
                self.counts["rejected"] += sum(chosen(reject.row) for reject in part.rejects)
                for message in part.messages:
                    await self._message(message, lookup, chosen)
        except BadFile as error:
            self.fault = str(error)
        self._close(self._open_rows)

    async def _message(self, message: Message, lookup: Lookup, chosen: Callable[[int], bool]) -> None:
        # Rows that are not chosen may replace chosen ones.
        rows = rows_of(message, self._schema, self._ttl_days, _each if self._may_be_open else chosen)
        keys = dict.fromkeys(row.key for row in rows if chosen(row.number))
        found = {key_of(item, self._schema): item for item in await lookup(keys)}
        await self._learn(found.values())
        for row in rows:
            for _ in self._open.pop(row.key, ()):
                self._open_rows -= 1
                self.counts["replaced"] += 1
            if chosen(row.number):
                self._judge(row, found.get(row.key))

    async def _learn(self, items: Iterable[Item]) -> None:
        """Find out when the objects of other ingestions came, where nothing else in an item tells."""
        if "version" in self._named or not (name := self._named.get("ingestion")):
            return
        others = {str(item.get(name, {}).get("S")) for item in items} - {self._source.ingestion, *self._modified}
        if len(self._modified) + len(others) > MAX_INGESTIONS:
            self._modified.clear()
        for other in others:
            self._modified[other] = await self._modified_of(other)

    def _judge(self, row: Row, found: Item | None) -> None:
        order = None if found is None else self._order(row, found)
        if found is None or order == -1:
            self._note(self._without(row, found), row.number)
        elif order == 1:
            self._note("replaced", row.number)
        else:
            names = [name for name in differences(row.item, found) if name not in self._ignored]
            if not names:
                self._note("match", row.number)
            elif self._is_rejected(row.number):
                self._note("rejected", row.number)
            elif self._may_be_open:
                self._open.setdefault(row.key, []).append((row.number, names))
                self._open_rows += 1
                if self._open_rows > self._most_open:
                    self.is_exact = False
                    self._close(1)
            else:
                self._differ(row.number, names)

    def _without(self, row: Row, found: Item | None) -> str:
        """Return the verdict on a row for whose key the table has nothing, or only an older item."""
        if self._is_rejected(row.number):
            return "rejected"
        if found is not None:
            return "missing"
        expires = row.item.get(self._named.get("expires_at", ""), {}).get("N")
        return "expired" if expires and int(expires) <= self._moment else self._gone

    def _order(self, row: Row, found: Item) -> int | None:
        """Return 1 if an item is from a later row than this, -1 if from an earlier one; 0: from none that is known.

        None: it was not written by any ingestion that is known.
        """
        for kind in self._ordered_by:
            name = self._named.get(kind)
            if name is None:
                continue
            type_ = self._schema.types[name]
            own, other = str(row.item[name][type_]), str(found.get(name, {}).get(type_))
            if kind == "ingestion":
                if own == other:
                    continue
                modified = self._modified.get(other)
                return None if modified is None else 1 if modified >= self._source.modified else -1
            try:
                order = int(Decimal(other).compare(Decimal(own)))
            except (InvalidOperation, ValueError):
                return None
            if order or kind == "version":
                return order
        return 0

    def _close(self, rows: int) -> None:
        """Judge the oldest open rows: no later row has replaced them."""
        while rows > 0 and self._open:
            key = next(iter(self._open))
            number, names = self._open[key].pop(0)
            if not self._open[key]:
                del self._open[key]
            self._open_rows -= 1
            rows -= 1
            self._differ(number, names)

    def _differ(self, number: int, names: Sequence[str]) -> None:
        self._note("different", number)
        for name in names:
            known = name in self.attributes or len(self.attributes) < MAX_NAMES
            self.attributes[name if known else OTHER_ATTRIBUTES] += 1

    def _note(self, verdict: str, number: int) -> None:
        self.counts[verdict] += 1
        if verdict in self.first and len(self.first[verdict]) < MAX_FIRST:
            self.first[verdict].append(number)

    def document(self) -> dict[str, Any]:
        """Return what was found: counts, names and row numbers, no values."""
        return {
            "rows": self.rows,
            **{verdict: self.counts[verdict] for verdict in (*GOOD, *BAD)},
            "differentAttributes": dict(self.attributes.most_common()),
            "firstRows": {verdict: list(islice(rows, MAX_FIRST)) for verdict, rows in self.first.items() if rows},
            "exact": self.is_exact,
            "fault": self.fault,
        }
