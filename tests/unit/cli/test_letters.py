"""What is told of messages that failed every attempt: why they are there, and what waits for them; never a row."""

import json
from typing import Any

import pytest

from engine.cli.letters import FAILURES, READABLE, RECORDS, SPANS, UNKNOWN, as_sent, describe, event_of, origin_of
from tests.builders.invocations import event_of as event
from tests.builders.invocations import s3_record
from tests.builders.messages import UPLOAD, packed, users
from tests.builders.samples import USERS

Json = dict[str, Any]


def message(body: Json | str, **attributes: str) -> Json:
    """A message as ReceiveMessage returns it."""
    return {
        "MessageId": "some-id",
        "ReceiptHandle": "handle",
        "Body": body if isinstance(body, str) else json.dumps(body),
        "Attributes": {"SentTimestamp": "1775260801000", "ApproximateReceiveCount": "4"},
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    }


def failure(payload: Any, error: Json | None = None, condition: str = "RetriesExhausted") -> str:
    """What Lambda tells the failure queue."""
    context = {"requestId": "request-1", "condition": condition, "approximateInvokeCount": 3}
    response = error or {"errorMessage": "SQS refused", "errorType": "ServiceError"}
    return json.dumps({"requestContext": context, "requestPayload": payload, "responsePayload": response})


def test_readable_message_names_its_object_and_rows() -> None:
    letter = describe(message(packed(users(1, 3))), RECORDS, USERS)
    assert letter.summary() == {
        "id": "some-id",
        "queue": "records",
        "sent": "2026-04-04T00:00:01.000Z",
        "received": 4,
        "reason": READABLE,
        "bucket": UPLOAD.bucket,
        "key": UPLOAD.key,
        "ingestion": UPLOAD.ingestion,
        "rows": 3,
    }


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("this is no JSON", "the body is not JSON"),
        ({**packed(users(1, 1)), "v": 2}, "the message's version is unknown"),
        (packed([[1, "A"]]), "a row of the packed message does not have a number and one value for each column"),
        ({"rowNumber": "one"}, "rowNumber is not a whole number"),
    ],
)
def test_unreadable_message_has_the_parsers_reason(body: Json | str, reason: str) -> None:
    letter = describe(message(body, ingestion="abc", records="40"), RECORDS, USERS)
    assert (letter.reason, letter.ingestion, letter.rows) == (reason, "abc", 40)


def test_message_whose_reject_cannot_be_recorded() -> None:
    letter = describe(message({"name": "No Mail"}), RECORDS, USERS)
    assert letter.reason.startswith("its reject could not be recorded; ")
    assert letter.rows == 1


def test_rounds_of_server_errors_and_written_rows_are_told() -> None:
    letter = describe(message(packed(users(1, 3)), failingRounds="100", rowsWritten="497"), RECORDS, USERS)
    assert "handed on 100 times in a row because of server errors; 497 of its rows are written already" in letter.reason


def test_failure_has_the_error_and_the_objects() -> None:
    body = failure(event(s3_record("bucket", "uploads/a b.csv")))
    letter = describe(message(body), FAILURES, USERS)
    assert letter.reason == "RetriesExhausted: ServiceError: SQS refused"
    assert (letter.bucket, letter.key, letter.rows) == ("bucket", "uploads/a b.csv", None)
    assert origin_of(message(body), FAILURES) == "request-1"


def test_failure_of_eventbridge_is_the_event_itself() -> None:
    body = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": "b"}, "object": {"key": "k.csv"}},
    }
    letter = describe(message(body, ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="denied"), FAILURES, USERS)
    assert (letter.reason, letter.key) == ("NO_PERMISSIONS: denied", "k.csv")
    assert event_of(json.dumps(body)) == body


@pytest.mark.parametrize("queue", [FAILURES, SPANS])
@pytest.mark.parametrize("body", ["no JSON", "[]", "{}", '{"requestContext":{}}'])
def test_what_is_unknown_is_called_so(queue: str, body: str) -> None:
    letter = describe(message(body), queue, USERS)
    assert (letter.reason, letter.key) == (UNKNOWN, None)
    assert event_of(body) is None


def test_span_names_its_object() -> None:
    letter = describe(message({"object": UPLOAD._asdict(), "start": 1}, ingestion="abc"), SPANS, USERS)
    assert (letter.bucket, letter.key, letter.ingestion) == (UPLOAD.bucket, UPLOAD.key, "abc")


def test_no_row_data_is_told() -> None:
    plain = message({"name": "Jane", "mail": "jane@secret.test"}, email="jane@secret.test", ingestion="abc")
    for body in (plain, message(packed([[1, "Jane", "jane@secret.test", "N/A"]]))):
        assert "secret" not in json.dumps(describe(body, RECORDS, USERS).details())


def test_attributes_are_sent_back_as_they_are() -> None:
    attributes: dict[str, Json] = {
        "records": {"DataType": "Number", "StringValue": "3"},
        "trace": {"DataType": "Binary.x", "BinaryValue": b"\x00\xff"},
    }
    assert as_sent(attributes) == attributes
