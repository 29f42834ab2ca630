"""The producer function over a real bucket and queue: what each event makes of itself."""

import json
import logging
from typing import Any

import pytest

from engine.errors import ConfigError, ServiceError, UnknownEvent
from engine.events import NO_DATA_FILE
from engine.handlers import producer
from tests.builders.invocations import Context, Json, event_of, metrics_in, s3_record
from tests.contract.clouds import Cloud

HEADER = "name,mail,phone\n"
CSV = HEADER + "John Doe, John@Gmail.com ,9876543210\nAlice Smith,alice@gmail.com,\n"
ROWS = [[1, "John Doe", "john@gmail.com", "9876543210"], [2, "Alice Smith", "alice@gmail.com", "N/A"]]


@pytest.fixture
def queue_url(moto: Cloud, env: pytest.MonkeyPatch) -> str:
    url = moto.queue()
    env.setenv("AWS_ENDPOINT_URL", moto.endpoint)
    env.setenv("QUEUE_URL", url)
    return url


def produce(event: Any) -> Json:
    return producer.handler(event, Context())


def documents(cloud: Cloud, queue_url: str) -> list[Json]:
    """The messages in the queue, by object and number."""
    found = [json.loads(message["Body"]) for message in cloud.receive_all(queue_url)]
    return sorted(found, key=lambda document: (document["object"]["key"], document["message"]))


def statuses(answer: Json) -> dict[str, str]:
    return {each["key"]: each["status"] for each in answer["objects"]}


def test_upload_becomes_messages(moto: Cloud, queue_url: str) -> None:
    bucket = moto.bucket()
    etag = moto.put(bucket, "uploads/users.csv", CSV.encode())["ETag"].strip('"')
    modified = int(moto.s3.head_object(Bucket=bucket, Key="uploads/users.csv")["LastModified"].timestamp())
    answer = produce(event_of(s3_record(bucket, "uploads/users.csv", etag=etag)))
    counts = {"totalRows": 2, "validRows": 2, "rejectedRows": 0, "messagesSent": 1}
    assert answer["statusCode"] == 200
    assert {name: answer[name] for name in counts} == counts
    assert answer["seconds"] > 0
    (only,) = answer["objects"]
    assert {name: only[name] for name in counts} == counts
    assert (only["status"], only["reason"], len(only["ingestion"])) == ("complete", "", 20)
    (message,) = moto.receive_all(queue_url)
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes == {"ingestion": only["ingestion"], "records": "2"}
    assert message["Attributes"]["MessageGroupId"] == only["ingestion"]
    document = json.loads(message["Body"])
    about = {"bucket": bucket, "key": "uploads/users.csv", "version": None, "etag": etag, "modified": modified}
    assert list(document) == ["v", "object", "span", "message", "processedAt", "columns", "rows"]
    assert document["object"] == about
    assert (document["columns"], document["rows"]) == (["name", "email", "phone"], ROWS)


def test_every_record_of_an_event_is_ingested(moto: Cloud, queue_url: str) -> None:
    bucket = moto.bucket()
    keys = ["uploads/a b.csv", "uploads/a+b.csv", "uploads/a%20b.csv", "uploads/größe €.csv", "uploads/UPPER.CSV"]
    for key in keys:
        moto.put(bucket, key, CSV.encode())
    answer = produce(event_of(*(s3_record(bucket, key) for key in keys)))
    assert statuses(answer) == dict.fromkeys(keys, "complete")
    assert answer["totalRows"] == 10
    found = documents(moto, queue_url)
    assert [document["object"]["key"] for document in found] == sorted(keys)
    assert all(document["rows"] == ROWS for document in found)


def test_eventbridge_event_is_one_object(moto: Cloud, queue_url: str) -> None:
    bucket = moto.bucket()
    etag = moto.put(bucket, "uploads/a+b c.csv", CSV.encode())["ETag"].strip('"')
    about = {"key": "uploads/a+b c.csv", "etag": etag, "size": len(CSV)}  # not encoded
    event = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": bucket}, "object": about},
    }
    assert statuses(produce(event)) == {"uploads/a+b c.csv": "complete"}
    assert produce({**event, "detail-type": "Object Deleted"})["objects"][0]["status"] == "skipped"
    assert len(documents(moto, queue_url)) == 1


