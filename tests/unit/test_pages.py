"""Pages of Scan and Query -> pages of the API: complete, in order, bounded, without expired items."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, pairwise, product
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.http_events import MAX_RESPONSE_BYTES, HttpRequest
from engine.pages import ENVELOPE_BYTES, Conditions, HistoryPage, ListPage, latest, wire_bytes
from engine.queries import Listing, parse_request, to_json
from engine.schema.model import Schema
from tests.builders.choices import choices
from tests.builders.samples import PRODUCTS, USERS, version_of

Items = list[dict[str, dict[str, Any]]]
Key = dict[str, Any]
Reads = Iterator[tuple[int, bool]]

NOW = 1_000


@dataclass
class Table:
    """What a Scan reads: users in any order, the versions of each from old to new."""

    items: Items
    schema: Schema = USERS
    max_bytes: int = MAX_RESPONSE_BYTES
    moment: int = NOW

    def key(self, item: dict[str, Any]) -> Key:
        return {name: item[name] for name in self.schema.keys}

    def page(self, start: Key | None, size: int, items: Items | None = None) -> tuple[Items, Key | None]:
        """Up to `size` items after `start`, and the key of the last one if there may be more."""
        items = self.items if items is None else items
        first = 0 if start is None else [self.key(item) for item in items].index(start) + 1
        page = items[first : first + size]
        return page, self.key(page[-1]) if len(page) == size else None

    def history(self, name: str) -> Items:
        """The versions of a user, newest first."""
        return [item for item in reversed(self.items) if item[self.schema.partition_key]["S"] == name]

    @property
    def conditions(self) -> Conditions:
        return Conditions(self.schema, self.moment, self.max_bytes)


def users(versions: list[int]) -> Table:
    """Return a table with one user for each number, which is the count of its versions."""
    items = [
        {"email": {"S": f"user{user}@x"}, "createdAt": {"N": version_of(100 + version, 1)}}
        for user, count in enumerate(versions)
        for version in range(count)
    ]
    return Table(items)


def living(table: Table, items: Items) -> Items:
    return [item for item in items if int(item.get("expirationTime", {"N": "9999"})["N"]) > table.moment]


def shown(table: Table, items: Items) -> list[Any]:
    return [json.loads(orjson.dumps(to_json(item, table.schema))) for item in items]


def whole_list(table: Table) -> list[Any]:
    """Return the complete list, computed from the whole table at once."""
    newest = {item[table.schema.partition_key]["S"]: item for item in living(table, table.items)}
    return shown(table, list(newest.values()))


def request(table: Table, token: str | None, limit: int, *more: str) -> Any:
    parameters = (("limit", str(limit)), *([("nextToken", token)] if token else []))
    return parse_request(HttpRequest("GET", (table.schema.collection, *more), parameters), table.schema)


def one_page(
    table: Table, token: str | None, limit: int, reads: Reads, *, stops: bool, of: str | None = None
) -> tuple[list[Any], str | None]:
    """Return a page of the list or of a user's history, and its token; with `stops` it may stop after any read."""
    page: ListPage | HistoryPage
    if of is None:
        asked, source = request(table, token, limit), table.items
        page = ListPage(asked, table.conditions)
    else:
        asked, source = request(table, token, limit, of, "history"), table.history(of)
        page = HistoryPage(asked, table.conditions)
    start = asked.start
    for size, stop in reads:
        items, start = table.page(start, size, source)
        complete = page.feed(items, at_end=start is None)
        if complete or (stops and stop and page.stop()):
            assert complete or page.cursor is not None
            assert sum(wire_bytes(item) + 1 for item in page.items) <= table.max_bytes - ENVELOPE_BYTES
            return list(map(json.loads, page.items)), page.cursor
    raise AssertionError("no more reads")


def all_pages(table: Table, limit: int, reads: Reads, *, stops: bool = False, of: str | None = None) -> list[list[Any]]:
    pages, token = [], None
    while True:
        items, token = one_page(table, token, limit, reads, stops=stops, of=of)
        pages.append(items)
        if token is None:
            return pages
        assert items or stops
        # Each page passes at least one item of the table; otherwise the list would never end.
        assert len(pages) <= len(table.items) + 1


TABLES = choices(range(1, 7), max_size=8).map(users)
# For each read: how many items it returns, and whether the page may stop after it. The list is repeated.
READS = choices(list(product(range(1, 6), (False, True))), min_size=1)


@settings(max_examples=60)
@given(TABLES, st.integers(1, 5), READS)
def test_tokens_list_every_user_once_in_the_latest_version(
    table: Table, limit: int, reads: list[tuple[int, bool]]
) -> None:
    pages = all_pages(table, limit, cycle(reads))
    assert [item for page in pages for item in page] == whole_list(table)
    assert all(len(page) == limit for page in pages[:-1])


@given(st.integers(0, 20), st.integers(1, 6), READS)
def test_table_without_a_sort_key_is_listed_too(count: int, limit: int, reads: list[tuple[int, bool]]) -> None:
    table = Table([{"sku": {"S": f"A-{n}"}, "price": {"N": str(n)}} for n in range(count)], PRODUCTS)
    pages = all_pages(table, limit, cycle(reads), stops=True)
    assert [item for page in pages for item in page] == shown(table, table.items)


@given(TABLES, st.integers(1, 3), st.integers(0, 3), READS)
def test_version_added_between_two_pages_lists_no_user_twice(
    table: Table, limit: int, growing: int, reads: list[tuple[int, bool]]
) -> None:
    names: list[str] = []
    token, turns = None, cycle(reads)
    while True:
        items, token = one_page(table, token, limit, turns, stops=False)
        names += [item["email"] for item in items]
        if token is None:
            break
        last = next(i for i, item in reversed(list(enumerate(table.items))) if item["email"]["S"] == names[-1])
        newer = [{**table.items[last], "createdAt": {"N": version_of(1_000 + n, len(names))}} for n in range(growing)]
        table.items[last + 1 : last + 1] = newer
    assert names == [item["email"] for item in whole_list(table)]


