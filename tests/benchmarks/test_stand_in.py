"""The stand-in counts exactly, and refuses what AWS would."""

import hashlib
import json
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from benchmarks import data
from tests.benchmarks.conftest import Stand
from tests.fakeaws.fast.http import chunked_length


def test_counts_items_calls_and_keys(stand: Stand) -> None:
    stand.put("a", "b", "c")
    stand.put("c", "d")
    counts = stand.counts()
    assert counts["rows_written"] == 5
    assert counts["keys"] == 4
    assert counts["calls"] == {"BatchWriteItem": 2}
    assert counts["signatures"] == 2
    assert counts["violations"] == 0


def test_counts_exactly_without_parsing_items(stand: Stand) -> None:
    stand.control("/_config", {"sample": 0})
    # The name of what is counted, as data: its quotes are escaped on the wire.
    stand.put('"PutRequest"', "b")
    assert stand.counts()["rows_written"] == 2


def test_reset_and_configuration(stand: Stand) -> None:
    stand.put("a")
    assert stand.control("/_reset", {})["rows_written"] == 0
    for wrong in ({"sampel": 1}, {"wcu": "many"}, {"keys": 1}, {"latency_median_ms": 10, "latency_p99_ms": 5}):
        with pytest.raises(Exception, match="400"):
            stand.control("/_config", wrong)


@pytest.mark.parametrize(("secret", "access"), [("wrong", "bench"), ("bench-secret", "somebody")])
def test_wrong_signature_is_refused(stand: Stand, secret: str, access: str) -> None:
    calls: list[tuple[str, str, dict[str, str]]] = [
        ("dynamodb", "query", {"TableName": data.TABLE}),
        ("sqs", "send_message", {"QueueUrl": f"{stand.url}/0/{data.QUEUE}", "MessageBody": "x"}),
        ("s3", "get_object", {"Bucket": "bench", "Key": data.key_of(10)}),
    ]
    for service, operation, arguments in calls:
        client = stand.client(service, secret, access)
        with pytest.raises(ClientError, match="Signature"):
            getattr(client, operation)(**arguments)
        client.close()
    counts = stand.counts()
    assert counts["violations"] == 3
    assert counts["signatures"] == 0


def test_batch_limits_and_duplicates_are_violations(stand: Stand) -> None:
    with pytest.raises(ClientError, match="Too many items"):
        stand.put(*map(str, range(26)))
    with pytest.raises(ClientError, match="duplicates"):
        stand.put("a", "a")
    with pytest.raises(ClientError, match="write capacity unit"):
        stand.put("a" * 1_100)
    counts = stand.counts()
    assert counts["violations"] == 3
    assert counts["rows_written"] == 0