def test_event_that_is_no_upload_is_skipped(moto: Cloud, queue_url: str) -> None:
    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b", "RequestId": "r"}
    assert (produce(test_event)["statusCode"], produce(test_event)["objects"]) == (200, [])
    skipped = [
        s3_record("b", "uploads/"),
        s3_record("b", "rejects/uploads/users.csv/0123/span-000-001-002.csv"),
        s3_record("b", "uploads/users.csv", name="ObjectRemoved:Delete"),
        s3_record("b", "uploads/users.csv", name="ObjectRestore:Completed"),
    ]
    answer = produce(event_of(*skipped))
    assert answer["statusCode"] == 200
    assert [each["status"] for each in answer["objects"]] == ["skipped"] * 4
    assert [each["reason"] for each in answer["objects"]][:2] == ["a folder marker", "a file of rejects"]
    for key in ("uploads/users.xlsx", "uploads/users.csv.xz", "uploads/csv"):
        answer = produce(event_of(s3_record("b", key)))
        assert (answer["statusCode"], answer["body"]) == (400, NO_DATA_FILE)
        assert answer["objects"][0]["status"] == "skipped"


@pytest.mark.parametrize("event", [{}, [], None, {"Records": [{"body": "x"}]}, {"source": "aws.ec2"}], ids=repr)
def test_unknown_event_is_an_error(queue_url: str, event: Any) -> None:
    with pytest.raises(UnknownEvent):
        produce(event)


def test_bad_file_fails_and_sends_nothing(moto: Cloud, queue_url: str) -> None:
    bucket = moto.bucket()
    files = {
        "empty.csv": (b"", "the file is empty"),
        "headless.csv": (b"John,john@gmail.com\n" * 100, "the header lacks the required columns name, mail"),
        "nomail.csv": (b"name,phone\nJohn,1\n", "the header lacks the required column mail"),
        "twice.csv": (b"name,mail,email\nJohn,a@x.org,b@x.org\n", "the header has the column mail twice"),
        "utf32.csv": (CSV.encode("utf-32"), "UTF-32 text; save it as UTF-8"),
        "zip.csv": (b"PK\x03\x04" + b"\0" * 100, "a zip archive or a spreadsheet"),
    }
    for key, (body, reason) in files.items():
        moto.put(bucket, key, body)
        answer = produce(event_of(s3_record(bucket, key)))
        assert (key, answer["statusCode"], statuses(answer)) == (key, 422, {key: "failed"})
        assert reason in answer["objects"][0]["reason"]
        assert answer["body"] == answer["objects"][0]["reason"]
        assert (answer["totalRows"], answer["messagesSent"]) == (0, 0)
    assert documents(moto, queue_url) == []
    assert moto.keys(bucket) == sorted(files)


def test_file_with_header_only_is_complete(moto: Cloud, queue_url: str) -> None:
    bucket = moto.bucket()
    moto.put(bucket, "k.csv", b"\xef\xbb\xbf Phone,NAME , eMail")
    answer = produce(event_of(s3_record(bucket, "k.csv")))
    assert (statuses(answer), answer["totalRows"], answer["messagesSent"]) == ({"k.csv": "complete"}, 0, 0)


def test_bad_object_does_not_affect_others(moto: Cloud, queue_url: str) -> None:
    bucket = moto.bucket()
    old = moto.put(bucket, "replaced.csv", CSV.encode())["ETag"]
    for key, body in {
        "a.csv": CSV,
        "bad.csv": "no,header\n",
        "replaced.csv": CSV + "x,y@z.org,1\n",
        "z.csv": CSV,
    }.items():
        moto.put(bucket, key, body.encode())
    records = [
        s3_record(bucket, "a.csv"),
        s3_record(bucket, "bad.csv"),
        s3_record(bucket, "gone.csv"),
        s3_record(bucket, "replaced.csv", etag=old.strip('"')),
        s3_record(bucket, "notes.pdf"),
        s3_record(bucket, "z.csv"),
    ]
    answer = produce(event_of(*records))
    assert answer["statusCode"] == 200
    assert statuses(answer) == {
        "a.csv": "complete",
        "bad.csv": "failed",
        "gone.csv": "gone",
        "replaced.csv": "superseded",
        "notes.pdf": "skipped",
        "z.csv": "complete",
    }
    assert [document["object"]["key"] for document in documents(moto, queue_url)] == ["a.csv", "z.csv"]
    # A fault that may pass has the event tried again, but only after the others are done.
    with pytest.raises(ServiceError, match="NoSuchBucket"):
        produce(event_of(s3_record("no-such-bucket", "k.csv"), *records))
    assert [document["object"]["key"] for document in documents(moto, queue_url)] == ["a.csv", "z.csv"]