def test_page_cannot_stop_before_it_has_passed_an_item() -> None:
    table = users([3])
    page = ListPage(request(table, None, 5), table.conditions)
    assert not page.stop()
    assert not page.feed(table.items[:1], at_end=False)
    assert not page.stop()
    assert not page.feed(table.items[1:2], at_end=False)
    assert page.stop()
    assert request(table, page.cursor, 5) == Listing(5, table.key(table.items[0]), False)


def test_empty_table_is_an_empty_list() -> None:
    table = users([])
    page = ListPage(request(table, None, 5), table.conditions)
    assert page.feed([], at_end=True)
    assert (page.items, page.cursor) == ([], None)


def test_scan_may_return_an_empty_page_in_the_middle() -> None:
    table = users([1, 2])
    page = ListPage(request(table, None, 5), table.conditions)
    assert not page.feed([], at_end=False)
    assert not page.feed(table.items, at_end=False)
    assert page.feed([], at_end=True)
    assert (list(map(json.loads, page.items)), page.cursor) == (whole_list(table), None)


# Names of 0 to 300 bytes, three at most on a page of this many bytes; items that expired before, at and after NOW.
SMALL_PAGE = ENVELOPE_BYTES + 1_200


def mixed(versions: list[list[tuple[str, int | None]]]) -> Table:
    """Return a table with a user for each list, and a version for each name and time of expiry."""
    items = [
        {
            "email": {"S": f"user{user}@x"},
            "createdAt": {"N": version_of(100 + version, 1)},
            "name": {"S": name},
            **({"expirationTime": {"N": str(expiry)}} if expiry is not None else {}),
        }
        for user, of_user in enumerate(versions)
        for version, (name, expiry) in enumerate(of_user)
    ]
    return Table(items, max_bytes=SMALL_PAGE)


NAMES = [character * count for count in range(61) for character in '"xé\x00\U0001f600\\']
EXPIRIES = (None, NOW - 500, NOW - 1, NOW, NOW + 1, NOW + 500)
VERSIONS = st.lists(st.sampled_from(list(product(NAMES, EXPIRIES))), min_size=1, max_size=6)
MIXED = st.lists(VERSIONS, max_size=8).map(mixed)
SOME = MIXED.filter(lambda table: table.items)


def filled_up(pages: list[list[Any]], limit: int) -> bool:
    """Return whether each page but the last is at its limit, or has no room for the next item."""
    sizes = [[wire_bytes(orjson.dumps(item)) + 1 for item in page] for page in pages]
    room = SMALL_PAGE - ENVELOPE_BYTES
    return all(
        len(page) == limit or sum(page) + following[0] > room for page, following in pairwise(sizes) if following
    )


@settings(max_examples=60)
@given(MIXED, st.integers(1, 5), st.booleans(), READS)
def test_pages_of_a_list_are_complete_under_any_limit(
    table: Table, limit: int, stops: bool, reads: list[tuple[int, bool]]
) -> None:
    pages = all_pages(table, limit, cycle(reads), stops=stops)
    assert [item for page in pages for item in page] == whole_list(table)
    assert all(len(page) <= limit for page in pages)
    assert stops or filled_up(pages, limit)


@settings(max_examples=60)
@given(SOME, st.integers(0, 47), st.integers(1, 5), st.booleans(), READS)
def test_pages_of_a_history_are_complete_under_any_limit(
    table: Table, which: int, limit: int, stops: bool, reads: list[tuple[int, bool]]
) -> None:
    name = table.items[which % len(table.items)]["email"]["S"]
    pages = all_pages(table, limit, cycle(reads), stops=stops, of=name)
    assert [item for page in pages for item in page] == shown(table, living(table, table.history(name)))
    assert all(len(page) <= limit for page in pages)
    # No token leads to an empty page.
    assert stops or (filled_up(pages, limit) and (all(pages) or len(pages) == 1))


@given(SOME, st.integers(0, 47), READS)
def test_latest_version_is_the_newest_unexpired_one(table: Table, which: int, reads: list[tuple[int, bool]]) -> None:
    name = table.items[which % len(table.items)]["email"]["S"]
    start, found = None, None
    for size, _ in cycle(reads):
        items, start = table.page(start, size, table.history(name))
        found = latest(items, table.conditions)
        if found is not None or start is None:
            break
    expected = shown(table, living(table, table.history(name)))
    assert (None if found is None else json.loads(found)) == (expected[0] if expected else None)


@pytest.mark.parametrize(
    ("value", "expired"),
    [
        ({"N": str(NOW)}, True),
        ({"N": str(NOW + 1)}, False),
        ({"N": "0"}, True),
        ({"N": "-1"}, True),
        ({"N": "999.5"}, True),
        ({"N": "1000.5"}, False),
        ({"N": "1E+125"}, False),
        ({"S": "0"}, False),
        ({"NULL": True}, False),
    ],
)
def test_item_expires_at_its_time_to_live(value: dict[str, Any], expired: bool) -> None:
    assert users([]).conditions.is_expired({"expirationTime": value}) is expired


def test_nothing_expires_without_a_time_to_live_in_the_schema() -> None:
    assert "expires_at" not in PRODUCTS.generated.values()
    assert not Conditions(PRODUCTS, NOW, MAX_RESPONSE_BYTES).is_expired({"expirationTime": {"N": "0"}})