def test_messages_are_counted_and_billed(stand: Stand) -> None:
    url = f"{stand.url}/0/{data.QUEUE}"
    records = {"DataType": "Number", "StringValue": "500"}
    bodies = [data.packed_body(i * 500 + 1, 500, i) for i in range(10)]
    entries = [
        {"Id": str(i), "MessageBody": body, "MessageAttributes": {"records": records}} for i, body in enumerate(bodies)
    ]
    reply = stand.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert len(reply["Successful"]) == 10
    body = data.plain_body(7)
    assert stand.sqs.send_message(QueueUrl=url, MessageBody=body)["MD5OfMessageBody"] == (
        hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    )
    counts = stand.counts()
    assert (counts["messages"], counts["records"]) == (11, 5_001)
    payload = sum(len(packed.encode()) + len("recordsNumber500") for packed in bodies)
    assert counts["message_bytes"] == payload + len(body.encode())
    assert counts["sqs_units"] == -(-payload // 65_536) + 1
    assert counts["violations"] == 0


def test_message_limits(stand: Stand) -> None:
    url = f"{stand.url}/0/{data.QUEUE}"
    many = [{"Id": str(i), "MessageBody": "{}"} for i in range(11)]
    with pytest.raises(ClientError, match="TooManyEntries"):
        stand.sqs.send_message_batch(QueueUrl=url, Entries=many)
    large = [{"Id": str(i), "MessageBody": json.dumps("x" * 600_000)} for i in range(2)]
    with pytest.raises(ClientError, match="TooLong"):
        stand.sqs.send_message_batch(QueueUrl=url, Entries=large)
    records = {"records": {"DataType": "Number", "StringValue": "501"}}
    wrong = [{"Id": "0", "MessageBody": data.packed_body(1, 500, 0), "MessageAttributes": records}]
    stand.sqs.send_message_batch(QueueUrl=url, Entries=wrong)
    assert stand.counts()["violations"] == 3


def test_kept_messages_are_received_once(stand: Stand) -> None:
    stand.control("/_config", {"keep_messages": True})
    url = f"{stand.url}/0/{data.QUEUE}"
    for number in range(12):
        stand.sqs.send_message(QueueUrl=url, MessageBody=data.plain_body(number))
    received = [stand.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []) for _ in range(3)]
    assert [len(messages) for messages in received] == [10, 2, 0]
    # A rival makes keys of it: repeated runs are to write the same.
    sent = {each["Attributes"]["SentTimestamp"] for messages in received for each in messages}
    assert sent == {f"{data.MODIFIED}000"}


def test_objects_consist_of_the_rows(stand: Stand) -> None:
    rows = data.BLOCK_ROWS + 3
    reply = stand.s3.get_object(Bucket="bench", Key=data.key_of(rows))
    content = reply["Body"].read()
    lines = content.decode().splitlines()
    assert len(content) == reply["ContentLength"] == data.object_bytes(rows)
    assert int(reply["LastModified"].timestamp()) == data.MODIFIED
    assert lines[0] == "name,mail,phone"
    assert [tuple(line.split(",")) for line in (lines[1], lines[rows])] == [data.row(1), data.row(rows)]
    assert {len(line.encode()) for line in lines[1:]} == {99}
    tail = stand.s3.get_object(Bucket="bench", Key=data.key_of(rows), Range="bytes=1000000-", IfMatch=reply["ETag"])
    assert tail["Body"].read() == content[1_000_000:]
    middle = stand.s3.get_object(Bucket="bench", Key=data.key_of(rows), Range="bytes=5-1000019")
    assert middle["Body"].read() == content[5:1_000_020]
    assert middle["ContentRange"] == f"bytes 5-1000019/{len(content)}"
    assert stand.counts()["signatures"] == 3


def test_missing_and_other_objects(stand: Stand) -> None:
    with pytest.raises(ClientError, match="NoSuchKey"):
        stand.s3.get_object(Bucket="bench", Key="uploads/users.csv")
    with pytest.raises(ClientError, match=r"412|Precondition"):
        stand.s3.get_object(Bucket="bench", Key=data.key_of(10), IfMatch='"other"')
    with pytest.raises(ClientError, match="InvalidRange"):
        stand.s3.get_object(Bucket="bench", Key=data.key_of(10), Range="bytes=5000-")


def test_rejects_are_accepted(stand: Stand) -> None:
    stand.s3.put_object(Bucket="bench", Key="rejects/a b/ü.csv", Body=b"x" * 100_000)
    assert stand.counts()["objects_put"] == 1


def test_capacity_throttles_in_both_forms(stand: Stand) -> None:
    # So little is added in the time of a test that only what was saved up is there.
    stand.control("/_config", {"sample": 0, "wcu": 0.01, "burst_seconds": 1_000, "exception_share": 0})
    assert stand.put("a", "b", "c", "d")["UnprocessedItems"] == {}
    left = stand.put(*"efghijkl")["UnprocessedItems"][data.TABLE]
    assert [put["PutRequest"]["Item"]["email"]["S"] for put in left] == ["k", "l"]
    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
        stand.put("m")
    counts = stand.counts()
    assert (counts["rows_written"], counts["rows_refused"], counts["partial"]) == (10, 3, 1)
    stand.control("/_config", {"sample": 0, "wcu": 0.01, "burst_seconds": 1_000, "exception_share": 1})
    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
        stand.put(*map(str, range(11)))
    assert stand.counts()["rows_written"] == 0
    assert len(stand.put(*map(str, range(10)))["UnprocessedItems"]) == 0


