"""Pages of a Scan -> a list with each user once, in the latest version, wherever scans and pages are cut."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.queries import Lister, Listing, parse_request
from engine.schema.model import Schema
from tests.builders.samples import PRODUCTS, USERS, version_of

Items = list[dict[str, dict[str, Any]]]


@dataclass
class Table:
    """What a Scan reads: the users in an order of their own, the versions of each from old to new."""

    items: Items
    schema: Schema = USERS

    def key(self, item: dict[str, Any]) -> dict[str, Any]:
        return {name: item[name] for name in self.schema.keys}

    def page(self, start: dict[str, Any] | None, size: int) -> tuple[Items, dict[str, Any] | None]:
        """Up to `size` items behind `start`, and the key of the last one if there may be more."""
        first = 0 if start is None else [self.key(item) for item in self.items].index(start) + 1
        page = self.items[first : first + size]
        return page, self.key(page[-1]) if len(page) == size else None


def users(versions: list[int]) -> Table:
    """A table with a user for each number, of so many versions."""
    items = [
        {"email": {"S": f"user{user}@x"}, "createdAt": {"N": version_of(100 + version, 1)}}
        for user, count in enumerate(versions)
        for version in range(count)
    ]
    return Table(items)


def latest(table: Table) -> Items:
    newest = {item[table.schema.partition_key]["S"]: item for item in table.items}
    return list(newest.values())


def request(table: Table, token: str | None, limit: int) -> Listing:
    parameters = {"limit": str(limit), **({"startKey": token} if token else {})}
    path = f"/{table.schema.collection}"
    listing = parse_request({"httpMethod": "GET", "path": path, "queryStringParameters": parameters}, table.schema)
    assert isinstance(listing, Listing)
    return listing


def one_page(
    table: Table, token: str | None, limit: int, draw: st.DataObject, *, stops: bool
) -> tuple[Items, str | None]:
    """One reply of the API: scans of any size, and where allowed a stop behind any of them."""
    listing = request(table, token, limit)
    lister, start = Lister(listing, table.schema), listing.start
    while True:
        items, start = table.page(start, draw.draw(st.integers(1, 5), "scanned"))
        if lister.feed(items, at_end=start is None):
            return lister.items, lister.cursor
        if stops and draw.draw(st.booleans(), "stop") and lister.stop():
            assert lister.cursor is not None
            return lister.items, lister.cursor


def all_pages(table: Table, limit: int, draw: st.DataObject, *, stops: bool = False) -> list[Items]:
    pages, token = [], None
    while True:
        items, token = one_page(table, token, limit, draw, stops=stops)
        pages.append(items)
        if token is None:
            return pages
        # Each page gets on by an item of the table at least, or it would never end.
        assert len(pages) <= len(table.items) + 1


TABLES = st.lists(st.integers(1, 6), max_size=8).map(users)


@settings(max_examples=400)
@given(TABLES, st.integers(1, 5), st.data())
def test_the_tokens_lead_through_every_user_once_in_the_latest_version(
    table: Table, limit: int, draw: st.DataObject
) -> None:
    pages = all_pages(table, limit, draw)
    assert [item for page in pages for item in page] == latest(table)
    assert all(len(page) == limit for page in pages[:-1])


@settings(max_examples=400)
@given(TABLES, st.integers(1, 5), st.data())
def test_so_they_do_when_any_page_is_broken_off_anywhere(table: Table, limit: int, draw: st.DataObject) -> None:
    pages = all_pages(table, limit, draw, stops=True)
    assert [item for page in pages for item in page] == latest(table)
    assert all(len(page) <= limit for page in pages)


@given(st.integers(0, 20), st.integers(1, 6), st.data())
def test_a_table_without_a_sort_key_is_listed_too(count: int, limit: int, draw: st.DataObject) -> None:
    table = Table([{"sku": {"S": f"A-{n}"}, "price": {"N": str(n)}} for n in range(count)], PRODUCTS)
    pages = all_pages(table, limit, draw, stops=True)
    assert [item for page in pages for item in page] == table.items


@given(TABLES, st.integers(1, 3), st.integers(0, 3), st.data())
def test_a_version_that_comes_between_two_pages_lists_nobody_twice(
    table: Table, limit: int, growing: int, draw: st.DataObject
) -> None:
    names: list[str] = []
    token = None
    while True:
        items, token = one_page(table, token, limit, draw, stops=False)
        names += [item["email"]["S"] for item in items]
        if token is None:
            break
        last = next(i for i, item in reversed(list(enumerate(table.items))) if item["email"]["S"] == names[-1])
        newer = [{**table.items[last], "createdAt": {"N": version_of(1_000 + n, len(names))}} for n in range(growing)]
        table.items[last + 1 : last + 1] = newer
    assert names == [item["email"]["S"] for item in latest(table)]


def test_there_is_nowhere_to_stop_before_anything_was_passed() -> None:
    table = users([3])
    lister = Lister(request(table, None, 5), USERS)
    assert not lister.stop()
    assert not lister.feed(table.items[:1], at_end=False)
    assert not lister.stop()
    assert not lister.feed(table.items[1:2], at_end=False)
    assert lister.stop()
    assert request(table, lister.cursor, 5) == Listing(5, table.key(table.items[0]), False)


def test_an_empty_table_is_an_empty_list() -> None:
    lister = Lister(request(users([]), None, 5), USERS)
    assert lister.feed([], at_end=True)
    assert (lister.items, lister.cursor) == ([], None)


def test_a_scan_may_give_an_empty_page_in_the_middle() -> None:
    table = users([1, 2])
    lister = Lister(request(table, None, 5), USERS)
    assert not lister.feed([], at_end=False)
    assert not lister.feed(table.items, at_end=False)
    assert lister.feed([], at_end=True)
    assert (lister.items, lister.cursor) == (latest(table), None)
