"""Lambda events: notifications of S3, EventBridge, SNS, SQS, Pipes, and what the producer hands on to itself."""

import json
from collections.abc import Sequence
from typing import Any

import orjson

from engine.events import read_event
from engine.identity import ObjectRef
from engine.reading.block import Position
from engine.spans import Rest, ResumePoint, Span, span_body
from tests.builders.invocations import event_of, s3_record, sqs_record
from tests.builders.wrappings import S3_TEST_EVENT, sns_envelope, sns_record, sqs_message, subscription_confirmation
from tests.fuzz.documents import DRAWN, changed
from tests.fuzz.source import Source, seed

REF = ObjectRef("b", "uploads/a.csv", "v1", "e")
NOTIFICATION = event_of(
    s3_record("b", "uploads/a b.csv", etag="e"), s3_record("b", "x.gz", name="ObjectRemoved:Delete")
)
EVENTBRIDGE = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "b"}, "object": {"key": "uploads/a.csv", "etag": "e", "version-id": "v"}},
}
SPAN = span_body(
    REF, Rest(ResumePoint(Position(10, 2), 2, 1, 1, {"why": 1}), 1_775_260_800, 1, Span(0, 1, 99, 2))
).decode()
SCAN = orjson.dumps({"v": 1, "kind": "scan", "object": REF.fields(5)}).decode()

DOCUMENTS: list[Any] = [
    NOTIFICATION,
    EVENTBRIDGE,
    event_of(sns_record(NOTIFICATION)),
    event_of(sqs_message(1, NOTIFICATION), sqs_message(2, sns_envelope(EVENTBRIDGE)), sqs_message(3, "x")),
    [sqs_message(1, NOTIFICATION), EVENTBRIDGE, sns_record(NOTIFICATION)],
    event_of(sqs_record("1", SPAN), sqs_record("2", SCAN)),
    S3_TEST_EVENT,
    event_of(sqs_message(1, subscription_confirmation())),
]
EVENTS: list[Any] = [
    *DOCUMENTS,
    event_of(sqs_record("1", json.dumps(changed(json.loads(SPAN), Source(bytes([1, 0, 3, 9, 1])))))),
    json.loads(SPAN),
    json.loads(SCAN),
]
SEEDS = [
    *(seed(json.dumps(each)) for each in DOCUMENTS),
    *(bytes([7, 0, 2, 9, 4, 2, kind, 1]) for kind in range(len(EVENTS))),
    *(drawn + b"\1" for drawn in DRAWN),
]
TOKENS = [
    *(b'"Records":[', b'"s3":{', b'"object":{', b'"bucket":{', b'"key":"', b'"eventSource":"aws:sqs"', b'"body":"', b'"Sns":{'),
    *(b'"Message":"', b'"Type":"Notification"', b'"TopicArn":', b'"source":"aws.s3"', b'"detail":', b'"kind":"span"', b'"kind":"scan"'),
    *(b'"position":{', b'"offset":', b'"span":{', b"null", b"true", b"-1", b"1e999", b"99999999999999999999", b"[]", b"{}", b"\\ud800"),
    *(b"%00", b"%ff", b"%e2%82", b"+", b'\\"', b'\\\\\\"', b'"eTag":"', b'"versionId":"', b'"messageId":"', b"\\u0000"),
]  # fmt: skip


def event_in(source: Source, good: Sequence[Any] = EVENTS) -> Any:
    """An event that is nearly right, or the JSON in an input; where there is none, the text itself."""
    if source.below(2):
        return changed(source.pick(good), source)
    text = source.rest(20_000).rstrip(b"\0").decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def check(data: bytes) -> None:
    """Any event is read: as objects, or as faults whose text is one short line."""
    event = event_in(Source(data))
    notices = read_event(event)
    records = event.get("Records") if isinstance(event, dict) else event
    assert len(notices) == (len(records) if isinstance(records, list) and (records or isinstance(event, dict)) else 1)
    for notice in notices:
        for arrival in notice.arrivals:
            assert arrival.ref.bucket
            assert arrival.ref.key
            orjson.dumps(arrival.ref.fields(None))
        if notice.fault:
            assert "\n" not in str(notice.fault) and len(str(notice.fault)) < 500  # noqa: PT018
