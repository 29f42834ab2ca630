"""The size of responses: an item of DynamoDB's largest size always fits, and no page exceeds what a front end takes."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any

import orjson
import pytest
from hypothesis import given

from engine.errors import BadRequest
from engine.http_events import FrontEnd, front_end_of
from engine.pages import MAX_ESCAPE, Conditions, HistoryPage, ListPage, latest, wire_bytes
from engine.queries import History, Listing, to_json
from tests.builders.http_events import balancer
from tests.builders.samples import USERS, version_of
from tests.builders.texts import texts

LAMBDA_QUOTA = 6_291_556  # what Lambda enforces under the name of 6 MB
ITEM_QUOTA = 409_600  # DynamoDB: 400 KB, names included

GATEWAY, BALANCER = FrontEnd(), front_end_of(balancer("/users"))

Item = dict[str, dict[str, Any]]


def size_of(value: dict[str, Any]) -> int:
    """Bytes that DynamoDB counts for a value, as its documentation of item sizes has it."""
    ((type_, content),) = value.items()
    match type_:
        case "S":
            return len(content.encode())
        case "N":
            digits = len(content.replace(".", "").strip("-0"))
            return (digits + 1) // 2 + 1
        case "L":  # equal elements are measured once
            counts = Counter(map(id, content))
            elements = {id(element): element for element in content}
            return 3 + sum(count * (1 + size_of(elements[each])) for each, count in counts.items())
        case "M":
            return 3 + sum(1 + len(name.encode()) + size_of(element) for name, element in content.items())
        case "SS" | "NS":
            return sum(size_of({type_[0]: element}) for element in content)
        case _:
            return 1


def item_size(item: Item) -> int:
    return sum(len(name.encode()) + size_of(value) for name, value in item.items())


KEY: Item = {
    # The largest possible key: its token is the longest.
    "email": {"S": "\x01" * 2_048},
    "createdAt": {"N": version_of(1_775_260_800, 123_456_789)},
}


def control_names(count: int) -> Iterator[str]:
    """Names of control characters, which JSON writes with six characters each, the shortest first."""
    control = [chr(code) for code in (*range(1, 8), *range(14, 32))]
    names = ("".join(name) for length in range(1, 6) for name in product(control, repeat=length))
    return (name for name, _ in zip(names, range(count), strict=False))


def filled(element: dict[str, Any]) -> Item:
    """Return an item of the largest size that is one list of equal elements."""
    count = (ITEM_QUOTA - item_size(KEY) - 10) // (1 + size_of(element))
    return {**KEY, "list": {"L": [element] * count}}


def text_of(character: str) -> Item:
    room = ITEM_QUOTA - item_size(KEY) - 4
    return {**KEY, "text": {"S": character * (room // len(character.encode()))}}


def of_names(value: dict[str, Any]) -> Item:
    """Return an item of the largest size with as many attribute names as possible."""
    item, room = dict(KEY), ITEM_QUOTA - item_size(KEY)
    for name in control_names(1_000_000):
        room -= len(name) + size_of(value)
        if room < 0:
            return item
        item[name] = value
    raise AssertionError("too few names")


SMALL_NUMBERS = [f"0.{'0' * zeros}{digits}" for zeros in range(36) for digits in range(1, 100) if digits % 10]

WORST: dict[str, Item] = {
    "quotes": text_of('"'),
    "backslashes": text_of("\\"),
    "control characters": text_of("\x01"),
    "line breaks": text_of("\n"),
    "delete characters": text_of("\x7f"),
    "two-byte characters": text_of("é"),
    "three-byte characters": text_of("€"),
    "four-byte characters": text_of("\U0001f600"),
    "names": of_names({"S": ""}),
    "names with nulls": of_names({"NULL": True}),
    "empty strings": filled({"S": ""}),
    "one control character": filled({"S": "\x01"}),
    "long small numbers": filled({"N": f"0.{'0' * 37}1"}),
    "tiny numbers": filled({"N": f"0.{'0' * 129}1"}),
    "tiny negative numbers": filled({"N": f"-0.{'0' * 129}1"}),
    "huge numbers": filled({"N": "1" + "0" * 125}),
    "booleans": filled({"BOOL": False}),
    "empty lists": filled({"L": []}),
    "empty maps": filled({"M": {}}),
    "maps of names": filled({"M": {name: {"S": ""} for name in control_names(25)}}),
    "sets of strings": filled({"SS": list(control_names(25))}),
    "sets of numbers": filled({"NS": SMALL_NUMBERS}),
}


def page_bytes(page: HistoryPage | ListPage, front_end: FrontEnd) -> int:
    items = list(map(orjson.Fragment, page.items))
    document = {"items": items, "count": len(page.items), "nextToken": page.cursor}
    return response_bytes(orjson.dumps(document), front_end)


def response_bytes(document: bytes, front_end: FrontEnd) -> int:
    """Bytes of the response as the runtime sends it: JSON of ASCII characters alone."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return len(json.dumps(front_end.response(200, headers, document.decode())))


