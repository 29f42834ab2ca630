"""The producer between an S3 and an SQS that go wrong: every row is sent, or the run fails and says why."""

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DeadlineExceeded, ServiceError
from engine.handlers import producer
from tests.builders.invocations import Context, Json, event_of, metrics_in, s3_record
from tests.builders.newest import NEWEST_TOML
from tests.fakeaws.fault_objects import (
    S3_DENIED,
    S3_EXPIRED,
    SLOW_DOWN,
    Cut,
    ObjectFault,
    ObjectRequest,
    ObjectServer,
    Stall,
)
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import (
    ACCESS_DENIED,
    EXPIRED_TOKEN,
    NO_QUEUE,
    SQS_ERROR,
    SQS_THROTTLED,
    CloseAfter,
    Failed,
    Fault,
    Reset,
    Silent,
    Slow,
    Sometimes,
    Unmentioned,
    always,
)
from tests.fakeaws.queues import Queue
from tests.fakeaws.s3 import MODIFIED

HEADER = "name,mail,phone\n"


def csv_of(rows: int, note: str = "x" * 60) -> bytes:
    return (HEADER + "".join(f"User {row} {note},user{row}@x.org,{row}\n" for row in range(1, rows + 1))).encode()


def produce(*keys: str, seconds: float = 60.0) -> Json:
    return producer.handler(event_of(*(s3_record("bucket", key) for key in keys)), Context(seconds))


def sent_rows(server: FaultServer, key: str = "a.csv") -> list[int]:
    """The row numbers that the queue has, of one object, in order and as often as it has them."""
    bodies = [json.loads(message.body) for message in server.queues["user-csv-queue"].messages]
    return sorted(row[0] for body in bodies if body["object"]["key"] == key for row in body["rows"])


@pytest.fixture
def file(env: pytest.MonkeyPatch, object_server: ObjectServer) -> ObjectServer:
    """One object of 20,000 rows, 2 MB, and small messages."""
    env.setenv("RECORDS_PER_MESSAGE", "100")
    object_server.put("bucket", "a.csv", csv_of(20_000))
    return object_server


def test_success_without_faults(file: ObjectServer, fault_server: FaultServer) -> None:
    answer = produce("a.csv")
    assert (answer["statusCode"], answer["totalRows"], answer["messagesSent"]) == (200, 20_000, 200)
    assert sent_rows(fault_server) == list(range(1, 20_001))
    assert len(file.requests) == 1


def test_many_faults_of_s3_and_sqs_lose_nothing(file: ObjectServer, fault_server: FaultServer) -> None:
    faults: list[Fault] = [SQS_THROTTLED, SQS_ERROR, Failed(0.5), Unmentioned(0.5), Reset(), CloseAfter(), Slow(0.02)]
    fault_server.plan = Sometimes(0.5, faults)
    file.plan = lambda request: Cut(300_000) if request.start < 1_200_000 else None
    answer = produce("a.csv")
    assert (answer["totalRows"], answer["validRows"], answer["messagesSent"]) == (20_000, 20_000, 200)
    assert sent_rows(fault_server) == list(range(1, 20_001))
    assert len(file.requests) > 3


def test_object_replaced_while_being_read_is_superseded(file: ObjectServer, fault_server: FaultServer) -> None:
    old = file.put("bucket", "a.csv", csv_of(20_000))
    file.put("bucket", "b.csv", csv_of(30))
    cuts = iter([Cut(700_000)])

    def cut_then_replaced(request: ObjectRequest) -> ObjectFault | None:
        fault = next(cuts, None)
        if request.key == "a.csv" and fault is None:
            file.put("bucket", "a.csv", csv_of(7, note="new"))
        return fault

    file.plan = cut_then_replaced
    answer = produce("a.csv", "b.csv")
    assert [each["status"] for each in answer["objects"]] == ["superseded", "complete"]
    assert "replaced by a newer upload" in answer["objects"][0]["reason"]
    assert answer["objects"][0]["totalRows"] < 20_000
    # Whatever was sent is of the old one: nothing is mixed.
    for message in fault_server.queues["user-csv-queue"].messages:
        document = json.loads(message.body)
        assert document["object"]["key"] == "b.csv" or document["object"]["etag"] == old.etag
        assert "new" not in message.body
    assert sent_rows(fault_server, "b.csv") == list(range(1, 31))
    assert produce("a.csv")["totalRows"] == 7


