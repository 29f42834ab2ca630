"""The producer invoked by an SQS queue: what failed comes again by itself, and nothing else does."""

import json
from typing import Any

import pytest

from engine.aws.objects import Objects, OpenObject
from engine.errors import ServiceError, UnknownEvent
from engine.flow.backoff import Deadline
from engine.handlers import producer
from engine.identity import ObjectRef
from tests.builders.invocations import Context, Json, event_of, failures, metrics_in, s3_record
from tests.builders.wrappings import S3_TEST_EVENT, sns_envelope, sns_record, sqs_id, sqs_message
from tests.fakeaws.fault_objects import S3_DENIED, S3_EXPIRED, ObjectServer
from tests.fakeaws.fault_server import FaultServer

CSV = b"name,mail,phone\nJohn,j@x.org,1\nJane,i@x.org,2\n"


def uploaded(*keys: str) -> Json:
    return event_of(*(s3_record("bucket", key) for key in keys))


def produce(*bodies: str | Json, seconds: float = 60.0) -> Any:
    event = event_of(*(sqs_message(number, body) for number, body in enumerate(bodies, 1)))
    return producer.handler(event, Context(seconds))


def sent(server: FaultServer) -> list[str]:
    """The keys of the objects that messages in the record queue come from."""
    bodies = [json.loads(message.body) for message in server.queues["user-csv-queue"].messages]
    return sorted(body["object"]["key"] for body in bodies)


@pytest.fixture(autouse=True)
def files(env: pytest.MonkeyPatch, object_server: ObjectServer) -> ObjectServer:
    for name in "abcd":
        object_server.put("bucket", f"{name}.csv", CSV)
    object_server.put("bucket", "bad.csv", b"x\n1\n")
    return object_server


def test_object_with_passing_fault_comes_again_by_itself(files: ObjectServer, fault_server: FaultServer) -> None:
    files.plan = lambda request: S3_DENIED if request.key == "b.csv" else None
    bodies = [uploaded("a.csv"), uploaded("b.csv"), sns_envelope(uploaded("c.csv")), uploaded("gone.csv", "bad.csv")]
    assert failures(produce(*bodies)) == [sqs_id(2)]
    assert sent(fault_server) == ["a.csv", "c.csv"]
    files.plan = []
    assert failures(produce(bodies[1])) == []
    assert sent(fault_server) == ["a.csv", "b.csv", "c.csv"]


def test_unknown_message_comes_again_and_is_named(
    fault_server: FaultServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "John,j@x.org,1"
    answer = produce(uploaded("a.csv"), secret, S3_TEST_EVENT, sns_envelope(secret), uploaded("d.csv"))
    assert failures(answer) == [sqs_id(2), sqs_id(4)]
    assert sent(fault_server) == ["a.csv", "d.csv"]
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "millpond"]
    unknown = [(line["messageId"], line["reason"]) for line in lines if line["event"] == "unknown event"]
    assert unknown == [
        (sqs_id(2), f"the event, record 2, SQS message {sqs_id(2)}: its text is not JSON"),
        (sqs_id(4), f"the event, record 4, SQS message {sqs_id(4)}, SNS message: its text is not JSON"),
    ]
    assert [line["messageId"] for line in lines if line["event"] == "object"] == [sqs_id(1), sqs_id(5)]
    assert "j@x.org" not in caplog.text
    (counts,) = metrics_in(capsys.readouterr().out)
    assert (counts["ObjectsCompleted"], counts["RowsRead"]) == (2, 4)


def test_message_of_several_objects_comes_again_with_all_of_them(
    files: ObjectServer, fault_server: FaultServer
) -> None:
    body = uploaded("a.csv", "b.csv")
    body["Records"].insert(1, {"eventSource": "aws:s3"})
    assert failures(produce(body)) == [sqs_id(1)]
    assert sent(fault_server) == ["a.csv", "b.csv"]


def test_no_time_left_returns_what_was_not_reached(fault_server: FaultServer) -> None:
    assert failures(produce(uploaded("a.csv"), S3_TEST_EVENT, uploaded("b.csv"), seconds=0.0)) == [sqs_id(1), sqs_id(3)]
    assert sent(fault_server) == []


def test_clients_are_opened_anew_after_credentials_expired(
    files: ObjectServer, fault_server: FaultServer, env: pytest.MonkeyPatch
) -> None:
    env.setenv("AWS_ACCESS_KEY_ID", "OLD")
    files.plan = lambda request: S3_EXPIRED if request.access_key == "OLD" else None
    with pytest.raises(ServiceError, match="ExpiredToken"):
        produce(uploaded("a.csv"), uploaded("b.csv"))
    env.setenv("AWS_ACCESS_KEY_ID", "NEW")
    assert failures(produce(uploaded("a.csv"), uploaded("b.csv"))) == []
    assert sent(fault_server) == ["a.csv", "b.csv"]


def test_defect_shows_and_the_other_objects_are_sent(fault_server: FaultServer, env: pytest.MonkeyPatch) -> None:
    open_object = Objects.open

    async def open_or_break(objects: Objects, ref: ObjectRef, deadline: Deadline) -> OpenObject:
        if ref.key == "b.csv":
            raise TypeError("a defect")
        return await open_object(objects, ref, deadline)

    env.setattr(Objects, "open", open_or_break)
    with pytest.raises(TypeError, match="a defect"):
        produce(uploaded("a.csv"), uploaded("b.csv"), uploaded("c.csv"))
    assert sent(fault_server) == ["a.csv", "c.csv"]


def test_function_subscribed_to_a_topic_answers_as_before(files: ObjectServer, fault_server: FaultServer) -> None:
    event = event_of(sns_record(uploaded("a.csv", "b.csv")))
    answer = producer.handler(event, Context())
    assert (answer["statusCode"], answer["body"]) == (200, "2 of 2 objects ingested")
    files.plan = lambda request: S3_DENIED if request.key == "a.csv" else None
    with pytest.raises(ServiceError, match="AccessDenied"):
        producer.handler(event, Context())
    assert sent(fault_server) == ["a.csv", "b.csv", "b.csv"]


def test_good_records_of_a_direct_event_are_sent_before_it_fails(fault_server: FaultServer) -> None:
    event = event_of(s3_record("bucket", "a.csv"), {"eventSource": "aws:s3"}, s3_record("bucket", "b.csv"))
    with pytest.raises(UnknownEvent, match=r"^the event, record 2: it is a record of neither"):
        producer.handler(event, Context())
    assert sent(fault_server) == ["a.csv", "b.csv"]