def test_writes_are_recorded_by_time_and_worker(stand: Stand) -> None:
    stand.control("/_config", {"timeline": True})
    other = stand.client("dynamodb", access="bench-2")
    stand.put("a", "b")
    put = {"PutRequest": {"Item": {"email": {"S": "c"}, "createdAt": {"N": "1"}}}}
    other.batch_write_item(RequestItems={data.TABLE: [put]})
    other.close()
    slots = stand.counts()["slots"]
    assert {key: sum(count for _, count in counted) for key, counted in slots.items()} == {"bench": 2, "bench-2": 1}


def test_errors_and_resets_write_nothing(stand: Stand) -> None:
    stand.control("/_config", {"error_share": 1.0})
    with pytest.raises(ClientError, match="InternalServerError"):
        stand.put("a")
    with pytest.raises(ClientError, match="InternalError"):
        stand.s3.get_object(Bucket="bench", Key=data.key_of(10))
    stand.control("/_config", {"reset_share": 1.0})
    with pytest.raises(ConnectionClosedError):
        stand.put("a")
    counts = stand.counts()
    assert counts["errors"] == {"reset": 1}
    assert counts["rows_written"] == 0


def test_delays_are_added(stand: Stand) -> None:
    stand.control("/_config", {"latency_median_ms": 5, "latency_p99_ms": 9})
    stand.put("a")
    assert stand.counts()["rows_written"] == 1


def test_length_of_chunked_body() -> None:
    body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:abc\r\n\r\n"
    assert chunked_length(b"head" + body + b"next", 4) == len(body)
    for cut in range(len(body)):
        assert chunked_length(b"head" + body[:cut], 4) > cut


@pytest.mark.parametrize("module", ["benchmarks.stand_in", "benchmarks.contenders.slow_table"])
def test_benchmarks_import_no_test_tools(module: str) -> None:
    """Their environment has none."""
    assert not {"pytest", "hypothesis", "moto"} & loaded_by(module)


def test_stand_in_imports_nothing_of_the_engine() -> None:
    """What is measured must not be what measures."""
    assert "engine" not in loaded_by("benchmarks.stand_in")


def loaded_by(module: str) -> set[str]:
    """The packages that importing a module loads."""
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    )


def test_ledger_is_kept_and_its_write_units_are_counted(stand: Stand) -> None:
    key = {"ingestion": {"S": "abc"}, "part": {"S": "entry"}}
    update = {
        "TableName": data.LEDGER_TABLE,
        "Key": key,
        "UpdateExpression": "SET #0 = :0",
        "ExpressionAttributeNames": {"#0": "read"},
        "ReturnValues": "ALL_NEW",
    }
    for size in (1, 2_000):
        reply = stand.dynamodb.update_item(**update, ExpressionAttributeValues={":0": {"S": "x" * size}})
    assert reply["Attributes"] == {**key, "read": {"S": "x" * 2_000}}
    with pytest.raises(ClientError, match="ConditionalCheckFailedException"):
        stand.dynamodb.update_item(
            **update,
            ConditionExpression="attribute_not_exists(#0)",
            ExpressionAttributeValues={":0": {"S": "y"}},
        )
    stand.dynamodb.delete_item(TableName=data.LEDGER_TABLE, Key=key)
    stand.client("events").put_events(Entries=[{"Source": "millpond", "DetailType": "x", "Detail": "{}"}])
    counts = stand.counts()
    assert (counts["update_units"], counts["violations"]) == (1 + 2 + 1, 0)
    assert counts["calls"] == {"UpdateItem": 3, "DeleteItem": 1, "PutEvents": 1}
