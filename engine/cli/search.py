"""Looks the rows of an object up in the table by their keys, in row order and within a window.

A row that is there is read about once. What is not there yet costs one read a group and round, not one a row: the first
missing row of each group is looked up, and the rest of the group only after that row was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from itertools import chain, islice, repeat
from typing import Any

from engine.cli.accounts import Accounts, RowSet
from engine.cli.expected import Group, Key, Wanted, rows_found
from engine.schema.model import Schema

MAX_KEYS = 100
"""BatchGetItem quota: at most 100 keys in one call."""

_WINDOW = 40
"""Groups that are looked for at a time: about 20,000 rows, which bounds memory and the reads of a round."""

_TOGETHER = 8
"""Groups whose rows are looked up in one round, so that progress is seen in steps of some thousand rows."""

_STEPS = (4, 16, 64)
"""Rows that are looked up together after the first one of a group: few where a table takes rows slowly."""

Lookup = Callable[[list[Key]], Awaitable[list[dict[str, Any]]]]
"""Returns the items with these keys that are in the table, at most `MAX_KEYS` of them."""


class Search:
    """Searches the table for the rows that `read` yields, and writes what it finds into `accounts`."""

    def __init__(
        self, read: Callable[[], AsyncIterator[Group]], accounts: Accounts, lookup: Lookup, schema: Schema
    ) -> None:
        self._read, self._accounts, self._lookup, self._schema = read, accounts, lookup, schema
        self._source: AsyncIterator[Group] | None = read()
        self._groups: list[Group] = []
        self._rejected = RowSet(accounts.rows)

    @property
    def at_end(self) -> bool:
        """Whether every row of the object was looked up, and is written or rejected."""
        return self._source is None and not self._groups

    async def round(self) -> int:
        """Look for more rows; return how many were looked up and are still missing."""
        await self._fill_window()
        first = {next(iter(group)): group for group in self._groups}
        missing = await self._find({row: group[row] for row, group in first.items()})
        absent = [group for row, group in first.items() if row in missing]
        begun = [group for row, group in first.items() if row not in missing]
        missing = missing.union(*await asyncio.gather(*map(self._follow, begun[:_TOGETHER])))
        rest = [*absent, *filter(None, map(self._unsettled, begun))]
        self._groups = sorted(rest, key=lambda group: next(iter(group)))
        return len(missing)

    async def sweep(self) -> None:
        """Look up each row that was not found, to the end of the object; the next round begins at its start again."""
        while True:
            await self._fill_window()
            groups, self._groups = self._groups, []
            if not groups:
                break
            for start in range(0, len(groups), _TOGETHER):
                await asyncio.gather(*map(self._find, groups[start : start + _TOGETHER]))
        self._source = self._read()

    async def _fill_window(self) -> None:
        while self._source is not None and len(self._groups) < _WINDOW:
            group = await anext(self._source, None)
            if group is None:
                self._source = None
            elif rest := self._unsettled(group):
                self._groups.append(rest)

    async def _follow(self, group: Group) -> set[int]:
        """Look up the rows after a group's first in order, until one is missing; return the missing ones."""
        rows = islice(group.items(), 1, None)
        for size in chain(_STEPS, repeat(MAX_KEYS)):
            wanted = dict(islice(rows, size))
            missing = await self._find(wanted)
            if missing or not wanted:
                return missing
        return set()

    async def _find(self, wanted: Mapping[int, Wanted]) -> set[int]:
        """Look up rows; return those that are missing: not in the table, and not known to be rejected."""
        keys = list(dict.fromkeys(want.key for want in wanted.values()))
        parts = [keys[start : start + MAX_KEYS] for start in range(0, len(keys), MAX_KEYS)]
        items: Iterable[dict[str, Any]] = chain.from_iterable(await asyncio.gather(*map(self._lookup, parts)))
        self._accounts.write(rows_found(wanted, items, self._schema))
        absent = [row for row in wanted if not self._accounts.is_written(row)]
        missing = {row for row in absent if not self._accounts.is_rejected(row)}
        # A reject may be from an attempt under other settings, so even a rejected row is looked up once.
        for row in absent:
            if row not in missing:
                self._rejected.add(row)
        return missing

    def _unsettled(self, group: Group) -> Group:
        return {
            row: want for row, want in group.items() if not self._accounts.is_written(row) and row not in self._rejected
        }
