"""Lambda events -> uploaded objects."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UnknownEvent
from engine.events import MAX_WRAPPINGS, NO_DATA_FILE, Arrival, Notice, read_event
from engine.identity import ObjectRef
from tests.builders.invocations import Json, event_of, sqs_record
from tests.builders.wrappings import (
    S3_TEST_EVENT,
    sns_envelope,
    sns_record,
    sqs_id,
    sqs_message,
    subscription_confirmation,
)


def notification(key: str, **changes: Any) -> dict[str, Any]:
    """One record of an S3 notification."""
    about = {"key": key, "size": 5, "eTag": "0123abcd", "sequencer": "00", **changes.pop("object", {})}
    return {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "b"}, "object": about},
    } | changes


def eventbridge(key: str, kind: str = "Object Created", **about: Any) -> dict[str, Any]:
    detail = {"bucket": {"name": "b"}, "object": {"key": key, "etag": "0123abcd", **about}}
    return {"source": "aws.s3", "detail-type": kind, "detail": detail}


def arrivals(event: Any) -> list[Arrival]:
    """The objects of an event in which nothing is wrong."""
    notices = read_event(event)
    assert [notice.fault for notice in notices] == [None] * len(notices)
    return [arrival for notice in notices for arrival in notice.arrivals]


def only(event: Any) -> Arrival:
    (arrival,) = arrivals(event)
    return arrival


def fault_of(event: Any) -> str:
    """What is wrong with an event that announces nothing."""
    (notice,) = read_event(event)
    assert notice.arrivals == []
    assert isinstance(notice.fault, UnknownEvent)
    return str(notice.fault)


def test_each_notification_record_yields_an_object() -> None:
    event = {"Records": [notification("uploads/a.csv"), notification("x.pdf"), notification("uploads/b.csv")]}
    assert arrivals(event) == [
        Arrival(ObjectRef("b", "uploads/a.csv", None, "0123abcd")),
        Arrival(ObjectRef("b", "x.pdf", None, "0123abcd"), NO_DATA_FILE),
        Arrival(ObjectRef("b", "uploads/b.csv", None, "0123abcd")),
    ]
    assert arrivals({"Records": []}) == []


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("uploads/my+users.csv", "uploads/my users.csv"),
        ("uploads/a%2Bb%20c.csv", "uploads/a+b c.csv"),
        ("uploads/%C3%BC%E2%82%AC.csv", "uploads/ü€.csv"),
        ("100%25.csv", "100%.csv"),
    ],
)
def test_notification_keys_are_form_decoded(encoded: str, key: str) -> None:
    assert only({"Records": [notification(encoded)]}).ref.key == key


@pytest.mark.parametrize("key", ["uploads/a+b.csv", "100%25.csv", "ü.CSV"])
def test_eventbridge_keys_are_not_decoded(key: str) -> None:
    assert only(eventbridge(key)) == Arrival(ObjectRef("b", key, None, "0123abcd"))


@pytest.mark.parametrize(("version", "kept"), [("v1", "v1"), ("", None), (None, None)])
def test_version_id_is_kept(version: str | None, kept: str | None) -> None:
    assert only({"Records": [notification("a.csv", object={"versionId": version})]}).ref.version == kept
    assert only(eventbridge("a.csv", "Object Created", **{"version-id": version})).ref.version == kept


@pytest.mark.parametrize(("etag", "kept"), [('"0f"', "0f"), ("0f", "0f"), ("", None), (None, None)])
def test_etag_quotes_are_removed(etag: str | None, kept: str | None) -> None:
    assert only({"Records": [notification("a.csv", object={"eTag": etag})]}).ref.etag == kept
    assert only(eventbridge("a.csv", etag=etag)).ref.etag == kept


@pytest.mark.parametrize(
    ("key", "skip"),
    [
        ("uploads/users.csv", None),
        ("uploads/USERS.CSV", None),
        (".csv", None),
        ("uploads/", "a folder marker"),
        ("uploads/x.csv/", "a folder marker"),
        ("uploads/users.csv.gz", None),
        ("uploads/users.TSV.zst", None),
        ("uploads/users.jsonl", None),
        ("data/7abc.json.gz", None),
        ("part-0.gz", None),
        ("uploads/users.csv.xz", NO_DATA_FILE),
        ("uploads/users.xlsx", NO_DATA_FILE),
        ("uploads/csv", NO_DATA_FILE),
    ],
)
def test_file_of_another_kind_is_skipped_with_a_reason(key: str, skip: str | None) -> None:
    assert only({"Records": [notification(key)]}).skip == skip
    assert only(eventbridge(key)).skip == skip


@pytest.mark.parametrize(
    ("name", "skip"),
    [
        ("ObjectCreated:Put", None),
        ("s3:ObjectCreated:CompleteMultipartUpload", None),
        ("ObjectCreated:Copy", None),
        ("ObjectRemoved:Delete", "the event ObjectRemoved:Delete is no upload"),
        ("s3:ObjectRestore:Completed", "the event s3:ObjectRestore:Completed is no upload"),
    ],
)
def test_other_events_than_uploads_are_skipped(name: str, skip: str | None) -> None:
    assert only({"Records": [notification("a.csv", eventName=name)]}).skip == skip


def test_other_eventbridge_events_than_uploads_are_skipped() -> None:
    assert only(eventbridge("a.csv", "Object Deleted")).skip == "the event Object Deleted is no upload"


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "x",
        {},
        {"source": "aws.ec2", "detail": {}},
        {"Records": None},
        {"Records": 5},
        {"Records": ["x"]},
        {"Records": [None]},
        {"Records": [{}]},
        {"Records": [{"body": "{}", "eventSource": "aws:sqs"}]},
        {"Records": [{"eventSource": "aws:sqs"}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": None}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {}}]},
        {"Records": [{"s3": None}]},
        {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {}}}]},
        {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": None}}}]},
        {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "a.csv", "eTag": "e\r\nHost: x"}}}]},
        {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "a.csv", "eTag": 5}}}]},
        {"source": "aws.s3"},
        {"source": "aws.s3", "detail": {"bucket": {"name": "b"}}},
    ],
)
def test_unknown_event_is_an_error(event: Any) -> None:
    assert fault_of(event).startswith("the event")


@pytest.mark.parametrize("odd", [5, 1.5, True, ["a.csv"], {"a.csv": 1}, "\udc80.csv"], ids=repr)
@pytest.mark.parametrize("kind", ["Object Created", "Object Deleted"])
@pytest.mark.parametrize("field", ["bucket", "key", "version-id", "etag"])
def test_field_that_is_not_text_is_an_unknown_event(odd: Any, kind: str, field: str) -> None:
    event = eventbridge("a.csv", kind)
    record = notification(
        "a.csv", eventName="ObjectCreated:Put" if kind == "Object Created" else "ObjectRemoved:Delete"
    )
    if field == "bucket":
        event["detail"]["bucket"]["name"] = record["s3"]["bucket"]["name"] = odd
    else:
        event["detail"]["object"][field] = odd
        record["s3"]["object"][{"version-id": "versionId", "etag": "eTag"}.get(field, field)] = odd
    assert fault_of(event).startswith("the event: it lacks ")
    assert fault_of({"Records": [record]}).startswith("the event, record 1: it lacks ")


@pytest.mark.parametrize("about", [{"key": ""}, {"bucket": ""}])
def test_empty_name_is_an_unknown_event(about: dict[str, str]) -> None:
    event, record = eventbridge("a.csv"), notification("a.csv")
    for described in (event["detail"], record["s3"]):
        described["object"]["key"] = about.get("key", "a.csv")
        described["bucket"]["name"] = about.get("bucket", "b")
    assert fault_of(event).startswith("the event: it lacks a ")
    assert fault_of({"Records": [record]}).startswith("the event, record 1: it lacks a ")


def _bare(document: Json) -> Json:
    return document


WRAPPINGS: dict[str, Callable[[Json], Json]] = {
    "as it is": _bare,
    "SNS": lambda document: event_of(sns_record(document)),
    "SQS": lambda document: event_of(sqs_message(1, document)),
    "SNS in SQS": lambda document: event_of(sqs_message(1, sns_envelope(document))),
    "forwarded": lambda document: event_of(sqs_message(1, event_of(sns_record(sns_envelope(document))))),
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_event_in_messages_is_the_event(wrap: Callable[[Json], Json]) -> None:
    several = event_of(notification("a+b.csv"), notification("x/"), notification("c.csv"))
    for document in (several, eventbridge("a+b.csv"), eventbridge("a.csv", "Object Deleted"), S3_TEST_EVENT):
        assert arrivals(wrap(document)) == arrivals(document)
    assert [each.ref.key for each in arrivals(wrap(several))] == ["a b.csv", "x/", "c.csv"]
    assert arrivals(wrap(S3_TEST_EVENT)) == []


@pytest.mark.parametrize("document", [eventbridge("a.csv"), sns_envelope(eventbridge("a.csv"))], ids=["S3", "SNS"])
def test_what_announces_an_object_is_no_test_event(document: Json) -> None:
    assert only(document | {"Event": "s3:TestEvent"}).ref.key == "a.csv"


def test_message_id_is_kept_of_sqs_alone() -> None:
    document = eventbridge("a.csv")
    ids = {name: [notice.message_id for notice in read_event(wrap(document))] for name, wrap in WRAPPINGS.items()}
    sqs = [sqs_id(1)]
    assert ids == {"as it is": [None], "SNS": [None], "SQS": sqs, "SNS in SQS": sqs, "forwarded": sqs}
    # An id that is none would be repeated in logs, and Lambda would know no such message.
    odd = [notice.message_id for notice in read_event(event_of(sqs_record("a\nb", document), sqs_record("", document)))]
    assert odd == [None, None]


def test_batch_of_messages_of_any_kind_loses_none_of_the_good_ones() -> None:
    a, b, c, d = (Arrival(ObjectRef("b", f"{name}.csv", None, "0123abcd")) for name in "abcd")
    bodies: list[str | Json] = [
        event_of(notification("a.csv")),
        "not JSON",
        sns_envelope(eventbridge("b.csv")),
        event_of(notification("c.csv"), {"eventSource": "aws:s3"}, notification("d.csv")),
        S3_TEST_EVENT,
        sns_envelope("Hello from SNS!"),
        subscription_confirmation(),
        {"v": 1, "rows": [[1, "John"]]},
    ]
    notices = read_event(event_of(*(sqs_message(number, body) for number, body in enumerate(bodies, 1))))
    assert [notice.message_id for notice in notices] == [sqs_id(number) for number in range(1, 9)]
    assert [notice.arrivals for notice in notices] == [[a], [], [b], [c, d], [], [], [], []]
    said = [str(notice.fault) for notice in notices if notice.fault]
    assert said == [
        f"the event, record 2, SQS message {sqs_id(2)}: its text is not JSON",
        f"the event, record 4, SQS message {sqs_id(4)}, record 2: it is a record of neither S3 nor SNS nor SQS",
        f"the event, record 6, SQS message {sqs_id(6)}, SNS message: its text is not JSON",
        f"the event, record 7, SQS message {sqs_id(7)}: it asks to confirm an SNS subscription, which is to be done by "
        "its SubscribeURL",
        f"the event, record 8, SQS message {sqs_id(8)}: it is neither an S3 notification nor EventBridge's "
        '"Object Created", nor an SNS or SQS message with one of them',
    ]


def pipe_batch(*members: Any) -> list[Any]:
    """What EventBridge Pipes passes to a function: a JSON array, of a single member too."""
    return list(members)


def test_pipe_passes_messages_of_a_queue_as_a_list() -> None:
    messages = [sqs_message(1, eventbridge("a.csv")), sqs_message(2, "not JSON"), sqs_message(3, S3_TEST_EVENT)]
    first, second, third = read_event(pipe_batch(*messages))
    assert [each.message_id for each in (first, second, third)] == [sqs_id(1), sqs_id(2), sqs_id(3)]
    assert [arrival.ref.key for arrival in first.arrivals] == ["a.csv"]
    assert str(second.fault) == f"the event, record 2, SQS message {sqs_id(2)}: its text is not JSON"
    assert third == Notice([], None, sqs_id(3))
    assert only(pipe_batch(sqs_message(1, event_of(notification("a.csv"))))).ref.key == "a.csv"


@pytest.mark.parametrize(
    "document",
    [event_of(notification("a.csv")), eventbridge("a.csv"), sns_envelope(eventbridge("a.csv")), notification("a.csv")],
    ids=["notification", "EventBridge", "SNS", "record"],
)
def test_pipe_may_pass_the_bodies_of_messages_alone(document: Json) -> None:
    first, second, third = read_event(pipe_batch(document, {"Records": [{}]}, "x"))
    assert [arrival.ref.key for arrival in first.arrivals] == ["a.csv"]
    assert (first.fault, first.message_id) == (None, None)
    assert str(second.fault) == "the event, record 2, record 1: it is a record of neither S3 nor SNS nor SQS"
    assert str(third.fault) == "the event, record 3: it is not a JSON object"


def test_messages_of_a_fifo_queue_are_read_like_others() -> None:
    attributes = {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": "1573251510774",
        "SequenceNumber": "18849496460467696128",
        "MessageGroupId": "1",
        "SenderId": "AIDAIO23YVJENQZJOL4VO",
        "MessageDeduplicationId": "1",
        "ApproximateFirstReceiveTimestamp": "1573251510774",
    }
    arn = "arn:aws:sqs:us-east-2:123456789012:fifo.fifo"
    message = sqs_message(1, eventbridge("a.csv")) | {"attributes": attributes, "eventSourceARN": arn}
    assert only(event_of(message)).ref.key == "a.csv"
    assert read_event(event_of(message))[0].message_id == sqs_id(1)


def test_messages_within_one_another_are_bounded() -> None:
    document = eventbridge("a.csv")
    for _ in range(MAX_WRAPPINGS - 1):
        document = sns_envelope(document)
    assert only(event_of(sqs_message(1, document))).ref.key == "a.csv"
    assert fault_of(event_of(sqs_message(1, sns_envelope(document)))).endswith(
        f": there are more than {MAX_WRAPPINGS} messages within one another"
    )
    assert fault_of(event_of(sqs_message(1, "[" * 500_000))).endswith(": its text is not JSON")


@pytest.mark.parametrize("text", [None, 5, True, {}, [], "", "\udc80", b"x"], ids=repr)
def test_message_without_text_is_an_unknown_event(text: Any) -> None:
    record = sqs_message(1, "x") | {"body": text}
    envelope = sns_envelope("x") | {"Message": text}
    for event in (event_of(record), event_of(sqs_message(1, json.dumps(envelope, default=str)))):
        assert fault_of(event).startswith(f"the event, record 1, SQS message {sqs_id(1)}")


def parts_of(document: Any) -> Iterator[tuple[Any, Any]]:
    """Each container of a document with each of its places, those in texts left out."""
    for place in list(document) if isinstance(document, dict) else range(len(document)):
        yield document, place
        if isinstance(document[place], dict | list):
            yield from parts_of(document[place])


_ODD = st.sampled_from([None, 5, True, "", "x", "{}", "[]", "aws:sqs", "aws.s3", [], {}, ["x"], {"name": "b"}])


@given(st.data())
def test_damage_to_one_message_harms_no_other(data: st.DataObject) -> None:
    documents = [event_of(notification("a.csv")), eventbridge("b.csv"), sns_envelope(eventbridge("c.csv"))]
    good = event_of(*(sqs_message(number, document) for number, document in enumerate(documents)))
    hit = data.draw(st.integers(0, 2))
    damaged = copy.deepcopy(good["Records"][hit])
    inside = copy.deepcopy(documents[hit])
    for document in (inside, damaged):
        if data.draw(st.booleans()):
            container, place = data.draw(st.sampled_from(list(parts_of(document))))
            if data.draw(st.booleans()):
                container[place] = data.draw(_ODD)
            else:
                del container[place]
        if document is inside and "body" in damaged:
            damaged["body"] = json.dumps(inside)
    batch = [*good["Records"][:hit], damaged, *good["Records"][hit + 1 :]]
    for event in ({"Records": batch}, batch):
        notices, expected = read_event(event), read_event(good)
        assert notices[:hit] + notices[hit + 1 :] == expected[:hit] + expected[hit + 1 :]
        # It is read, or named as what is wrong: at most an object is announced that the message names.
        (name,) = (arrival.ref.key for arrival in expected[hit].arrivals)
        assert len(notices) == 3
        assert all(arrival.ref.key in (name, "x", "aws:sqs", "aws.s3", "{}", "[]") for arrival in notices[hit].arrivals)
        assert notices[hit].arrivals or notices[hit].fault or name not in json.dumps(damaged)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_PARTS = st.sampled_from(["Records", "s3", "Sns", "body", "Message", "Type", "source", "detail", "bucket", "object"])
_LIKE_EVENTS = st.recursive(
    _JSON | st.sampled_from(["aws.s3", "aws:sqs", "Notification", "a.csv"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_PARTS | st.sampled_from(["name", "key", "eventSource", "TopicArn"]), inner, max_size=4)
        | inner.map(json.dumps)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(_LIKE_EVENTS)
def test_any_event_is_read_or_named(event: Any) -> None:
    for notice in read_event(event):
        assert isinstance(notice, Notice)
        assert all(arrival.ref.bucket is not None for arrival in notice.arrivals)
