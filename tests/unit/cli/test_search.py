"""How many reads a search costs: about one for each row that is there, few for rows that are not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from engine.cli.accounts import Accounts
from engine.cli.expected import Group, Key, Wanted
from engine.cli.search import MAX_KEYS, Search
from tests.builders.samples import schema_of

SCHEMA = schema_of('[key]\npartition = "id"\n[columns.id]\nrequired = true\n')


class FakeTable:
    """A table that counts the keys it is asked for."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.there: set[int] = set()
        self.asked: list[int] = []
        self.passes = 0
        self.accounts = Accounts(rows)
        self.search = Search(self.read, self.accounts, self.lookup, SCHEMA)

    async def read(self) -> AsyncIterator[Group]:
        self.passes += 1
        for start in range(1, self.rows + 1, 500):
            yield {row: Wanted((str(row),)) for row in range(start, min(start + 500, self.rows + 1))}

    async def lookup(self, keys: list[Key]) -> list[dict[str, Any]]:
        assert len(keys) <= MAX_KEYS
        rows = [int(key) for (key,) in keys]
        self.asked += rows
        return [{"id": {"S": str(row)}} for row in rows if row in self.there]

    async def look(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            await self.search.round()


def test_rows_that_are_there_are_read_once() -> None:
    async def scenario() -> None:
        table = FakeTable(60_000)
        table.there = set(range(1, 60_001))
        await table.look(15)
        assert table.accounts.written == 60_000
        assert len(table.asked) < 60_000 + 15 * 40
        assert table.search.at_end
        assert table.passes == 1

    asyncio.run(scenario())


def test_rows_that_are_not_there_cost_one_read_for_each_group_in_the_window() -> None:
    async def scenario() -> None:
        table = FakeTable(1_000_000)
        await table.look()
        assert len(table.asked) == 40
        await table.look()
        assert len(table.asked) == 80

    asyncio.run(scenario())


def test_slow_table_is_not_read_again_and_again() -> None:
    async def scenario() -> None:
        table = FakeTable(500)
        for row in range(1, 501):
            table.there.add(row)
            await table.look()
        assert table.accounts.written == 500
        assert len(table.asked) < 3_000  # a look at each missing row every time would be 125,000

    asyncio.run(scenario())


def test_rows_written_in_any_order_are_found() -> None:
    async def scenario() -> None:
        table = FakeTable(3_000)
        for last in (7, 3, 11, 2, 5):
            table.there |= {row for row in range(1, 3_001) if row % 12 <= last}
            await table.look(3)
            assert table.accounts.written <= len(table.there)
        assert table.accounts.written == 3_000

    asyncio.run(scenario())


def test_rejected_rows_do_not_hide_those_after_them() -> None:
    async def scenario() -> None:
        table = FakeTable(1_000)
        rejected = {*range(1, 301), 400, 900}
        table.there = set(range(1, 1_001)) - rejected
        await table.look(3)
        assert not table.search.at_end
        table.accounts.reject(rejected)
        await table.look(2)
        assert table.accounts.written == 1_000 - len(rejected)
        assert table.accounts.rejected == len(rejected)
        assert table.search.at_end

    asyncio.run(scenario())


def test_rejected_row_that_is_in_the_table_after_all_is_written() -> None:
    async def scenario() -> None:
        table = FakeTable(700)
        table.there = set(range(1, 701))
        table.accounts.reject(range(200, 300))
        await table.look()
        assert (table.accounts.written, table.accounts.rejected) == (700, 0)

    asyncio.run(scenario())


def test_sweep_finds_rows_beyond_the_window() -> None:
    async def scenario() -> None:
        table = FakeTable(50_000)
        table.there = set(range(30_000, 50_001))
        await table.look(3)
        assert table.accounts.written == 0
        await table.search.sweep()
        assert table.accounts.written == 20_001
        assert len(table.asked) == 50_000 + 3 * 40
        table.there = set(range(1, 50_001))
        await table.look(8)
        assert table.accounts.written == 50_000
        assert table.search.at_end

    asyncio.run(scenario())
