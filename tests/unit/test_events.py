"""Lambda events -> uploaded objects."""

from typing import Any

import pytest

from engine.errors import UnknownEvent
from engine.events import ONLY_CSV, Arrival, arrivals
from engine.identity import ObjectRef


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


def only(event: dict[str, Any]) -> Arrival:
    (arrival,) = arrivals(event)
    return arrival


def test_each_notification_record_yields_an_object() -> None:
    event = {"Records": [notification("uploads/a.csv"), notification("x.txt"), notification("uploads/b.csv")]}
    assert arrivals(event) == [
        Arrival(ObjectRef("b", "uploads/a.csv", None, "0123abcd")),
        Arrival(ObjectRef("b", "x.txt", None, "0123abcd"), ONLY_CSV),
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
        ("uploads/users.csv.gz", ONLY_CSV),
        ("uploads/users.xlsx", ONLY_CSV),
        ("uploads/csv", ONLY_CSV),
    ],
)
def test_other_files_than_csv_are_skipped_with_a_reason(key: str, skip: str | None) -> None:
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


def test_s3_test_event_yields_no_object() -> None:
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-04-04T00:00:00.000Z", "Bucket": "b"}
    assert arrivals(event) == []


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
        {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {}}}]},
        {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": None}}}]},
        {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "a.csv", "eTag": "e\r\nHost: x"}}}]},
        {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "a.csv", "eTag": 5}}}]},
        {"source": "aws.s3"},
        {"source": "aws.s3", "detail": {"bucket": {"name": "b"}}},
    ],
)
def test_unknown_event_is_an_error(event: Any) -> None:
    with pytest.raises(UnknownEvent, match=r"^the event "):
        arrivals(event)


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
    for each in (event, {"Records": [record]}):
        with pytest.raises(UnknownEvent, match=r"^the event "):
            arrivals(each)
