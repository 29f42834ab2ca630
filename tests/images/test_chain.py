"""From an object in S3 to the answer of the API, through the three containers, each under the role that it gets."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import Any

import pytest

from engine.deployment.schema_file import IMAGE_PATHS
from tests.builders.invocations import api_event, event_of, s3_record, sqs_record
from tests.e2e.conftest import LocalStack, local_stack
from tests.images.conftest import Function, Images, function

__all__ = ["local_stack"]  # a fixture of another folder

ROWS = 2_345
KEY, SMALL = "uploads/people.csv", "uploads/few.csv"

GIVE = """
import os
def handler(event, context):
    return dict(os.environ)
"""
HANDED_OVER = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
)  # fmt: skip


@pytest.fixture
async def stack(local_stack: LocalStack) -> LocalStack:
    """The deployed template; its own worker leaves the queue alone meanwhile."""
    async with local_stack.client("lambda") as lambda_:
        (source,) = (await lambda_.list_event_source_mappings(FunctionName=local_stack.outputs.worker))[
            "EventSourceMappings"
        ]
        await lambda_.update_event_source_mapping(UUID=source["UUID"], Enabled=False)
    return local_stack


async def environment(stack: LocalStack, kind: str) -> dict[str, str]:
    """What Lambda would hand to the function: its variables from the template, and its role's credentials."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("give.py", GIVE)
    name = f"give-{kind}"
    async with stack.client("lambda") as lambda_:
        real = await lambda_.get_function_configuration(FunctionName=getattr(stack.outputs, kind))
        await lambda_.create_function(
            FunctionName=name,
            Runtime=real["Runtime"],
            Role=real["Role"],
            Handler="give.handler",
            Code={"ZipFile": archive.getvalue()},
            Environment={"Variables": real["Environment"]["Variables"]},
        )
        reply = await lambda_.invoke(FunctionName=name)
        given: dict[str, str] = json.loads(await reply["Payload"].read())
        await lambda_.delete_function(FunctionName=name)
    kept = {name: given[name] for name in HANDED_OVER if name in given}
    own = {key: value for key, value in real["Environment"]["Variables"].items() if key != "PYTHONPATH"}
    # Locally the functions read the schema of the checkout, here the copy that their images were built with.
    own["SCHEMA"] = IMAGE_PATHS[False]
    return {**own, **kept, "AWS_ENDPOINT_URL": stack.endpoint_url, "AWS_LAMBDA_FUNCTION_TIMEOUT": str(real["Timeout"])}


def first(images: Images, what: str, running: Function, event: Any) -> Any:
    """The answer to a function's first event, with the time since its process was started."""
    began = time.perf_counter()
    answer = running.invoke(event)
    images.figures.append(f"{what}: {1000 * (time.perf_counter() - began):.0f} ms from process start to first answer")
    return answer


async def received(stack: LocalStack) -> list[dict[str, Any]]:
    """All messages of the queue, as the event source mapping hands them over."""
    records: list[dict[str, Any]] = []
    async with stack.client("sqs") as sqs:
        while True:
            reply = await sqs.receive_message(
                QueueUrl=stack.outputs.queue_url,
                MaxNumberOfMessages=10,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
                VisibilityTimeout=300,
            )
            if not reply.get("Messages"):
                return records
            for message in reply["Messages"]:
                attributes = {
                    name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
                    for name, value in message.get("MessageAttributes", {}).items()
                }
                records.append(
                    {
                        "messageId": message["MessageId"],
                        "body": message["Body"],
                        "attributes": message["Attributes"],
                        "messageAttributes": attributes,
                    }
                )


async def test_rows_pass_through_all_three_containers(images: Images, stack: LocalStack) -> None:
    out = stack.outputs
    rows = [f"Person {n},person{n}@images.test,555{n:06d}" for n in range(1, ROWS + 1)] + [",nobody@images.test,1"]
    async with stack.client("s3") as s3:
        # The stack's own producer is not to read what is uploaded here.
        await s3.put_bucket_notification_configuration(Bucket=out.bucket, NotificationConfiguration={})
        for key, lines in ((KEY, rows), (SMALL, rows[:25])):
            await s3.put_object(Bucket=out.bucket, Key=key, Body=("name,mail,phone\n" + "\n".join(lines)).encode())
    with function(images, "producer", await environment(stack, "producer")) as producer:
        answer = first(images, "producer", producer, event_of(s3_record(out.bucket, SMALL)))
        assert (answer["statusCode"], answer["validRows"]) == (200, 25), (answer, producer.log())
        assert len(await received(stack)) == 1
        answer = producer.invoke(event_of(s3_record(out.bucket, KEY)))
        assert answer["statusCode"] == 200, (answer, producer.log())
        assert (answer["validRows"], answer["rejectedRows"]) == (ROWS, 1)
    messages = await received(stack)
    assert len(messages) == answer["messagesSent"] == 5
    with function(images, "worker", await environment(stack, "worker")) as worker:
        one = sqs_record("one", {"name": "One", "mail": "one@images.test"})
        assert first(images, "worker", worker, event_of(one)) == {"batchItemFailures": []}, worker.log()
        for _ in range(2):  # the second time nothing changes
            assert worker.invoke(event_of(*messages)) == {"batchItemFailures": []}
        spoiled = event_of({**messages[0], "body": "{"}, messages[1])
        assert worker.invoke(spoiled) == {"batchItemFailures": [{"itemIdentifier": messages[0]["messageId"]}]}
    # A table that does not answer: the message goes back to the queue, and is acknowledged.
    nowhere = {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1", "AWS_LAMBDA_FUNCTION_TIMEOUT": "6"}
    with function(images, "worker", {**await environment(stack, "worker"), **nowhere}) as worker:
        assert worker.invoke(event_of(messages[0])) == {"batchItemFailures": []}, worker.log()
    (handed_on,) = await received(stack)
    assert handed_on["body"] == messages[0]["body"]
    assert handed_on["messageAttributes"]["handedOn"]["stringValue"] == "1"
    with function(images, "query", await environment(stack, "query")) as query:
        answer = first(images, "query", query, api_event("/users/person2345@images.test"))
        assert answer["statusCode"] == 200, (answer, query.log())
        counted = query.invoke(api_event(f"/ingestions/{messages[0]['messageAttributes']['ingestion']['stringValue']}"))
        assert counted["statusCode"] == 200, (counted, query.log())
        account = json.loads(counted["body"])
        assert (account["status"], account["read"], account["rejected"]) == ("done_with_rejects", ROWS + 1, 1)
        assert (account["written"], account["inFlight"]) == (ROWS, 0)
        found = json.loads(answer["body"])
        assert (found["name"], found["phone"], found["rowNumber"]) == ("Person 2345", "555002345", ROWS)
        assert query.invoke(api_event("/users/nobody@images.test"))["statusCode"] == 404
        listed = json.loads(query.invoke(api_event("/users", limit="1000"))["body"])
        assert listed["count"] == 1_000
    async with stack.client("s3") as s3:
        kept = await s3.list_objects_v2(Bucket=out.bucket, Prefix=out.rejects_prefix)
        assert kept["KeyCount"] == 1