@pytest.mark.parametrize("size", [150_000, 80_000, 2_000])
def test_rows_before_the_place_where_an_archive_is_cut_off_are_sent(
    file: ObjectServer, fault_server: FaultServer, size: int
) -> None:
    file.put("bucket", "a.csv.gz", gzip.compress(csv_of(20_050))[:size])
    (result,) = produce("a.csv.gz")["objects"]
    assert (result["status"], result["reason"]) == ("failed", "the gzip data ends too early: the file was cut off")
    assert sent_rows(fault_server, "a.csv.gz") == list(range(1, result["validRows"] + 1))
    assert result["messagesSent"] == -(-result["validRows"] // 100)


def test_rows_of_a_small_archive_that_is_cut_off_are_accounted_for(
    file: ObjectServer, fault_server: FaultServer
) -> None:
    file.put("bucket", "a.csv.gz", gzip.compress(csv_of(30) + b"cut,off")[:-8])
    (result,) = produce("a.csv.gz")["objects"]
    assert (result["status"], result["reason"]) == ("failed", "the gzip data ends too early: the file was cut off")
    assert (result["totalRows"], result["validRows"], result["rejectedRows"]) == (30, 30, 0)
    assert sent_rows(fault_server, "a.csv.gz") == list(range(1, 31))


def test_unreadable_object_does_not_affect_others(file: ObjectServer, fault_server: FaultServer) -> None:
    file.put("bucket", "b.csv", csv_of(30))
    file.put("bucket", "c.csv", csv_of(40))
    file.plan = lambda request: S3_DENIED if request.key == "b.csv" else None
    with pytest.raises(ServiceError, match="GetObject failed: AccessDenied"):
        produce("b.csv", "a.csv", "c.csv")
    assert sent_rows(fault_server) == list(range(1, 20_001))
    assert sent_rows(fault_server, "c.csv") == list(range(1, 41))


@pytest.mark.parametrize("fault", [NO_QUEUE, ACCESS_DENIED, Failed(0.1, "InvalidMessageContents", True)], ids=repr)
def test_queue_that_accepts_nothing_raises(file: ObjectServer, fault_server: FaultServer, fault: Fault) -> None:
    fault_server.plan = always(fault)
    with pytest.raises(ServiceError, match="SendMessageBatch failed"):
        produce("a.csv")
    fault_server.plan = []
    assert produce("a.csv")["messagesSent"] == 200


@pytest.mark.parametrize("fault", [SQS_THROTTLED, Silent()], ids=repr)
def test_slow_queue_is_named_in_the_error(file: ObjectServer, fault_server: FaultServer, fault: Fault) -> None:
    fault_server.plan = always(fault)
    began = time.monotonic()
    with pytest.raises((DeadlineExceeded, ServiceError), match=r"no time|time is up|no answer|CallTimedOut") as caught:
        produce("a.csv", seconds=1.5)
    assert time.monotonic() - began < 10
    assert "user" not in str(caught.value)
    fault_server.plan = []
    assert produce("a.csv")["validRows"] == 20_000


def test_slow_object_is_named_in_the_error(file: ObjectServer, fault_server: FaultServer) -> None:
    # Long before the client itself would lose patience.
    began = time.monotonic()
    for fault in (Silent(), Stall(500_000), Slow(20.0)):
        file.plan = [fault]
        with pytest.raises(DeadlineExceeded, match="no time left for GetObject"):
            produce("a.csv", seconds=1.0)
    file.plan = [None, Silent()]
    file.put("bucket", "bad.csv", csv_of(10) + b",nobody@x.org,1\n")
    with pytest.raises(DeadlineExceeded, match="no time left for PutObject"):
        produce("bad.csv", seconds=1.0)
    assert time.monotonic() - began < 15


def test_no_time_at_start_raises_and_sends_nothing(file: ObjectServer, fault_server: FaultServer) -> None:
    with pytest.raises(DeadlineExceeded, match="no time left"):
        produce("a.csv", seconds=0.0)
    assert sent_rows(fault_server) == []


def test_retry_after_crash_sends_the_same_messages(file: ObjectServer, fault_server: FaultServer) -> None:
    def taken() -> dict[int, Any]:
        documents = [json.loads(message.body) for message in fault_server.queues["user-csv-queue"].messages]
        for document in documents:
            del document["processedAt"]
        return {document["message"]: document for document in documents}

    fault_server.plan = lambda call: ACCESS_DENIED if call.number > 8 else None
    with pytest.raises(ServiceError):
        produce("a.csv")
    before = taken()
    assert 0 < len(before) < 200
    fault_server.queues["user-csv-queue"].purge()
    fault_server.plan = []
    file.plan = [Cut(123_456)]
    produce("a.csv")
    after = taken()
    assert len(after) == 200
    assert {number: after[number] for number in before} == before


def test_failure_to_record_rejects_fails_the_run(file: ObjectServer, fault_server: FaultServer) -> None:
    file.put("bucket", "a.csv", csv_of(10) + b",nobody@x.org,1\n")
    file.plan = lambda request: S3_DENIED if request.method == "PUT" else None
    with pytest.raises(ServiceError, match="PutObject failed: AccessDenied"):
        produce("a.csv")
    file.plan = [None, SLOW_DOWN]
    assert produce("a.csv")["rejectedRows"] == 1
    assert sum(key.startswith("rejects/") for _, key in file.objects) == 1


def test_invocations_share_loop_and_clients(file: ObjectServer, fault_server: FaultServer) -> None:
    file.put("bucket", "small.csv", csv_of(5))
    produce("small.csv")
    for _ in range(10):
        produce("small.csv")
    assert fault_server.connections == 1  # another loop or client would have one of its own
    assert file.connections == len(file.requests) == 11  # objects have one each


def test_connections_stale_after_freeze_are_replaced(file: ObjectServer, fault_server: FaultServer) -> None:
    produce("a.csv")
    for server in (file, fault_server):
        server.drop_connections()
    assert produce("a.csv")["messagesSent"] == 200
    for server in (file, fault_server):
        server.drop_connections()
    time.sleep(0.1)  # this time the process may hear of it while it is frozen
    assert produce("a.csv")["messagesSent"] == 200


def test_credentials_expired_for_sqs_are_renewed(
    file: ObjectServer, fault_server: FaultServer, env: pytest.MonkeyPatch
) -> None:
    file.put("bucket", "a.csv", csv_of(500))
    env.setenv("AWS_ACCESS_KEY_ID", "OLD")
    env.setenv("AWS_SESSION_TOKEN", "old-token")
    produce("a.csv")
    env.setenv("AWS_ACCESS_KEY_ID", "NEW")
    env.setenv("AWS_SESSION_TOKEN", "new-token")
    fault_server.plan = lambda call: EXPIRED_TOKEN if call.access_key == "OLD" else None
    assert produce("a.csv")["messagesSent"] == 5
    last = fault_server.calls[-1]
    assert (last.access_key, last.headers["x-amz-security-token"]) == ("NEW", "new-token")


def test_credentials_expired_for_s3_are_renewed_for_the_next_event(
    file: ObjectServer, fault_server: FaultServer, env: pytest.MonkeyPatch
) -> None:
    env.setenv("AWS_ACCESS_KEY_ID", "OLD")
    file.plan = lambda request: S3_EXPIRED if request.access_key == "OLD" else None
    with pytest.raises(ServiceError, match="ExpiredToken"):
        produce("a.csv")
    env.setenv("AWS_ACCESS_KEY_ID", "NEW")
    assert produce("a.csv")["totalRows"] == 20_000
    assert file.requests[-1].access_key == fault_server.calls[-1].access_key == "NEW"


def test_rows_that_later_ones_replace_are_reported(
    object_server: ObjectServer,
    fault_server: FaultServer,
    env: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "articles.toml").write_text(NEWEST_TOML)
    object_server.put("bucket", "a.csv", b"sku,price\nA,1\nB,1\nA,2\n,9\nA,3\n")
    object_server.put("bucket", "b.csv", b"sku,price\nA,1\nB,1\n")
    env.setenv("SCHEMA", str(tmp_path / "articles.toml"))
    answer = produce("a.csv", "b.csv")
    assert [(each["replacedRows"], each["replacedRowsExact"]) for each in answer["objects"]] == [(2, True), (0, True)]
    assert (answer["validRows"], answer["rejectedRows"], answer["replacedRows"]) == (6, 1, 2)
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "millpond"]
    assert [line["replacedRows"] for line in lines] == [2, 0]
    (counts,) = metrics_in(capsys.readouterr().out)
    assert counts["RowsReplaced"] == 2
    assert sent_rows(fault_server) == [1, 2, 3, 5]


