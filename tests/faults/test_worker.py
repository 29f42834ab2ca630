"""The worker before a table and a bucket that go wrong: exactly the messages with rows left come back."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.config import TRANSPORTS
from engine.errors import ServiceError
from engine.handlers import worker
from tests.builders.invocations import Context, Json, event_of, failures, metrics_in, sqs_record
from tests.builders.messages import UPLOAD, packed, users
from tests.fakeaws.dynamodb import Table
from tests.fakeaws.fault_objects import S3_DENIED, S3_EXPIRED, ObjectServer
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import (
    ACCESS_DENIED,
    EXPIRED_TOKEN,
    NO_TABLE,
    SERVER_ERROR,
    THROTTLED,
    Call,
    CloseAfter,
    Fault,
    Garbage,
    Poison,
    Refuse,
    Reset,
    Silent,
    Slow,
    Sometimes,
    Truncated,
    Unprocessed,
    WrongChecksum,
    always,
)


@pytest.fixture(autouse=True)
def _nowhere_to_hand_on_to(env: pytest.MonkeyPatch) -> None:
    env.delenv("QUEUE_URL")


def work(*records: Json, seconds: float = 60.0) -> list[str]:
    return failures(worker.handler(event_of(*records), Context(seconds)))


def warm_up(server: FaultServer) -> None:
    """Open the clients, which is not to count against a short time."""
    assert work(sqs_record("first", packed([]))) == []
    assert not server.calls


def batch(messages: int = 10, rows: int = 50) -> list[Json]:
    """Messages m0, m1, …, each with rows of its own."""
    return [
        sqs_record(f"m{number}", packed(users(number * rows + 1, (number + 1) * rows), number=number))
        for number in range(messages)
    ]


def emails(server: FaultServer) -> set[str]:
    return {key[0] for key in server.tables["users"].items}


def of_message(number: int, rows: int = 50) -> set[str]:
    return {f"user{row}@example.com" for row in range(number * rows + 1, (number + 1) * rows + 1)}


def has_row(*rows: int) -> Callable[[Json], bool]:
    wanted = {f"user{row}@example.com" for row in rows}
    return lambda item: item["email"]["S"] in wanted


def test_success_without_faults(fault_server: FaultServer, object_server: ObjectServer) -> None:
    assert work(*batch()) == []
    assert len(emails(fault_server)) == 500
    assert set(fault_server.tables["users"].writes.values()) == {1}
    assert not object_server.requests


def test_stated_rate_is_shared_by_the_ledger(fault_server: FaultServer, env: pytest.MonkeyPatch) -> None:
    env.setenv("LEDGER_TABLE", "ledger")
    env.setenv("WRITE_RATE", "5000")
    fault_server.tables["ledger"] = ledger = Table({"ingestion": "S", "part": "S"})
    fault_server.plan = Sometimes(0.2, [THROTTLED, SERVER_ERROR, Garbage()])
    assert work(*batch()) == []
    assert len(emails(fault_server)) == 500
    assert abs(int(ledger.items["rate", "writes"]["until"]["N"]) / 1_000_000 - time.time()) < 60
    assert {key[0] for key in ledger.items} == {"rate", UPLOAD.ingestion}


def test_empty_batch_makes_no_call(fault_server: FaultServer) -> None:
    assert work() == []
    assert work(sqs_record("a", packed([]))) == []
    assert not fault_server.calls


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_many_faults_only_delay(fault_server: FaultServer, env: pytest.MonkeyPatch, kind: str) -> None:
    env.setenv("HTTP_TRANSPORT", kind)
    faults: list[Fault] = [
        THROTTLED,
        SERVER_ERROR,
        Unprocessed(0.5),
        Reset(applied=True),
        Garbage(),
        Truncated(),
        WrongChecksum(),
        CloseAfter(),
        Slow(0.02),
    ]
    fault_server.plan = Sometimes(0.5, faults)
    assert work(*batch()) == []
    assert len(emails(fault_server)) == 500


@pytest.mark.parametrize("fault", [THROTTLED, Silent(), Unprocessed(1.0)], ids=repr)
def test_deadline_returns_exactly_the_messages_with_unwritten_rows(fault_server: FaultServer, fault: Fault) -> None:
    # m3 has one row that never gets in, m7 none that does. (25 rows: each message is a call of its own.)
    stuck = {"user76@example.com", *of_message(7, 25)}
    records = batch(10, 25)

    def plan(call: Call) -> Fault | None:
        hit = {entry["email"]["S"] for entry in call.entries} & stuck
        if hit and isinstance(fault, Unprocessed):
            return Unprocessed(lambda entry: entry["email"]["S"] in stuck)
        return fault if hit else None

    warm_up(fault_server)
    fault_server.plan = plan
    began = time.monotonic()
    assert work(*records, seconds=2.5) == ["m3", "m7"]
    assert time.monotonic() - began < 10
    whole = {email for number in range(10) if number not in (3, 7) for email in of_message(number, 25)}
    assert whole <= emails(fault_server)
    assert not emails(fault_server) & stuck
    # Delivered again, and now all is well, they are written, and nothing else is touched.
    fault_server.plan = []
    fault_server.tables["users"].writes.clear()
    assert work(records[3], records[7]) == []
    assert len(emails(fault_server)) == 250
    assert {key[0] for key in fault_server.tables["users"].writes} == of_message(3, 25) | of_message(7, 25)


def test_no_time_returns_all_messages(fault_server: FaultServer) -> None:
    assert work(*batch(3), seconds=0.0) == ["m0", "m1", "m2"]
    assert not fault_server.calls


def test_row_in_two_messages_is_written_for_both(fault_server: FaultServer) -> None:
    # Of the same key, one after the other; what one message has written is not taken for the other's.
    first, twin = sqs_record("first", packed(users(1, 30))), sqs_record("twin", packed(users(1, 30)))
    assert work(first, twin, sqs_record("first", packed(users(1, 30)))) == []
    assert set(fault_server.tables["users"].writes.values()) == {3}
    seen = []

    def plan(call: Call) -> Fault | None:
        seen.append(len(call.entries))
        return Silent() if len(seen) > 2 else None

    fault_server.plan = plan
    assert work(first, twin, seconds=2.5) == ["twin"]


def test_poison_becomes_reject_and_message_is_acknowledged(
    fault_server: FaultServer, object_server: ObjectServer
) -> None:
    fault_server.plan = always(Poison(has_row(7, 60, 99)))
    assert work(*batch(3)) == []
    assert len(emails(fault_server)) == 147
    rejects = {key: stored.body.decode() for (_, key), stored in object_server.objects.items()}
    assert [key.rpartition("/")[2][:31] for key in sorted(rejects)] == [
        "message-000000000000000-000000-",
        "message-000000000000000-000001-",
    ]
    first, second = (rejects[key] for key in sorted(rejects))
    reason = "ValidationException: One or more parameter values were invalid"
    assert first == f'row,offset,reason,record\r\n7,,{reason},"Name 7,user7@example.com,N/A"\r\n'
    assert [line.split(",")[0] for line in second.splitlines()] == ["row", "60", "99"]


def test_poison_and_unfinished_rows_in_one_batch(fault_server: FaultServer, object_server: ObjectServer) -> None:
    # m0 has a poison row and all others written: done. m1 has a poison row and one that does not get in: back.
    def plan(call: Call) -> Fault | None:
        if any(map(has_row(60), call.entries)):
            return Silent()
        return Poison(has_row(7, 99))

    fault_server.plan = plan
    assert work(*batch(1)) == []  # opens the clients, which is not to count against a short time
    object_server.objects.clear()
    assert work(*batch(3), seconds=6.0) == ["m1"]
    (key,) = [key for _, key in object_server.objects]
    assert "message-000000000000000-000000-" in key


@pytest.mark.parametrize("fault", [S3_DENIED, Silent()], ids=repr)
def test_message_whose_rejects_cannot_be_recorded_is_returned_in_time(
    fault_server: FaultServer, object_server: ObjectServer, fault: Any
) -> None:
    warm_up(fault_server)
    fault_server.plan = always(Poison(has_row(7, 120)))
    object_server.plan = lambda request: fault
    began = time.monotonic()
    assert work(*batch(4), seconds=3.0) == ["m0", "m2"]
    assert time.monotonic() - began < 10
    assert len(emails(fault_server)) == 198
    object_server.plan = []
    assert work(*batch(4)) == []
    assert len(object_server.objects) == 2


@pytest.mark.parametrize("fault", [NO_TABLE, ACCESS_DENIED], ids=repr)
def test_fatal_error_raises_and_acknowledges_nothing(fault_server: FaultServer, fault: Fault) -> None:
    fault_server.plan = always(fault)
    with pytest.raises(ServiceError, match="BatchWriteItem failed"):
        work(*batch(), sqs_record("bad", "{"))
    fault_server.plan = []
    assert work(*batch(), sqs_record("bad", "{")) == ["bad"]


def test_invocations_share_loop_and_clients(fault_server: FaultServer) -> None:
    small = sqs_record("a", packed(users(1, 20)))
    assert work(small) == []
    for _ in range(10):
        assert work(small) == []
    assert fault_server.connections == 1  # another loop or client would have one of its own


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_connections_stale_after_freeze_are_replaced(
    fault_server: FaultServer, env: pytest.MonkeyPatch, kind: str
) -> None:
    env.setenv("HTTP_TRANSPORT", kind)
    for wait in (0.0, 0.0, 0.1):
        assert work(*batch()) == []
        fault_server.drop_connections()
        time.sleep(wait)  # with a wait the process may hear of it before the next call
    assert work(*batch()) == []
    assert fault_server.connections > 1


def test_expired_credentials_are_renewed(fault_server: FaultServer, env: pytest.MonkeyPatch) -> None:
    env.setenv("AWS_ACCESS_KEY_ID", "OLD")
    env.setenv("AWS_SESSION_TOKEN", "old-token")
    assert work(*batch()) == []
    assert {call.access_key for call in fault_server.calls} == {"OLD"}
    env.setenv("AWS_ACCESS_KEY_ID", "NEW")
    env.setenv("AWS_SESSION_TOKEN", "new-token")
    fault_server.plan = lambda call: EXPIRED_TOKEN if call.access_key == "OLD" else None
    assert work(*batch()) == []
    last = fault_server.calls[-1]
    assert (last.access_key, last.headers["x-amz-security-token"]) == ("NEW", "new-token")
    assert "x-amz-security-token" in last.headers["authorization"]


def test_credentials_that_stay_expired_raise_and_are_read_again_next_time(
    fault_server: FaultServer, env: pytest.MonkeyPatch
) -> None:
    fault_server.plan = always(EXPIRED_TOKEN)
    with pytest.raises(ServiceError, match="ExpiredToken"):
        work(*batch())
    fault_server.plan = []
    env.setenv("AWS_ACCESS_KEY_ID", "NEW")
    assert work(*batch()) == []
    assert fault_server.calls[-1].access_key == "NEW"


def test_credentials_expired_for_s3_only_are_read_again(
    fault_server: FaultServer, object_server: ObjectServer, env: pytest.MonkeyPatch
) -> None:
    fault_server.plan = always(Poison(has_row(7)))
    env.setenv("AWS_ACCESS_KEY_ID", "OLD")
    object_server.plan = lambda request: S3_EXPIRED if request.access_key == "OLD" else None
    with pytest.raises(ServiceError, match="ExpiredToken"):
        work(*batch(1))
    env.setenv("AWS_ACCESS_KEY_ID", "NEW")
    assert work(*batch(1)) == []
    assert len(object_server.objects) == 1


def test_missing_credentials_are_named(fault_server: FaultServer, env: pytest.MonkeyPatch) -> None:
    env.delenv("AWS_ACCESS_KEY_ID")
    env.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ServiceError, match="no AWS credentials were found"):
        work(*batch(1))
    assert not fault_server.calls


def test_permanently_throttled_partition_does_not_delay_others(fault_server: FaultServer) -> None:
    hot = of_message(0, 25)
    fault_server.plan = lambda call: THROTTLED if {entry["email"]["S"] for entry in call.entries} & hot else None
    assert work(*batch(40, 25), seconds=6.0) == ["m0"]
    assert len(emails(fault_server)) == 39 * 25


def test_item_with_permanent_server_errors_does_not_delay_others(fault_server: FaultServer) -> None:
    odd = has_row(7)
    fault_server.plan = lambda call: SERVER_ERROR if any(map(odd, call.entries)) else None
    began = time.monotonic()
    assert work(*batch(3, 25), seconds=60.0) == ["m0"]
    assert emails(fault_server) == set().union(*(of_message(number, 25) for number in range(3))) - {"user7@example.com"}
    assert time.monotonic() - began < 40  # given up, not tried until the deadline


def test_unwritten_rows_are_handed_on_and_message_is_acknowledged(
    fault_server: FaultServer, env: pytest.MonkeyPatch
) -> None:
    env.setenv("QUEUE_URL", fault_server.queue_url())
    stuck = {"user76@example.com", *of_message(7, 25)}

    def plan(call: Call) -> Fault | None:
        if call.operation == "BatchWriteItem":
            return Unprocessed(lambda entry: entry["email"]["S"] in stuck)
        return None

    fault_server.plan = plan
    assert work(*batch(10, 25), seconds=8.0) == []
    handed = [json.loads(message.body) for message in fault_server.queues["user-csv-queue"].messages]
    assert {row[2] for body in handed for row in body["rows"]} == stuck
    assert sorted(body["message"] for body in handed) == [3, 7]
    fault_server.plan = []
    assert work(*(sqs_record(f"again{i}", body) for i, body in enumerate(handed))) == []
    assert len(emails(fault_server)) == 250


@pytest.mark.parametrize("fault", [ACCESS_DENIED, Silent(), SERVER_ERROR], ids=repr)
def test_message_that_cannot_be_handed_on_is_returned(
    fault_server: FaultServer, env: pytest.MonkeyPatch, fault: Fault
) -> None:
    env.setenv("QUEUE_URL", fault_server.queue_url())
    fault_server.plan = lambda call: THROTTLED if call.operation == "BatchWriteItem" else fault
    began = time.monotonic()
    assert work(*batch(3), seconds=3.0) == ["m0", "m1", "m2"]
    assert time.monotonic() - began < 10


def test_refused_rows_wait_for_the_rest_of_their_message(
    fault_server: FaultServer, object_server: ObjectServer, env: pytest.MonkeyPatch
) -> None:
    env.setenv("QUEUE_URL", fault_server.queue_url())
    poison, stuck = has_row(7), has_row(30)

    def plan(call: Call) -> Fault | None:
        if call.operation != "BatchWriteItem":
            return None
        return THROTTLED if any(map(stuck, call.entries)) else Poison(poison)

    fault_server.plan = plan
    assert work(*batch(1), seconds=8.0) == []
    assert not object_server.objects
    (handed,) = [json.loads(message.body) for message in fault_server.queues["user-csv-queue"].messages]
    assert 7 in [row[0] for row in handed["rows"]]
    fault_server.plan = always(Poison(poison))
    assert work(sqs_record("rest", handed), sqs_record("other", packed(users(101, 110), number=1))) == []
    assert len(object_server.objects) == 1
    assert len(emails(fault_server)) == 59


def test_message_that_cannot_be_handed_on_does_not_affect_others(
    fault_server: FaultServer, env: pytest.MonkeyPatch
) -> None:
    env.setenv("QUEUE_URL", fault_server.queue_url())
    large = json.dumps(packed(users(901, 925), number=9))
    large = large[:-1] + " " * (1_048_576 - len(large)) + "}"  # as large as SQS takes, without room for an attribute
    fault_server.plan = lambda call: THROTTLED if call.operation == "BatchWriteItem" else None
    assert work(*batch(9, 25), sqs_record("large", large), seconds=8.0) == ["large"]
    assert len(fault_server.queues["user-csv-queue"].messages) == 9


def test_rejects_of_reading_do_not_wait_for_the_rows_of_others(
    fault_server: FaultServer, object_server: ObjectServer, env: pytest.MonkeyPatch
) -> None:
    env.setenv("QUEUE_URL", fault_server.queue_url())
    env.setenv("REJECTS_BUCKET", "bucket")
    fault_server.plan = lambda call: THROTTLED if call.operation == "BatchWriteItem" else None
    object_server.plan = lambda request: Slow(0.3)
    bad = [sqs_record(f"bad{n}", {"name": "", "mail": "x@y.z", "rowNumber": n}) for n in range(40)]
    assert work(*batch(1), *bad, seconds=8.0) == []
    assert len(object_server.objects) == 40


def test_reasons_for_throttling_are_logged_and_measured(
    fault_server: FaultServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/users"
    faults: list[Fault | None] = [
        Refuse(
            "ProvisionedThroughputExceededException",
            members={"ThrottlingReasons": [{"reason": "TableWriteProvisionedThroughputExceeded", "resource": arn}]},
        ),
        Refuse(
            "ThrottlingException",
            members={
                "throttlingReasons": [
                    {"reason": "IndexWriteKeyRangeThroughputExceeded", "resource": f"{arn}/index/by-phone"}
                ]
            },
        ),
        Unprocessed(1.0),
    ]

    def plan(call: Call) -> Fault | None:
        return faults.pop(0) if faults and call.operation == "BatchWriteItem" else None

    fault_server.plan = plan
    assert work(*batch(1, 25)) == []
    assert work(*batch(1, 25)) == []
    first, second = (json.loads(record.getMessage()) for record in caplog.records if '"batch"' in record.getMessage())
    assert first["throttled"] == {
        "users TableWriteProvisionedThroughputExceeded": 1,
        "users/index/by-phone IndexWriteKeyRangeThroughputExceeded": 1,
    }
    assert first["unprocessed"] == 25
    assert not {"throttled", "unprocessed"} & second.keys()
    counts, later = metrics_in(capsys.readouterr().out)
    assert (counts["ThrottledProvisioned"], counts["ThrottledKeyRange"]) == (1, 1)
    assert not any(name.startswith("Throttled") for name in later)


def batch_line(caplog: pytest.LogCaptureFixture) -> Json:
    (line,) = (json.loads(record.getMessage()) for record in caplog.records if '"batch"' in record.getMessage())
    return dict(line)


def of_ingestion(number: int) -> tuple[Json, str]:
    """A message of an ingestion of its own, and the ingestion's id."""
    source = UPLOAD._replace(key=f"uploads/{number}.csv")
    return sqs_record(f"m{number}", packed(users(1, 1)) | {"object": source._asdict()}), source.ingestion


def test_line_of_a_batch_names_its_ingestions(
    fault_server: FaultServer, object_server: ObjectServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first, second = of_ingestion(1), of_ingestion(2)
    other = sqs_record("plain", {"name": "A", "mail": "a@x.org"})
    assert work(first[0], second[0], {**first[0], "messageId": "again"}, other) == []
    line = batch_line(caplog)
    assert line["ingestions"] == [first[1], second[1]]
    assert "moreIngestions" not in line


def test_line_of_a_batch_names_a_bounded_number_of_ingestions(
    fault_server: FaultServer, object_server: ObjectServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    messages = [of_ingestion(number) for number in range(60)]
    assert work(*(message for message, _ in messages)) == []
    line = batch_line(caplog)
    assert line["ingestions"] == [ingestion for _, ingestion in messages[:50]]
    assert line["moreIngestions"] == 10
