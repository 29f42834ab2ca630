"""The worker over a real table and bucket: each row is written or a reject, and exactly the rest comes back."""

import csv
import hashlib
import io
import json
import re
from typing import Any

import pytest

from engine.errors import ConfigError, ServiceError
from engine.handlers import producer, worker
from engine.identity import ObjectVersion
from tests.builders.invocations import SENT_MS, Context, Json, event_of, failures, metrics_in, s3_record, sqs_record
from tests.builders.messages import MODIFIED, UPLOAD, packed, users
from tests.builders.samples import version_of
from tests.contract.clouds import Cloud, same_numbers

pytestmark = pytest.mark.uses("s3", "sqs", "dynamodb")

NO_INGESTION = str(int(hashlib.sha256(b"").hexdigest(), 16))[-10:]
PLAIN = {"name": " John Doe ", "mail": "John@Gmail.com", "phone": "", "processedAt": "2026-04-04T00:00:01.234Z"}


@pytest.fixture
def table(cloud: Cloud, env: pytest.MonkeyPatch) -> str:
    name = cloud.table()
    env.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    env.setenv("TABLE_NAME", name)
    return name


def work(*records: Json, seconds: float = 60.0) -> list[str]:
    return failures(worker.handler(event_of(*records), Context(seconds)))


def rejects_in(cloud: Cloud, bucket: str) -> dict[str, list[list[str]]]:
    """The files of rejects, by key: their rows without the header."""
    files = {}
    for key in cloud.keys(bucket):
        header, *rows = csv.reader(io.StringIO(cloud.body(bucket, key).decode(), newline=""))
        assert header == ["row", "offset", "reason", "record"]
        files[key] = rows
    return files


def as_delivered(message: Json) -> Json:
    """A message received from SQS as the event source mapping would hand it over."""
    return {
        "messageId": message["MessageId"],
        "body": message["Body"],
        "attributes": {"SentTimestamp": message["Attributes"]["SentTimestamp"]},
        "messageAttributes": {
            name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
            for name, value in message.get("MessageAttributes", {}).items()
        },
    }


