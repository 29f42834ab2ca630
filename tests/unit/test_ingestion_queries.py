"""Requests for ingestions -> what to read of the ledger, and its answers -> pages."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import STATUSES
from engine.errors import BadRequest
from engine.http_events import read_request
from engine.pages import ENVELOPE_BYTES, IngestionsPage
from engine.queries import (
    Ingestion,
    Ingestions,
    Options,
    RejectPlace,
    Rejects,
    encode_place,
    encode_reject_place,
    parse_ingestions,
)

ID = "0123456789abcdef0123"
PLACE = f"2026-04-04T00:00:00.000Z {ID}"


FILE = "span-000000000000000-000000000003-000000000009.csv"


def ask(path: str, method: str = "GET", **parameters: str) -> Options | Ingestion | Ingestions | Rejects:
    event = {"httpMethod": method, "path": path, "queryStringParameters": parameters or None}
    return parse_ingestions(read_request(event))


def refused(path: str, method: str = "GET", **parameters: str) -> tuple[int, str]:
    with pytest.raises(BadRequest) as caught:
        ask(path, method, **parameters)
    return caught.value.status, str(caught.value)


def test_routes() -> None:
    assert ask("/ingestions") == Ingestions(10, None, None, "")
    assert ask("/ingestions/", limit="7", status="stuck", prefix="uploads/a") == Ingestions(
        7, None, "stuck", "uploads/a"
    )
    assert ask(f"/ingestions/{ID}") == ask(f"/ingestions/{ID}", "HEAD") == Ingestion(ID)
    assert ask(f"/ingestions/{ID}/rejects") == Rejects(ID, 10, None, with_text=False)
    assert ask(f"/ingestions/{ID}/rejects/", text="true", limit="3") == Rejects(ID, 3, None, with_text=True)
    assert ask("/ingestions", "OPTIONS") == ask(f"/ingestions/{ID}", "OPTIONS") == Options()


@pytest.mark.parametrize("name", ["startKey", "nextToken"])
def test_token_leads_to_the_place(name: str) -> None:
    found = ask("/ingestions", **{name: encode_place(PLACE)})
    assert isinstance(found, Ingestions)
    assert found.start == PLACE


def test_token_leads_to_the_place_among_the_rejects() -> None:
    place = RejectPlace(FILE, 7)
    assert ask(f"/ingestions/{ID}/rejects", nextToken=encode_reject_place(ID, place)) == Rejects(ID, 10, place, False)


@pytest.mark.parametrize(
    ("path", "parameters", "status", "says"),
    [
        (
            f"/ingestions/{ID}/rows",
            {},
            404,
            "no such route; there are /ingestions, /ingestions/{id} and /ingestions/{id}/rejects",
        ),
        (f"/ingestions/{ID}/rejects/1", {}, 404, "no such route"),
        ("/ingestions/nope/rejects", {}, 404, "no such ingestion"),
        (f"/ingestions/{ID}/rejects", {"status": "done"}, 400, "unknown query parameter status"),
        (f"/ingestions/{ID}/rejects", {"text": "yes"}, 400, "text must be true or false"),
        (f"/ingestions/{ID}/rejects", {"limit": "1001"}, 400, "limit"),
        (
            f"/ingestions/{ID}/rejects",
            {"startKey": encode_reject_place("f" * 20, RejectPlace(FILE, 7))},
            400,
            "another ingestion",
        ),
        *(
            (f"/ingestions/{ID}/rejects", {"startKey": token}, 400, "startKey is not a token")
            for token in (
                "x",
                encode_place(PLACE),
                encode_reject_place(ID, RejectPlace("../" + FILE, 7)),
                encode_place(f"{ID} {FILE} -7"),
                encode_place(f"{ID} {FILE} 7\n"),
            )
        ),
        ("/ingestions", {"startKey": encode_reject_place(ID, RejectPlace(FILE, 7))}, 400, "startKey is not a token"),
        ("/ingestions/nope", {}, 404, "no such ingestion"),
        (f"/ingestions/{ID}", {"limit": "1"}, 400, "unknown query parameter limit"),
        ("/ingestions", {"limit": "0"}, 400, "limit"),
        ("/ingestions", {"page": "1"}, 400, "unknown query parameter page"),
        ("/ingestions", {"status": "fine"}, 400, f"status must be one of {', '.join(STATUSES)}"),
        ("/ingestions", {"startKey": encode_place(PLACE), "nextToken": "x"}, 400, "names of the same parameter"),
        *(
            ("/ingestions", {"startKey": token}, 400, "startKey is not a token")
            for token in ("", "x", "é", encode_place("2026-13-04T00:00:00.000Z " + ID), encode_place(PLACE + "\n"))
        ),
    ],
)
def test_invalid_request_is_refused(path: str, parameters: dict[str, str], status: int, says: str) -> None:
    got, text = refused(path, **parameters)
    assert got == status
    assert says in text


def test_other_methods_are_not_allowed() -> None:
    assert refused("/ingestions", "DELETE")[0] == 405


@given(st.text(max_size=60))
def test_no_token_raises_anything_else(token: str) -> None:
    assert refused("/ingestions", startKey=token)[0] == 400


def document(number: int, key: str = "uploads/a.csv", status: str = "done") -> tuple[str, dict[str, Any]]:
    """The place and the document of an ingestion; higher numbers are older."""
    return f"2026-04-04T00:00:{59 - number:02d}.000Z {ID}", {"number": number, "key": key, "status": status}


def numbers(page: IngestionsPage) -> list[int]:
    return [orjson.loads(item)["number"] for item in page.items]


def test_page_has_a_token_only_if_more_follows() -> None:
    page = IngestionsPage(Ingestions(2, None, None, ""), 6_000_000)
    assert page.add(*document(0))
    assert page.add(*document(1))
    assert not page.cursor
    assert not page.add(*document(2))
    assert numbers(page) == [0, 1]
    assert page.cursor == encode_place(document(1)[0])


def test_filters_leave_out_and_the_token_skips_what_was_left_out() -> None:
    page = IngestionsPage(Ingestions(1, None, "failed", "uploads/a"), 6_000_000)
    assert page.add(*document(0))
    assert page.add(*document(1, "other/a.csv", "failed"))
    assert page.add(*document(2, status="failed"))
    assert page.add(*document(3))
    assert not page.add(*document(4, status="failed"))
    assert (numbers(page), page.cursor) == ([2], encode_place(document(3)[0]))


def test_page_ends_before_the_document_with_which_it_would_be_too_large() -> None:
    page = IngestionsPage(Ingestions(100, None, None, ""), ENVELOPE_BYTES + 250)
    taken = [page.add(*document(number, "x" * 50)) for number in range(3)]
    assert taken == [True, True, False]
    assert page.cursor == encode_place(document(1)[0])


def test_page_that_is_stopped_goes_on_where_it_came_to() -> None:
    page = IngestionsPage(Ingestions(1, PLACE, "failed", ""), 6_000_000)
    assert not page.stop()
    page.add(*document(1))
    assert page.stop()
    assert (numbers(page), page.cursor) == ([], encode_place(document(1)[0]))
