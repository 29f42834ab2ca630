"""What lists tell of many ingestions, with few reads: tallies are only needed of those that have not ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from engine.accounts import EMPTY_MONTHS, ENTRY, Account, month_before, span_part_key
from engine.aws.ledger_reader import LedgerReader, item_of
from engine.aws.types import Caller
from engine.flow.backoff import Deadline
from engine.tallies import Item

MOST_TOGETHER = 50
"""Ingestions that are read at a time: two items of each. DynamoDB quota: 100 keys in one BatchGetItem."""

QUERIES_TOGETHER = 16
"""Ingestions of these that are read by a Query each at a time, about 5 ms."""


class LedgerList(LedgerReader):
    """Reads the ledger `table` for lists; `query` and `get` are the lanes of Query and BatchGetItem."""

    def __init__(self, table: str, query: Caller, get: Caller) -> None:
        super().__init__(table, query)
        self._get_lane = get

    async def shown(self, ingestion: str, deadline: Deadline) -> Account:
        """Return an ingestion with all that its document tells; without an entry if it is unknown."""
        account = await self.account(ingestion, deadline, tallies=False)
        if account.entry and "ended" not in account.entry:
            account = await self.account(ingestion, deadline)
        return account

    async def shown_all(self, ingestions: Sequence[str], deadline: Deadline) -> list[Account]:
        """Return up to `MOST_TOGETHER` ingestions, each like `shown`, in the same order.

        Nearly all have ended and have one span and one run: entry and span are all that there is to know of them. The
        others are read by themselves.
        """
        accounts = await self._entries(ingestions, deadline) if ingestions else {}
        places = asyncio.Semaphore(QUERIES_TOGETHER)

        async def shown(ingestion: str) -> Account:
            if (account := accounts.get(ingestion)) and account.is_all_known:
                return account
            async with places:
                return await self.shown(ingestion, deadline)

        return await asyncio.gather(*map(shown, ingestions))

    async def months(self, start: str, deadline: Deadline, *, limit: int) -> AsyncIterator[list[str]]:
        """Yield places of ingestions, newest first, up to `limit` at a time, until nothing older is kept.

        `start`: the place before the first, or a time in the month of the newest.
        """
        month, after, empty = start[:7], start if " " in start else None, 0
        while empty < EMPTY_MONTHS:
            places, is_all = await self.listed(month, deadline, limit=limit, after=after)
            yield places
            empty = 0 if places else empty + 1
            if is_all:
                month, after = month_before(month), None
            else:
                after = places[-1]

    async def _entries(self, ingestions: Sequence[str], deadline: Deadline) -> dict[str, Account]:
        """Return entries with their first span, as far as one call has them.

        Reads are not consistent, which costs half: an entry that has ended changes no more, unless a new run begins.
        """
        keys = [(ingestion, part) for ingestion in ingestions for part in (ENTRY, span_part_key(0))]
        wire = [{"ingestion": {"S": ingestion}, "part": {"S": part}} for ingestion, part in keys]
        items = await self._call(self._get_lane, {"RequestItems": {self._table: {"Keys": wire}}}, deadline, _found)
        accounts: dict[str, Account] = {}
        for item in sorted(items, key=lambda item: item["part"]["S"]):  # the entry comes first
            accounts.setdefault(item["ingestion"]["S"], Account()).add(item)
        return accounts


def _found(reply: Any) -> list[Item]:
    """Return the items of a reply to BatchGetItem."""
    return [item_of(item) for items in reply["Responses"].values() for item in items]
