"""The list of all users over real Scans: each once, in the latest version, wherever the pages are cut."""

import json
import random
from collections.abc import Callable, Iterator

import pytest

from engine.handlers import query
from tests.builders.invocations import Context, Json, api_event
from tests.contract.clouds import Cloud

pytestmark = pytest.mark.uses("dynamodb")

MODIFIED = 1_775_260_800


def put(cloud: Cloud, table: str, email: str, *rows: int) -> None:
    """Store versions of a user; each is named after its row."""
    for at in range(0, len(rows), 25):
        requests = [
            {
                "PutRequest": {
                    "Item": {
                        "email": {"S": email},
                        "createdAt": {"N": f"{MODIFIED}.{row:012d}"},
                        "name": {"S": f"version {row}"},
                    }
                }
            }
            for row in rows[at : at + 25]
        ]
        cloud.dynamodb.batch_write_item(RequestItems={table: requests})


class Hurried(Context):
    """Time enough for an answer, but none to gather a full page: it is gone when first asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._first = True

    def get_remaining_time_in_millis(self) -> int:
        left = 0 if self._first else super().get_remaining_time_in_millis()
        self._first = False
        return left


def pages(limit: int, context: Callable[[], Context] = Context) -> Iterator[list[Json]]:
    """Follow the tokens to the end; a page asks for the next one only when the caller does."""
    token: str | None = None
    for _ in range(1_000):
        parameters = {"limit": str(limit)} | ({"startKey": token} if token else {})
        answer = query.handler(api_event("/users", **parameters), context())
        assert answer["statusCode"] == 200, answer
        page = json.loads(answer["body"])
        assert page["count"] == len(page["items"]) <= limit
        yield page["items"]
        token = page["nextToken"]
        if token is None:
            return
    raise AssertionError("the list has no end")


def listed(limit: int, context: Callable[[], Context] = Context) -> list[tuple[str, int]]:
    return [(item["email"], item["rowNumber"]) for page in pages(limit, context) for item in page]


@pytest.fixture
def table(cloud: Cloud, env: pytest.MonkeyPatch) -> str:
    name = cloud.table()
    env.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    env.setenv("TABLE_NAME", name)
    return name


def test_empty_table_gives_empty_list(cloud: Cloud, table: str) -> None:
    assert list(pages(10)) == [[]]


def test_default_page_has_ten_items(cloud: Cloud, table: str) -> None:
    for number in range(13):
        put(cloud, table, f"user{number}@x.org", 1)
    answer = json.loads(query.handler(api_event("/users"), Context())["body"])
    assert answer["count"] == 10
    assert answer["nextToken"]


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
def test_each_user_is_listed_once_with_latest_version(cloud: Cloud, table: str, limit: int) -> None:
    # As many versions as make them straddle pages in every way, for pages of each size.
    chance = random.Random(limit)
    newest = {}
    for number in range(12):
        rows = chance.sample(range(1, 1_000), chance.choice([1, 1, 2, 3, 9]))
        put(cloud, table, f"user{number}@x.org", *rows)
        newest[f"user{number}@x.org"] = max(rows)
    put(cloud, table, "many@x.org", *range(1, 76))
    newest["many@x.org"] = 75
    found = listed(limit)
    assert dict(found) == newest
    assert len(found) == len(newest)


def test_pages_are_full_until_the_last(cloud: Cloud, table: str) -> None:
    for number in range(9):
        put(cloud, table, f"user{number}@x.org", *range(1, 2 + number))
    assert [len(page) for page in pages(3)] in ([3, 3, 3], [3, 3, 3, 0])


def newer_of_listed(cloud: Cloud, table: str, seen: list[str]) -> None:
    put(cloud, table, seen[-1], 900)


def newer_of_all_listed(cloud: Cloud, table: str, seen: list[str]) -> None:
    for email in seen:
        put(cloud, table, email, 900)


def older_of_listed(cloud: Cloud, table: str, seen: list[str]) -> None:
    put(cloud, table, seen[-1], 0)


def last_is_deleted(cloud: Cloud, table: str, seen: list[str]) -> None:
    for row in (1, 2):
        key = {"email": {"S": seen[-1]}, "createdAt": {"N": f"{MODIFIED}.{row:012d}"}}
        cloud.dynamodb.delete_item(TableName=table, Key=key)


@pytest.mark.parametrize("change", [newer_of_listed, newer_of_all_listed, older_of_listed, last_is_deleted])
def test_write_between_pages_lists_no_user_twice(
    cloud: Cloud, table: str, change: Callable[[Cloud, str, list[str]], None]
) -> None:
    everyone = {f"user{number}@x.org" for number in range(10)}
    for email in everyone:
        put(cloud, table, email, 1, 2)
    seen: list[str] = []
    for page in pages(3):
        seen += [item["email"] for item in page]
        if seen:
            change(cloud, table, seen)
    assert len(seen) == len(set(seen))
    assert set(seen) == everyone


def test_user_added_between_pages_hides_no_other(cloud: Cloud, table: str) -> None:
    everyone = {f"user{number}@x.org" for number in range(10)}
    for email in everyone:
        put(cloud, table, email, 1)
    seen: list[str] = []
    for number, page in enumerate(pages(2)):
        seen += [item["email"] for item in page]
        put(cloud, table, f"new{number}@x.org", 1)
    assert len(seen) == len(set(seen))
    assert everyone <= set(seen)


def test_pages_at_the_deadline_are_shorter_but_list_all(cloud: Cloud, table: str) -> None:
    newest = {}
    for number in range(6):
        put(cloud, table, f"user{number}@x.org", *range(1, 20))
        newest[f"user{number}@x.org"] = 19
    found = listed(5, Hurried)
    assert dict(found) == newest
    assert len(found) == len(newest)
    assert len(next(pages(5, Hurried))) < 5