def test_packed_and_plain_messages_share_a_batch(cloud: Cloud, table: str) -> None:
    records = [
        sqs_record("packed-1", packed(users(1, 60))),
        sqs_record("plain-1", {**PLAIN, "rowNumber": 61}, attributes={"email": "john@gmail.com"}),
        sqs_record("packed-2", packed(users(62, 62), number=1)),
        sqs_record("plain-2", {"name": "Somebody", "email": "else@x.org"}),
    ]
    assert work(*records) == []
    found = {item["email"]["S"]: same_numbers(item) for item in cloud.items(table)}
    assert len(found) == 63
    assert found["user60@example.com"] == same_numbers(
        {
            "name": {"S": "Name 60"},
            "email": {"S": "user60@example.com"},
            "phone": {"S": "N/A"},
            "createdAt": {"N": version_of(MODIFIED, 60, UPLOAD.ingestion)},
            "processedAt": {"S": "2026-04-04T00:00:01.234Z"},
        }
    )
    assert found["john@gmail.com"] == same_numbers(
        {
            "name": {"S": "John Doe"},
            "email": {"S": "john@gmail.com"},
            "phone": {"S": "N/A"},
            "createdAt": {"N": version_of(SENT_MS // 1000, 61, "plain-1")},
            "processedAt": {"S": "2026-04-04T00:00:01.234Z"},
        }
    )
    assert int(found["else@x.org"]["createdAt"]) == SENT_MS // 1000


def test_redelivered_batch_leaves_table_unchanged(cloud: Cloud, table: str) -> None:
    same = users(1, 30) + [[row, "Again", "user1@example.com", "N/A"] for row in range(31, 60)]
    records = [sqs_record("p", packed(same)), sqs_record("q", {**PLAIN, "rowNumber": 7}), sqs_record("r", PLAIN)]
    assert work(*records) == []
    before = cloud.items(table)
    assert len(before) == 61
    for again in (records, records[::-1], [records[0], records[0]]):
        assert work(*again) == []
        assert cloud.items(table) == before


def test_plain_message_is_versioned_by_its_send_time(cloud: Cloud, table: str) -> None:
    # Its own time beats the queue's, so that the producer's retry, which SQS takes at another time, changes nothing.
    for sent in (SENT_MS, SENT_MS + 120_000):
        assert work(sqs_record("a", {**PLAIN, "rowNumber": 3}, sent=sent, attributes={"modified": str(MODIFIED)})) == []
    assert [same_numbers(item)["createdAt"] for item in cloud.items(table)] == [
        same_numbers({"_": {"N": f"{MODIFIED}.000000000003{NO_INGESTION}"}})["_"]
    ]
    assert work(sqs_record("b", PLAIN, sent=SENT_MS), sqs_record("c", PLAIN, sent=SENT_MS + 1_000)) == []
    assert len(cloud.items(table)) == 3


def test_malformed_message_is_returned_each_time(cloud: Cloud, table: str) -> None:
    good = packed(users(1, 3))
    wrong: dict[str, Any] = {
        "no json": "{",
        "empty": "",
        "list": "[]",
        "text": '"v"',
        "v0": {**good, "v": 0},
        "v2": {**good, "v": 2},
        "true": {**good, "v": True},
        "no rows": {name: value for name, value in good.items() if name != "rows"},
        "short row": {**good, "rows": [[1, "x"]]},
        "no key": packed([[1, "x", "N/A"]], columns=("name", "phone")),
        "empty key": packed([[1, "x", "", "N/A"]]),
        "row 0.5": packed([[0.5, "x", "a@x.org", "N/A"]]),
        "no object": {**good, "object": None},
    }
    for _ in range(2):
        assert work(sqs_record("good", good), *(sqs_record(name, body) for name, body in wrong.items())) == sorted(
            wrong
        )
    assert len(cloud.items(table)) == 3


def test_poison_item_becomes_reject_and_others_are_written(cloud: Cloud, table: str) -> None:
    bucket = cloud.bucket()
    rows = users(1, 60)
    rows[33] = [34, 'x"' * 210_000, "poison@x.org", "N/A"]
    message = packed(rows, bucket=bucket, number=5)
    assert work(sqs_record("poison", message), sqs_record("fine", packed(users(101, 110)))) == []
    assert len(cloud.items(table)) == 69
    ingestion = ObjectVersion(**message["object"]).ingestion
    (key,) = cloud.keys(bucket)
    name = r"message-000000000000000-000005-[0-9a-f]{8}-000000000034-000000000034\.csv"
    assert re.fullmatch(f"rejects/uploads/users\\.csv/{ingestion}/{name}", key)
    ((row, offset, reason, record),) = rejects_in(cloud, bucket)[key]
    assert (row, offset) == ("34", "")
    assert "ValidationException" in reason
    assert next(csv.reader([record])) == rows[33][1:]
    # Delivered again it becomes the same reject again.
    before = cloud.body(bucket, key)
    assert work(sqs_record("poison", message)) == []
    assert (cloud.keys(bucket), cloud.body(bucket, key)) == ([key], before)


def test_plain_message_refused_by_schema_becomes_reject(cloud: Cloud, table: str, env: pytest.MonkeyPatch) -> None:
    bucket = cloud.bucket()
    env.setenv("REJECTS_BUCKET", bucket)
    nameless = sqs_record("nameless", {"mail": "a@x.org", "rowNumber": 4})
    empty = sqs_record("empty", {"name": "", "mail": "a@x.org"})
    assert work(nameless, empty, sqs_record("fine", PLAIN)) == []
    (first,), (second,) = rejects_in(cloud, bucket).values()
    assert first == ["0", "", "name is required, but empty", empty["body"]]
    assert (second[:2], second[3]) == (["4", ""], nameless["body"])
    assert second[2].startswith("the plain message lacks the required column name")
    assert [re.sub("-[0-9a-f]{8}-", "-*-", key) for key in cloud.keys(bucket)] == [
        "rejects/plain/message-empty-*-000000000000-000000000000.csv",
        "rejects/plain/message-nameless-*-000000000004-000000000004.csv",
    ]
    assert len(cloud.items(table)) == 1


def test_message_is_returned_without_a_bucket_for_rejects(cloud: Cloud, table: str, env: pytest.MonkeyPatch) -> None:
    assert work(sqs_record("homeless", {"mail": "a@x.org"}), sqs_record("fine", PLAIN)) == ["homeless"]
    rows = [*users(1, 3), [4, "x" * 410_000, "poison@x.org", "N/A"]]
    message = sqs_record("poison", packed(rows, bucket="no-such-bucket"))
    assert work(message, sqs_record("fine", PLAIN)) == ["poison"]
    assert len(cloud.items(table)) == 4


@pytest.mark.parametrize(("days", "expires"), [("", None), ("30", MODIFIED + 30 * 86_400)])
def test_items_have_the_expiry_that_is_set(
    cloud: Cloud, table: str, env: pytest.MonkeyPatch, days: str, expires: int | None
) -> None:
    env.setenv("RECORD_TTL_DAYS", days)
    assert work(sqs_record("a", packed(users(1, 1)))) == []
    (item,) = cloud.items(table)
    assert item.get("expirationTime") == (None if expires is None else {"N": str(expires)})


def test_schema_can_be_set(cloud: Cloud, env: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    env.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    env.setenv("TABLE_NAME", table := cloud.table({"sku": "S"}))
    env.setenv("QUEUE_URL", queue_url := cloud.queue())
    env.setenv("SCHEMA", str(pytestconfig.rootpath / "tests" / "schemas" / "products.toml"))
    bucket = cloud.bucket()
    cloud.put(
        bucket, "uploads/p.csv", b"price,ARTICLE,stock,active,Colour\n01.50,A-1,,no,red\n1e3,B-2,7,,\n2,A-1,1,y,x\n"
    )
    producer.handler(event_of(s3_record(bucket, "uploads/p.csv")), Context())
    messages = cloud.receive_all(queue_url)
    assert work(*map(as_delivered, messages), sqs_record("plain", {"sku": "C-3", "price": 0.5, "active": False})) == []
    found = {item["sku"]["S"]: item for item in cloud.items(table)}
    assert set(found) == {"A-1", "B-2", "C-3"}
    # Without a sort key the latest row of a key is the one that stays.
    assert (found["A-1"]["price"], found["A-1"]["row"], found["A-1"]["isActive"]) == (
        {"N": "2"},
        {"N": "3"},
        {"BOOL": True},
    )
    assert (found["B-2"]["price"], found["B-2"]["stock"]) == ({"N": "1000"}, {"N": "7"})
    assert found["B-2"]["origin"] == {"S": f"s3://{bucket}/uploads/p.csv"}
    assert (found["C-3"]["price"], found["C-3"]["isActive"]) == ({"N": "0.5"}, {"BOOL": False})


def test_every_row_of_a_file_is_written_once(cloud: Cloud, table: str, env: pytest.MonkeyPatch) -> None:
    env.setenv("QUEUE_URL", queue_url := cloud.queue())
    env.setenv("RECORDS_PER_MESSAGE", "40")
    bucket = cloud.bucket()
    rows = "".join(f'"User\n{row}",USER{row % 100}@x.org,{row}\r\n' for row in range(1, 301))
    cloud.put(bucket, "uploads/u.csv", f"name,mail,phone\r\n{rows}".encode())
    for _ in range(2):
        producer.handler(event_of(s3_record(bucket, "uploads/u.csv")), Context())
    messages = cloud.receive_all(queue_url)
    assert len(messages) == 16
    assert work(*map(as_delivered, messages)) == []
    found = cloud.items(table)
    assert len(found) == 300
    assert {item["name"]["S"] for item in found} == {f"User\n{row}" for row in range(1, 301)}


def test_missing_table_raises_and_acknowledges_nothing(cloud: Cloud, table: str, env: pytest.MonkeyPatch) -> None:
    env.setenv("TABLE_NAME", "no-such-table")
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        work(sqs_record("a", packed(users(1, 60))), sqs_record("b", "{"))


def test_table_with_other_key_raises_and_rejects_nothing(cloud: Cloud, table: str, env: pytest.MonkeyPatch) -> None:
    bucket = cloud.bucket()
    env.setenv("TABLE_NAME", cloud.table({"sku": "S"}))
    with pytest.raises(ConfigError, match="TABLE_NAME: the key of the table"):
        work(sqs_record("a", packed(users(1, 60), bucket=bucket)))
    assert cloud.keys(bucket) == []


def test_wrong_setting_is_named(cloud: Cloud, table: str, env: pytest.MonkeyPatch) -> None:
    env.setenv("RECORD_TTL_DAYS", "soon")
    with pytest.raises(ConfigError, match="RECORD_TTL_DAYS must be a whole number"):
        work(sqs_record("a", packed(users(1, 1))))


def test_log_has_counts_and_no_row_content(cloud: Cloud, table: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="millpond")
    bucket = cloud.bucket()
    rows = [*users(1, 3), [4, "x" * 410_000, "poison@x.org", "N/A"]]
    work(
        sqs_record("a", packed(rows, bucket=bucket)), sqs_record("b", "{Name 77"), sqs_record("c", {"mail": "d@x.org"})
    )
    lines = [record.getMessage() for record in caplog.records if record.name == "millpond"]
    last = json.loads(lines[-1])
    assert (last["messages"], last["written"], last["rejected"], last["returned"]) == (3, 3, 2, 2)
    for secret in ("Name", "example.com", "x.org", "xxx"):
        assert secret not in "".join(lines)


def test_each_batch_is_counted_in_metrics(cloud: Cloud, table: str, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = cloud.bucket()
    rows = [*users(1, 3), [4, "x" * 410_000, "poison@x.org", "N/A"]]
    work(sqs_record("a", packed(rows, bucket=bucket)), sqs_record("b", "{"))
    assert metrics_in(capsys.readouterr().out) == [
        {"RowsWritten": 3, "RowsRejected": 1, "MessagesReturned": 1, "MessagesHandedOn": 0}
    ]
