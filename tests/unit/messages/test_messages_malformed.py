"""Malformed messages are returned to the queue, and their content is never logged."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import MalformedMessage
from engine.messages.message import Message, Refused
from engine.messages.parse import parse_message
from tests.builders.samples import ORDERS, PRODUCTS, USERS, rows_of
from tests.builders.texts import texts

SECRET = "secret@example.com"


def packed(**changes: Any) -> dict[str, Any]:
    """Return a valid packed message with some changes."""
    return {
        "v": 1,
        "object": {"bucket": "b", "key": "k", "version": None, "etag": "e", "modified": 1},
        "span": 0,
        "message": 3,
        "processedAt": "t",
        "columns": ["name", "email", "phone"],
        "rows": [[1, "a", SECRET, None], [2, "b", "b@x", "5"]],
        **changes,
    }


def about(**changes: Any) -> dict[str, Any]:
    """Return a valid packed message with changes to its object."""
    return packed(object={**packed()["object"], **changes})


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in packed().items() if key != name}


def parse(body: Any) -> Message | Refused:
    return parse_message(body if isinstance(body, str) else json.dumps(body), {}, "id", 5, USERS)


def test_unmodified_message_is_valid() -> None:
    message = parse(packed())
    assert isinstance(message, Message)
    assert rows_of(message) == [[1, "a", SECRET, None], [2, "b", "b@x", "5"]]


NO_JSON = ["", SECRET, f'{{"name":"{SECRET}"', "{'name': 1}", "NaN", f'{{"name":"{SECRET}"}} x', "\ufeff{}", '"\ud800"']
NO_OBJECT = ["null", "1", f'"{SECRET}"', f'["{SECRET}"]', "true"]
VERSIONS: list[Any] = [0, 2, "1", None, True, [1], {}, 1.5]
UNKNOWN_VERSIONS = [*(packed(v=version) for version in VERSIONS), {"v": 2, "x": SECRET}]
NO_OBJECTS: list[Any] = [None, SECRET, 5, []]
FIELDS = ("object", "span", "message", "processedAt", "columns", "rows")
NOT_WHOLE: list[Any] = [None, -1, "1", 1.5, True, [], 10**30]
NO_TEXT: list[Any] = [None, 1, True, ["k"], {}]
NO_COLUMNS: list[Any] = [None, "name", [], {}, ["name", 1, "email"], ["name", ["email"], "phone"]]
NO_ROWS: list[Any] = [None, SECRET, {}, [SECRET], [None]]
WRONG_WIDTH: list[Any] = [[[]], [[1, "a", SECRET]], [[1, "a", SECRET, None, None]]]
NO_NUMBER = [packed(rows=[[1, "a", "b", "c"], [number, "a", SECRET, None]]) for number in [*NOT_WHOLE, 10**12]]
NO_ROW = [{"name": SECRET, "rowNumber": number} for number in [*NOT_WHOLE, 10**12]]
NO_KEYS: list[Any] = [None, "", 5, True, ["x"], {"S": "x"}]
NO_KEY = [packed(rows=[[1, "a", SECRET, None], [2, "a", key, None]]) for key in NO_KEYS]
LONG = "é" * 513  # bytes count, not characters
TOO_LONG = [about(**{name: LONG}) for name in ("bucket", "key", "version", "etag")] + [packed(processedAt=LONG)]
TWICE = [["name", "email", "name"], ["name", "email", "createdAt"]]
MANY_ROWS = [[number, "a", "b", "c"] for number in range(80)]
LONG_NAMES = [packed(columns=["name", "email", "n" * 60_000], rows=MANY_ROWS), about(key="k" * 1_024)]
LONG_NAMES[1]["rows"] = MANY_ROWS * 60


@pytest.mark.parametrize(
    ("body", "text"),
    [
        *((body, "the body is not JSON") for body in NO_JSON),
        *((body, "the body is not a JSON object") for body in NO_OBJECT),
        *((body, "the message's version is unknown") for body in UNKNOWN_VERSIONS),
        *((without(name), f"the packed message has no {name}") for name in FIELDS),
        *(
            (packed(object={k: v for k, v in packed()["object"].items() if k != name}), f"message has no object.{name}")
            for name in packed()["object"]
        ),
        *((packed(object=value), "object of the packed message is not a JSON object") for value in NO_OBJECTS),
        *(
            (packed(**{name: value}), f"{name} of the packed message is not a whole number from 0")
            for name in ("span", "message")
            for value in NOT_WHOLE
        ),
        *((about(modified=value), "object.modified of the packed message is not a whole") for value in NOT_WHOLE),
        *((packed(processedAt=value), "processedAt of the packed message is not text") for value in NO_TEXT),
        *(
            (about(**{name: value}), f"object.{name} of the packed message is not text")
            for name in ("bucket", "key", "etag")
            for value in NO_TEXT
        ),
        *((about(version=value), "object.version of the packed message is not text") for value in NO_TEXT[1:]),
        *((body, "of the packed message is longer than 1,024 bytes") for body in TOO_LONG),
        *((packed(columns=value), "columns of the packed message is not a list of names") for value in NO_COLUMNS),
        *((packed(rows=value), "rows of the packed message is not a list of rows") for value in NO_ROWS),
        *((packed(rows=value), "does not have a number and one value for each column") for value in WRONG_WIDTH),
        *((body, "too many rows for names as long as those") for body in LONG_NAMES),
        *((body, "a row of the packed message has no key") for body in NO_KEY),
        *((body, "a row of the packed message has no row number") for body in NO_NUMBER),
        *((packed(columns=columns), "a column twice, or one that the schema users generates") for columns in TWICE),
        (packed(columns=["name", "phone", "fax"]), "has no column email, a key of the schema users"),
        *((body, "rowNumber is not a whole number") for body in NO_ROW),
    ],
)
def test_error_names_the_fault_without_content(body: Any, text: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse(body)
    assert text in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts(6), inner, max_size=4),
    max_leaves=6,
)
PARTS = st.sampled_from([*packed(), "name", "mail", "rowNumber", "email", "other"])
CHANGES: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda fields: fields,
    lambda fields: packed(**fields),
    lambda fields: about(**fields),
    lambda fields: {"name": "a", "mail": "b", **fields},
]


@given(st.dictionaries(PARTS, JSON, max_size=4), st.sampled_from(CHANGES))
def test_any_text_raises_only_malformed_message(
    fields: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    for schema in (USERS, PRODUCTS):
        try:
            message = parse_message(json.dumps(change(fields)), {}, "id", 5, schema)
        except MalformedMessage:
            continue
        assert isinstance(message, Message | Refused)


def orders(**values: Any) -> dict[str, Any]:
    """Return a packed message of one order with some values."""
    columns = {"pk": "a", "sk": "b", **values}
    return packed(columns=list(columns), rows=[[1, *columns.values()]])


GOOD_VALUES: list[dict[str, Any]] = [
    {"tags": {"SS": ["a"]}, "sizes": None, "address": {"M": {}}, "signature": "YQ==", "paid": True},
    {"address": {"NULL": True}, "note": {"L": [{"B": "YQ=="}]}, "total": {"N": "1"}},
]
NO_VALUES: list[Any] = [5, 1.5, ["a"], [], {}, {"S": 5}, {"X": "a"}, {"S": "a", "N": "1"}, {"SS": []}, {"L": [[]]}]


@pytest.mark.parametrize("values", GOOD_VALUES)
def test_attribute_values_are_accepted_as_they_are(values: dict[str, Any]) -> None:
    message = parse_message(json.dumps(orders(**values)), {}, "id", 5, ORDERS)
    assert isinstance(message, Message)
    assert rows_of(message) == [[1, "a", "b", *values.values()]]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        *(({"note": value}, "of the packed message is ") for value in NO_VALUES),
        ({"tags": "a"}, "is not an attribute value, as its column's type needs it"),
        ({"address": True}, "is not an attribute value, as its column's type needs it"),
        ({"kind": "order"}, "a column twice, or one that the schema orders generates"),
    ],
)
def test_value_that_no_item_can_have_is_malformed(values: dict[str, Any], text: str) -> None:
    with pytest.raises(MalformedMessage, match=text):
        parse_message(json.dumps(orders(**values)), {}, "id", 5, ORDERS)