def test_users_have_no_rows_to_replace(
    file: ObjectServer, fault_server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    file.put("bucket", "a.csv", csv_of(2) + csv_of(2).partition(b"\n")[2])
    answer = produce("a.csv")
    assert (answer["totalRows"], answer["replacedRows"], answer["objects"][0]["replacedRowsExact"]) == (4, 0, True)
    (counts,) = metrics_in(capsys.readouterr().out)
    assert "RowsReplaced" not in counts


def test_ignored_and_absent_columns_are_named(
    file: ObjectServer, fault_server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    file.put("bucket", "a.csv", b"name,mail,telephone,,fax\nJohn,j@x.org,1,2,3\n")
    file.put("bucket", "b.csv", HEADER.encode())
    many = ",".join(f"{'x' * 200}{number}" for number in range(2_000))
    file.put("bucket", "c.csv", f"name,mail,{many}\n".encode())
    file.put("bucket", "d.csv", b"John,j@x.org\n")
    answer = produce("a.csv", "b.csv", "c.csv", "d.csv")
    names = [(each["ignoredColumns"], each["absentColumns"]) for each in answer["objects"]]
    assert names[:2] == [(["telephone", "column 4", "fax"], ["phone"]), ([], [])]
    assert names[2] == (["x" * 100] * 50 + ["and 1,950 more"], ["phone"])
    assert names[3] == ([], [])  # the header is refused, and is perhaps a row
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "millpond"]
    assert [(line["ignoredColumns"], line["absentColumns"]) for line in lines] == names
    assert "j@x.org" not in caplog.text


def spans_of(server: FaultServer, env: pytest.MonkeyPatch) -> Queue:
    """Add a span queue to the server and the functions' environment."""
    env.setenv("SPAN_QUEUE_URL", server.queue_url("spans"))
    return server.queues.setdefault("spans", Queue())


def test_file_that_stalls_is_handed_on_and_taken_up_at_the_row_reached(
    env: pytest.MonkeyPatch, file: ObjectServer, fault_server: FaultServer
) -> None:
    spans = spans_of(fault_server, env)
    file.plan = [Stall(1_000_000)]
    answer = produce("a.csv", seconds=2.0)
    (result,) = answer["objects"]
    assert (answer["statusCode"], result["status"]) == (200, "handed on")
    assert 0 < result["totalRows"] < 20_000
    (message,) = spans.messages
    row = json.loads(message.body)["row"]
    assert sent_rows(fault_server) == list(range(1, row))
    assert producer.handler(event_of(message.lambda_record()), Context()) == {"batchItemFailures": []}
    assert sent_rows(fault_server) == list(range(1, 20_001))
    assert [request.start for request in file.requests[1:]] == [0, json.loads(message.body)["position"]["offset"]]


def test_rest_of_an_object_that_was_replaced_is_superseded(
    env: pytest.MonkeyPatch, file: ObjectServer, fault_server: FaultServer
) -> None:
    spans = spans_of(fault_server, env)
    file.plan = [Stall(1_000_000)]
    produce("a.csv", seconds=2.0)
    # The same content again is another upload, with messages of its own.
    file.put("bucket", "a.csv", csv_of(20_000), modified=MODIFIED + 1)
    before = len(sent_rows(fault_server))
    assert producer.handler(event_of(spans.messages[0].lambda_record()), Context()) == {"batchItemFailures": []}
    assert len(sent_rows(fault_server)) == before


def test_objects_that_the_time_does_not_suffice_for_are_handed_on_as_they_came(
    env: pytest.MonkeyPatch, file: ObjectServer, fault_server: FaultServer
) -> None:
    spans = spans_of(fault_server, env)
    file.put("bucket", "b.csv", csv_of(30))
    file.plan = [Stall(1_000_000)]
    answer = produce("a.csv", "b.csv", seconds=2.0)
    assert [each["status"] for each in answer["objects"]] == ["handed on", "handed on"]
    for message in spans.messages:
        producer.handler(event_of(message.lambda_record()), Context())
    assert sent_rows(fault_server) == list(range(1, 20_001))
    assert sent_rows(fault_server, "b.csv") == list(range(1, 31))


def test_span_queue_that_takes_nothing_fails_the_invocation(
    env: pytest.MonkeyPatch, file: ObjectServer, fault_server: FaultServer
) -> None:
    env.setenv("SPAN_QUEUE_URL", fault_server.queue_url("missing"))
    file.plan = [Stall(1_000_000)]
    with pytest.raises(ServiceError, match="SendMessageBatch"):
        produce("a.csv", seconds=2.0)
