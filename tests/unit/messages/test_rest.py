"""Handing on: the unwritten rows of a message under its name, which give the same items."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.messages.message import Message, Outgoing
from engine.messages.parse import parse_message
from engine.messages.rest import FAILING, HANDED_ON, WRITTEN, count_in, rest_of
from tests.builders.invocations import sqs_record
from tests.builders.messages import items_of, packed, puts, users
from tests.builders.samples import USERS
from tests.builders.texts import LEGAL, texts


def received(outgoing: Outgoing) -> dict[str, Any]:
    """Message attributes as Lambda's event has them."""
    return {
        name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
        for name, value in outgoing.attributes.items()
    }


def parsed(body: str, attributes: dict[str, Any], message_id: str = "id", sent: int = 77) -> Message:
    message = parse_message(body, attributes, message_id, sent, USERS)
    assert isinstance(message, Message)
    return message


ROWS = st.lists(st.tuples(texts(), texts(min_size=1), texts() | st.none()).map(list), min_size=1, max_size=8)


@given(ROWS, st.data())
def test_rest_of_a_message_gives_the_same_items_under_the_same_name(rows: list[list[Any]], data: st.DataObject) -> None:
    body = orjson.dumps(packed([[i, *row] for i, row in enumerate(rows)], number=17)).decode()
    message = parsed(body, {})
    left = sorted(data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1)))
    rest = rest_of(body, {}, message, left)
    again = parsed(rest.body.decode(), received(rest), "another", 99)
    assert puts(items_of(again)) == [puts(items_of(message))[i] for i in left]
    assert (again.name, again.ingestion) == (message.name, message.ingestion)
    assert rest.records == len(left) == int(rest.attributes["records"]["StringValue"])
    assert LEGAL.fullmatch(rest.body.decode()) or not LEGAL.fullmatch(body)


def test_untouched_message_is_handed_on_unchanged() -> None:
    body = json.dumps(packed(users(1, 3)), indent=1)
    rest = rest_of(body, {}, parsed(body, {}), [0, 1, 2])
    assert rest.body.decode() == body


@pytest.mark.parametrize(
    "sender", [{}, {"modified": "1775260800"}, {"ingestion": "run 7"}, {"modified": "1", "ingestion": "x"}]
)
def test_plain_message_keeps_its_identity(sender: dict[str, str]) -> None:
    record = sqs_record("first", {"name": "Jo", "email": "j@x", "rowNumber": 5}, attributes=sender)
    message = parsed(record["body"], record["messageAttributes"], "first", 1_775_260_801)
    rest = rest_of(record["body"], record["messageAttributes"], message, [0])
    again = parsed(rest.body.decode(), received(rest), "second", 1_775_999_999)
    assert puts(items_of(again)) == puts(items_of(message))
    twice = rest_of(rest.body.decode(), received(rest), again, [0])
    assert puts(items_of(parsed(twice.body.decode(), received(twice), "third", 1))) == puts(items_of(message))


def test_plain_messages_of_one_second_stay_distinct() -> None:
    body = '{"name":"Jo","email":"j@x"}'
    assert puts(items_of(parsed(body, {}, "one", 77))) != puts(items_of(parsed(body, {}, "other", 77)))


def test_handing_on_is_counted() -> None:
    body = orjson.dumps(packed(users(1, 3))).decode()
    attributes: dict[str, Any] = {}
    for times in range(3):
        assert count_in(attributes, HANDED_ON) == times
        attributes = received(rest_of(body, attributes, parsed(body, attributes), [0, 1, 2]))


@pytest.mark.parametrize("value", ["", "-1", "1e3", "٣", "9" * 5_000, None, 3])
def test_invalid_count_is_zero(value: Any) -> None:
    assert count_in({"handedOn": {"stringValue": value, "dataType": "Number"}}, HANDED_ON) == 0


def test_sender_attributes_are_kept_up_to_the_sqs_limit() -> None:
    body = '{"name":"Jo","email":"j@x"}'
    few = {"trace": {"stringValue": "t", "dataType": "String"}, "blob": {"binaryValue": "AA==", "dataType": "Binary"}}
    assert set(rest_of(body, few, parsed(body, few), [0]).attributes) == {
        "trace",
        "ingestion",
        "modified",
        "records",
        "handedOn",
        "rowsWritten",
    }
    many = {f"a{n}": {"stringValue": "t", "dataType": "String"} for n in range(10)}
    assert len(rest_of(body, many, parsed(body, many), [0]).attributes) <= 10


def test_rounds_of_server_errors_are_counted_in_a_row() -> None:
    body = orjson.dumps(packed(users(1, 9))).decode()
    attributes: dict[str, Any] = {}
    for failing, counted in ((True, 1), (True, 2), (False, 0), (True, 1)):
        rest = rest_of(body, attributes, parsed(body, attributes), range(9), failing=failing)
        attributes = received(rest)
        assert count_in(attributes, FAILING) == counted
        assert (rest.delay_seconds > 0) == failing


def test_rows_written_are_counted_over_all_rounds() -> None:
    body = orjson.dumps(packed(users(1, 9))).decode()
    attributes: dict[str, Any] = {}
    for left in (range(7), range(3), range(2)):
        rest = rest_of(body, attributes, parsed(body, attributes), left)
        body, attributes = rest.body.decode(), received(rest)
    assert count_in(attributes, WRITTEN) == 7