def test_version_named_in_event_is_read(moto: Cloud, queue_url: str) -> None:
    bucket = moto.bucket(versioned=True)
    first = moto.put(bucket, "k.csv", CSV.encode())
    moto.put(bucket, "k.csv", (HEADER + "New,new@x.org,1\n").encode())
    record = s3_record(bucket, "k.csv", etag=first["ETag"].strip('"'), version=first["VersionId"])
    assert statuses(produce(event_of(record))) == {"k.csv": "complete"}
    (document,) = documents(moto, queue_url)
    assert (document["object"]["version"], document["rows"]) == (first["VersionId"], ROWS)


BAD = (
    'name,mail,phone\r\nJohn,john@x.org,1\r\n,noname@x.org,2\r\n"A ""B""\nC",ab@x.org\r\n'
    'Jane,jane@x.org,3\r\n\r\nM,mü@x.org,"4"x\r\nLast,,5'
).encode() + b"\xff"
REJECTS = (
    "row,offset,reason,record\r\n"
    '2,36,"name is required, but empty",",noname@x.org,2"\r\n'
    '3,53,"the row has 2 fields, the header has 3","""A """"B""""\nC"",ab@x.org"\r\n'
    '5,96,the quotes are wrong: text follows a closing quote,"M,mü@x.org,""4""x"\r\n'
    '6,114,the row is not UTF-8 text: set encoding in [format] if the file has another one,"Last,,5\\xff"\r\n'
)


@pytest.mark.parametrize("own_bucket", [True, False])
def test_rejects_are_stored_under_the_prefix(
    moto: Cloud, queue_url: str, env: pytest.MonkeyPatch, own_bucket: bool
) -> None:
    bucket = elsewhere = moto.bucket()
    prefix = "rejects/"
    if not own_bucket:
        elsewhere, prefix = moto.bucket(), "bad rows/"
        env.setenv("REJECTS_BUCKET", elsewhere)
        env.setenv("REJECTS_PREFIX", "bad rows")
    moto.put(bucket, "uploads/a b.csv", BAD)
    answer = produce(event_of(s3_record(bucket, "uploads/a b.csv")))
    (only,) = answer["objects"]
    assert (only["totalRows"], only["validRows"], only["rejectedRows"]) == (6, 2, 4)
    assert sum(only["rejectReasons"].values()) == 4
    key = f"{prefix}uploads/a b.csv/{only['ingestion']}/span-000000000000000-000000000002-000000000006.csv"
    assert key in moto.keys(elsewhere)
    assert moto.body(elsewhere, key).decode() == REJECTS
    assert moto.s3.head_object(Bucket=elsewhere, Key=key)["ContentType"] == "text/csv; charset=utf-8"
    (document,) = documents(moto, queue_url)
    assert [row[0] for row in document["rows"]] == [1, 4]
    # The same again, and the rejects themselves are never taken for an upload.
    produce(event_of(s3_record(bucket, "uploads/a b.csv")))
    assert [each for each in moto.keys(elsewhere) if each.startswith(prefix)] == [key]
    assert moto.body(elsewhere, key).decode() == REJECTS
    assert produce(event_of(s3_record(elsewhere, key)))["objects"][0]["status"] == "skipped"


@pytest.mark.parametrize("per_message", ["1", "7", "500"])
def test_retry_sends_the_same_messages(moto: Cloud, queue_url: str, env: pytest.MonkeyPatch, per_message: str) -> None:
    env.setenv("RECORDS_PER_MESSAGE", per_message)
    bucket = moto.bucket()
    rows = "".join(f"User {row},user{row % 20}@x.org,{row}\n" for row in range(30))
    moto.put(bucket, "k.csv", (HEADER + rows).encode())

    def messages() -> list[tuple[str, str]]:
        produce(event_of(s3_record(bucket, "k.csv")))
        found = []
        for message in moto.receive_all(queue_url):
            document = json.loads(message["Body"])
            assert document.pop("processedAt").endswith("Z")
            attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
            found.append((json.dumps(document), json.dumps(attributes, sort_keys=True)))
        return sorted(found)

    first = messages()
    assert len(first) == {"1": 30, "7": 5, "500": 1}[per_message]
    assert messages() == first