@pytest.mark.parametrize("name", WORST)
def test_largest_item_fits_into_lambdas_response(name: str) -> None:
    item = WORST[name]
    assert 0.98 * ITEM_QUOTA < item_size(item) <= ITEM_QUOTA
    document = latest([item], Conditions(USERS, 0, GATEWAY.max_bytes))
    assert document is not None
    assert response_bytes(document, GATEWAY) <= GATEWAY.max_bytes < LAMBDA_QUOTA


@pytest.mark.parametrize("name", ["quotes", "control characters", "four-byte characters", "names"])
def test_no_page_of_the_largest_items_exceeds_lambdas_response(name: str) -> None:
    item = WORST[name]
    items = [{**item, "createdAt": {"N": version_of(2_000_000_000 - number, 1)}} for number in range(9)]
    history = HistoryPage(History("x", 1_000, None), Conditions(USERS, 0, GATEWAY.max_bytes))
    history.feed(items, at_end=True)
    others = [{**item, "email": {"S": "\x01" * 2_047 + chr(ord("a") + number)}} for number in range(9)]
    listed = ListPage(Listing(1_000, None, False), Conditions(USERS, 0, GATEWAY.max_bytes))
    listed.feed(others, at_end=True)
    for page in (history, listed):
        assert page.items
        assert (page.cursor is None) == (len(page.items) == 9)
        assert page_bytes(page, GATEWAY) <= GATEWAY.max_bytes


def test_page_uses_most_of_the_response_limit() -> None:
    items = [{**KEY, "createdAt": {"N": version_of(2_000 - n, 1)}, "name": {"S": "x" * 60_000}} for n in range(150)]
    page = HistoryPage(History("x", 1_000, None), Conditions(USERS, 0, GATEWAY.max_bytes))
    assert page.feed(items, at_end=True)
    assert page.cursor is not None
    assert 0.97 * GATEWAY.max_bytes < page_bytes(page, GATEWAY) <= GATEWAY.max_bytes


def test_page_for_a_load_balancer_is_smaller() -> None:
    items = [{**KEY, "createdAt": {"N": version_of(2_000 - n, 1)}, "name": {"S": "x" * 60_000}} for n in range(150)]
    page = HistoryPage(History("x", 1_000, None), Conditions(USERS, 0, BALANCER.max_bytes))
    assert page.feed(items, at_end=True)
    assert page.cursor is not None
    assert 0.85 * BALANCER.max_bytes < page_bytes(page, BALANCER) <= BALANCER.max_bytes


def test_item_too_large_for_a_load_balancer_is_refused_after_the_items_before_it() -> None:
    small: Item = {**KEY, "createdAt": {"N": version_of(3_000, 1)}}
    conditions = Conditions(USERS, 0, BALANCER.max_bytes)
    request = History("x", 1_000, None)
    page = HistoryPage(request, conditions)
    assert page.feed([small, WORST["control characters"]], at_end=True)
    assert (len(page.items), page.cursor is None) == (1, False)
    too_large = [WORST["control characters"]]
    for ask in (
        lambda: HistoryPage(request, conditions).feed(too_large, at_end=True),
        lambda: latest(too_large, conditions),
    ):
        with pytest.raises(BadRequest, match="API Gateway or a function URL") as caught:
            ask()
        assert caught.value.status == 500


@given(texts(40))
def test_wire_bytes_equal_what_the_runtime_sends(text: str) -> None:
    document = orjson.dumps(to_json({"name": {"S": text}}, USERS))
    assert len(json.dumps({"body": document.decode()})) == len('{"body": ""}') + wire_bytes(document)
    assert wire_bytes(document) <= MAX_ESCAPE * len(document)


def test_runtime_client_sends_at_most_the_counted_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    marshaller: Any = pytest.importorskip("awslambdaric.lambda_runtime_marshaller")
    body = 'a"\\\x00\n\x7fé€\u2028\U0001f600'
    for runtime in ("AWS_Lambda_Image", "AWS_Lambda_python3.13"):
        monkeypatch.setenv("AWS_EXECUTION_ENV", runtime)
        response, _ = marshaller.LambdaMarshaller().marshal_response({"body": body})
        assert len(response.encode()) <= len('{"body": ""}') + wire_bytes(body.encode())
