"""Reject files -> pages of the API."""

import orjson
import pytest

from engine.http_events import read_request
from engine.pages import ENVELOPE_BYTES, wire_bytes
from engine.queries import RejectPlace, Rejects, encode_reject_place, parse_ingestions
from engine.reading.block import Reject
from engine.reject_pages import MAX_TEXT, RejectsPage

ID = "0123456789abcdef0123"
FILE = "span-000000000000000-000000000003-000000000009.csv"


def rejects(*rows: int, text: str = "a,b") -> list[Reject]:
    return [Reject(row, row * 10, "no mail", text) for row in rows]


def file_name(part: str, first: int, last: int) -> str:
    return f"{part}-{first:012d}-{last:012d}.csv"


FILES = [
    (file_name("message-000000000000000-000001-abcd1234", 2, 8), rejects(2, 8)),
    (file_name("span-000000000000000", 1, 5), rejects(1, 4, 5)),
    (file_name("span-000000000000000", 4, 9), rejects(4, 5, 7, 9)),  # a run that was repeated came further
    (file_name("span-000000000000000", 7, 7), rejects(7)),
    (file_name("span-000000000001000", 11, 12), rejects(11, 12)),
]


@pytest.mark.parametrize("limit", range(1, 10))
def test_pages_of_rejects_have_each_row_once(limit: int) -> None:
    rows: list[int] = []
    start = None
    while True:
        page = RejectsPage(Rejects(ID, limit, start, with_text=False), 6_000_000)
        for name, its in FILES:
            if (start is None or name >= start.name) and page.feed(name, its):
                break
        rows += [orjson.loads(item)["row"] for item in page.items]
        if page.cursor is None:
            break
        assert len(page.items) == limit
        event = {"httpMethod": "GET", "path": f"/ingestions/{ID}/rejects"}
        asked = parse_ingestions(read_request({**event, "queryStringParameters": {"startKey": page.cursor}}))
        assert isinstance(asked, Rejects)
        start = asked.start
    assert rows == [2, 8, 1, 4, 5, 7, 9, 11, 12]


def test_text_of_rejects_comes_only_where_it_is_asked_for() -> None:
    found = []
    for with_text in (False, True):
        page = RejectsPage(Rejects(ID, 10, None, with_text), 6_000_000)
        page.feed(FILE, rejects(3))
        found.append(orjson.loads(page.items[0]))
    assert found[0] == {"row": 3, "offset": 30, "reason": "no mail"}
    assert found[1] == {**found[0], "text": "a,b", "textCut": False}


@pytest.mark.parametrize("character", ["x", '"', "\\", "\x7f", "\x01", "é", "😀"])
def test_page_of_rejects_is_bounded_by_bytes(character: str) -> None:
    for most in (1_000_000, 6_000_000):
        page = RejectsPage(Rejects(ID, 1_000, None, with_text=True), most)
        page.feed(FILE, rejects(*range(3, 200), text=character * (MAX_TEXT + 1)))
        assert page.cursor
        assert page.items
        assert sum(map(wire_bytes, page.items)) + len(page.items) <= most - ENVELOPE_BYTES
        first = orjson.loads(page.items[0])
        assert (first["text"], first["textCut"]) == (character * MAX_TEXT, True)


def test_page_of_rejects_that_is_stopped_goes_on_after_its_last_file() -> None:
    page = RejectsPage(Rejects(ID, 10, None, with_text=False), 6_000_000)
    assert not page.stop()
    assert not page.feed(*FILES[0])
    assert page.stop()
    assert page.cursor == encode_reject_place(ID, RejectPlace(FILES[0][0], 8))