def test_plain_messages_have_the_documented_format(moto: Cloud, queue_url: str, env: pytest.MonkeyPatch) -> None:
    env.setenv("RECORDS_PER_MESSAGE", "1")
    bucket = moto.bucket()
    moto.put(bucket, "k.csv", CSV.encode())
    assert produce(event_of(s3_record(bucket, "k.csv")))["messagesSent"] == 2
    first, _ = sorted(moto.receive_all(queue_url), key=lambda message: json.loads(message["Body"])["rowNumber"])
    document = json.loads(first["Body"])
    assert document.pop("processedAt")
    assert document == {"name": "John Doe", "mail": "john@gmail.com", "phone": "9876543210", "rowNumber": 1}
    assert first["MessageAttributes"]["email"]["StringValue"] == "john@gmail.com"


def test_messages_stay_within_limits(moto: Cloud, queue_url: str, env: pytest.MonkeyPatch) -> None:
    env.setenv("MAX_MESSAGE_BYTES", "4096")
    bucket = moto.bucket()
    rows = [f"{'x' * (10 * row)},user{row}@x.org,1\n" for row in range(100)] + [f"{'y' * 4_096},big@x.org,1\n"]
    moto.put(bucket, "k.csv", (HEADER + "".join(rows)).encode())
    answer = produce(event_of(s3_record(bucket, "k.csv")))
    assert (answer["validRows"], answer["rejectedRows"]) == (99, 2)  # the first has no name
    messages = moto.receive_all(queue_url)
    assert all(len(message["Body"].encode()) <= 4_096 for message in messages)
    assert sum(len(json.loads(message["Body"])["rows"]) for message in messages) == 99


def test_schema_can_be_set(moto: Cloud, queue_url: str, env: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    env.setenv("SCHEMA", str(pytestconfig.rootpath / "tests" / "schemas" / "products.toml"))
    bucket = moto.bucket()
    moto.put(bucket, "k.csv", b"price,ARTICLE,Colour\n01.50,A-1,red\nfree,A-2,blue\n")
    answer = produce(event_of(s3_record(bucket, "k.csv")))
    assert (answer["validRows"], answer["rejectedRows"]) == (1, 1)
    (document,) = documents(moto, queue_url)
    row = dict(zip(["row", *document["columns"]], document["rows"][0], strict=True))
    assert (row["row"], row["sku"], row["price"], row["isActive"], row["Colour"]) == (1, "A-1", "1.5", True, "red")


def test_missing_setting_is_named_and_read_again_once_fixed(
    moto: Cloud, queue_url: str, env: pytest.MonkeyPatch
) -> None:
    bucket = moto.bucket()
    moto.put(bucket, "k.csv", CSV.encode())
    env.delenv("QUEUE_URL")
    with pytest.raises(ConfigError, match=r"^QUEUE_URL is not set"):
        produce(event_of(s3_record(bucket, "k.csv")))
    env.setenv("QUEUE_URL", queue_url)
    env.setenv("RECORDS_PER_MESSAGE", "many")
    with pytest.raises(ConfigError, match="RECORDS_PER_MESSAGE must be a whole number"):
        produce(event_of(s3_record(bucket, "k.csv")))
    env.delenv("RECORDS_PER_MESSAGE")
    assert produce(event_of(s3_record(bucket, "k.csv")))["statusCode"] == 200


def test_log_has_counts_and_no_row_content(moto: Cloud, queue_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="millpond")
    bucket = moto.bucket()
    moto.put(bucket, "k.csv", BAD)
    produce(event_of(s3_record(bucket, "k.csv")))
    lines = [record.getMessage() for record in caplog.records if record.name == "millpond"]
    assert json.loads(lines[-1])["totalRows"] == 6
    for secret in ("john", "John", "x.org", "noname"):
        assert secret not in "".join(lines)


def test_each_event_is_counted_in_metrics(
    moto: Cloud, queue_url: str, capsys: pytest.CaptureFixture[str], env: pytest.MonkeyPatch
) -> None:
    env.setenv("AWS_LAMBDA_FUNCTION_NAME", "stack-producer")
    bucket = moto.bucket()
    bodies = {"a.csv": CSV + ",no@name.org,\n", "bad.csv": "no,header\n1,2\n", "c.csv.xz": "x", "folder/": ""}
    for key, body in bodies.items():
        moto.put(bucket, key, body.encode())
    produce(event_of(*(s3_record(bucket, key) for key in [*bodies, "gone.csv"])))
    printed = capsys.readouterr().out
    assert metrics_in(printed) == [
        {"ObjectsCompleted": 1, "ObjectsFailed": 1, "ObjectsSkipped": 1, "RowsRead": 3, "RowsRejected": 1}
    ]
    assert '"FunctionName":"stack-producer"' in printed
