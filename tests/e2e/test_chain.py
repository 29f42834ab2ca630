"""Files go in by the bucket's own notification and come out by the API; what is delivered twice changes nothing."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from engine.config import PACKAGED_SCHEMA
from engine.convert import Converter
from engine.deployment.checkout import CHECKOUT
from engine.identity import ObjectVersion
from engine.messages.message import Outgoing
from engine.schema.parse import parse_schema
from tests.e2e.conftest import LocalStack
from tests.e2e.http import get
from tests.e2e.table import Items, as_bytes, eventually, scan, without

USERS = parse_schema(PACKAGED_SCHEMA.read_text(), "users.toml")
SECOND = 1_775_260_800


def people(domain: str, count: int) -> bytes:
    rows = [f"Person {n},p{n}@{domain},555{n:06d}" for n in range(1, count + 1)]
    return ("name,mail,phone\r\n" + "\r\n".join(rows)).encode()


def messages(domain: str, count: int) -> list[Outgoing]:
    """What the producer would send for a file of so many people, all with one time of packing."""
    source = ObjectVersion("some-bucket", f"uploads/{domain}.csv", None, "etag", SECOND)
    converter = Converter(source, USERS, records_per_message=40, max_message_bytes=61_440)
    packed_at = "2026-04-04T00:00:01.234Z"
    converted = [*converter.feed(people(domain, count), packed_at), *converter.finish(packed_at)]
    return [message for part in converted for message in part.messages]


async def upload(stack: LocalStack, name: str, body: bytes) -> str:
    key = f"uploads/{name}"
    async with stack.client("s3") as s3:
        await s3.put_object(Bucket=stack.outputs.bucket, Key=key, Body=body)
    return key


async def rows_of(stack: LocalStack, domain: str) -> Items:
    async with stack.client("dynamodb") as dynamodb:
        return await scan(dynamodb, stack.outputs.table, domain)


async def wait_for_rows(stack: LocalStack, domain: str, count: int) -> Items:
    async def all_there() -> bool:
        return len(await rows_of(stack, domain)) >= count

    await eventually(all_there, f"{count} rows of {domain}")
    items = await rows_of(stack, domain)
    assert len(items) == count
    return items


async def queue_is_empty(stack: LocalStack) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    async with stack.client("sqs") as sqs:
        reply = await sqs.get_queue_attributes(QueueUrl=stack.outputs.queue_url, AttributeNames=names)
    return not any(int(value) for value in reply["Attributes"].values())


async def send(stack: LocalStack, outgoing: list[Outgoing]) -> None:
    async with stack.client("sqs") as sqs:
        for message in outgoing:
            await sqs.send_message(
                QueueUrl=stack.outputs.queue_url,
                MessageBody=message.body.decode(),
                MessageAttributes=message.attributes,
            )


async def test_sample_file_is_loaded_and_queried(local_stack: LocalStack) -> None:
    sample = (CHECKOUT / "examples" / "users.csv").read_bytes()
    await upload(local_stack, "users.csv", sample)

    async def all_there() -> bool:
        # Other files' tests may have loaded the sample too.
        return len({email for email, _ in await rows_of(local_stack, "gmail.com")}) == 10

    await eventually(all_there, "the 10 users of the sample")
    status, _, john = await get(local_stack, "/users/JOHN%40gmail.com")
    assert status == 200
    assert (john["name"], john["phone"], john["rowNumber"]) == ("John Doe", "9876543210", 1)
    assert isinstance(john["createdAt"], int)


async def test_each_row_of_a_file_with_bad_rows_is_accounted_for(local_stack: LocalStack) -> None:
    good = people("mixed.test", 1_200)
    body = good + b"\r\n,no-name@mixed.test,1\r\ntoo short\r\nLatin \xe9,latin@mixed.test,\r\n\r\nLast,last@mixed.test,"
    key = await upload(local_stack, "odd name+50%.csv", body)
    items = await wait_for_rows(local_stack, "mixed.test", 1_201)
    assert {item["name"]["S"] for item in items.values() if item["email"]["S"] == "last@mixed.test"} == {"Last"}
    assert {item["phone"]["S"] for item in items.values() if item["email"]["S"] == "last@mixed.test"} == {"N/A"}

    rejects: list[dict[str, str]] = []

    async def recorded() -> bool:
        async with local_stack.client("s3") as s3:
            listed = await s3.list_objects_v2(Bucket=local_stack.outputs.bucket, Prefix=f"rejects/{key}/")
            for entry in listed.get("Contents", []):
                found = await s3.get_object(Bucket=local_stack.outputs.bucket, Key=entry["Key"])
                rejects.extend(csv.DictReader(io.StringIO((await found["Body"].read()).decode())))
        return bool(rejects)

    await eventually(recorded, "rejects")
    assert [(reject["row"], reject["record"]) for reject in rejects] == [
        ("1201", ",no-name@mixed.test,1"),
        ("1202", "too short"),
        ("1203", "Latin \\xe9,latin@mixed.test,"),
    ]
    for reject in rejects:
        assert body[int(reject["offset"]) :].startswith(reject["record"].partition("\\")[0].encode())


async def test_redelivered_batch_leaves_table_unchanged(local_stack: LocalStack) -> None:
    outgoing = messages("again.test", 300)
    await send(local_stack, outgoing)
    before = await wait_for_rows(local_stack, "again.test", 300)
    await send(local_stack, outgoing + outgoing[:3])

    async def worked_off() -> bool:
        return await queue_is_empty(local_stack)

    await eventually(worked_off, "an empty queue")
    after = await rows_of(local_stack, "again.test")
    assert len(after) == 300
    assert as_bytes(after) == as_bytes(before)


async def test_producer_run_twice_writes_the_same_items(local_stack: LocalStack) -> None:
    key = await upload(local_stack, "retried.csv", people("retried.test", 700))
    before = await wait_for_rows(local_stack, "retried.test", 700)
    async with local_stack.client("lambda") as lambda_, local_stack.client("s3") as s3:
        head = await s3.head_object(Bucket=local_stack.outputs.bucket, Key=key)
        s3_part = {
            "bucket": {"name": local_stack.outputs.bucket},
            "object": {"key": key, "eTag": head["ETag"].strip('"'), "versionId": head["VersionId"]},
        }
        event = {"Records": [{"eventName": "ObjectCreated:Put", "s3": s3_part}]}
        reply = await lambda_.invoke(FunctionName=local_stack.outputs.producer, Payload=json.dumps(event))
        result: dict[str, Any] = json.loads(await reply["Payload"].read())
    assert (result["totalRows"], result["validRows"], result["rejectedRows"]) == (700, 700, 0)

    async def worked_off() -> bool:
        return await queue_is_empty(local_stack)

    await eventually(worked_off, "an empty queue")
    after = await rows_of(local_stack, "retried.test")
    assert without(after, "processedAt") == without(before, "processedAt")
    assert after != before, "the second run packed at another time, so it must have written"


async def test_users_uploaded_twice_have_a_history(local_stack: LocalStack) -> None:
    await upload(local_stack, "first.csv", people("history.test", 3))
    first = await wait_for_rows(local_stack, "history.test", 3)
    # LastModified has whole seconds: only uploads of different ones are versions of their own.
    later = people("history.test", 3).replace(b"Person", b"Renamed")
    seconds = {key[1].partition(".")[0] for key in first}

    async def second_has_passed() -> bool:
        await upload(local_stack, "clock.csv", b"name,mail\n")
        async with local_stack.client("s3") as s3:
            head = await s3.head_object(Bucket=local_stack.outputs.bucket, Key="uploads/clock.csv")
        return str(int(head["LastModified"].timestamp())) not in seconds

    await eventually(second_has_passed, "the next second")
    await upload(local_stack, "second.csv", later)
    await wait_for_rows(local_stack, "history.test", 6)
    _, _, latest = await get(local_stack, "/users/p2@history.test")
    assert latest["name"] == "Renamed 2"
    _, _, history = await get(local_stack, "/users/p2@history.test/history")
    assert [item["name"] for item in history["items"]] == ["Renamed 2", "Person 2"]
    _, _, page = await get(local_stack, "/users/p2@history.test/history?limit=1")
    _, _, rest = await get(local_stack, f"/users/p2@history.test/history?limit=1&startKey={page['nextToken']}")
    assert [item["name"] for item in page["items"] + rest["items"]] == ["Renamed 2", "Person 2"]


async def test_plain_message_of_another_program_is_written(local_stack: LocalStack) -> None:
    async with local_stack.client("sqs") as sqs:
        body = json.dumps({"name": " Plain Jane ", "mail": "Jane@Plain.test"})
        await sqs.send_message(QueueUrl=local_stack.outputs.queue_url, MessageBody=body)
    await wait_for_rows(local_stack, "plain.test", 1)
    _, _, jane = await get(local_stack, "/users/jane@plain.test")
    assert (jane["name"], jane["phone"], jane["rowNumber"]) == ("Plain Jane", "N/A", 0)


async def test_unreadable_message_reaches_the_dead_letter_queue(local_stack: LocalStack) -> None:
    outgoing = messages("beside.test", 40)
    async with local_stack.client("sqs") as sqs:
        await sqs.send_message(QueueUrl=local_stack.outputs.queue_url, MessageBody="this is no JSON")
        await send(local_stack, outgoing)
        await wait_for_rows(local_stack, "beside.test", 40)
        found: list[str] = []

        async def arrived() -> bool:
            reply = await sqs.receive_message(QueueUrl=local_stack.outputs.dead_letter_queue_url)
            found.extend(message["Body"] for message in reply.get("Messages", []))
            return "this is no JSON" in found

        await eventually(arrived, "a dead letter", seconds=90)
    assert not any("beside.test" in body for body in found)


async def test_following_tokens_lists_every_user_once(local_stack: LocalStack) -> None:
    await send(local_stack, messages("listed.test", 120))
    await wait_for_rows(local_stack, "listed.test", 120)
    seen: list[str] = []
    token = None
    while True:
        status, _, page = await get(local_stack, "/users?limit=37" + (f"&startKey={token}" if token else ""))
        assert status == 200
        assert page["count"] == len(page["items"]) <= 37
        seen += [item["email"] for item in page["items"]]
        token = page["nextToken"]
        if token is None:
            break
    assert len(set(seen)) == len(seen)
    assert {f"p{n}@listed.test" for n in range(1, 121)} <= set(seen)
