"""The producer behind a queue of events, wired as docs/deploy.md says: only the message that failed comes again."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator

import pytest

from tests.builders.invocations import event_of, s3_record
from tests.builders.wrappings import sns_envelope
from tests.e2e.conftest import VISIBILITY_SECONDS, LocalStack
from tests.e2e.table import eventually, scan

pytestmark = pytest.mark.usefixtures("no_notification")


@pytest.fixture
async def event_queue(local_stack: LocalStack) -> AsyncIterator[tuple[str, str]]:
    """The URLs of a queue that invokes the producer, and of its dead-letter queue."""
    names = {name: f"{name}-{uuid.uuid4().hex[:8]}" for name in ("events", "dead")}
    attributes: dict[str, str] = {}
    async with (
        local_stack.client("sqs") as sqs,
        local_stack.client("lambda") as lambda_,
        local_stack.client("iam") as iam,
    ):
        urls, arns = {}, {}
        for name in ("dead", "events"):
            urls[name] = (await sqs.create_queue(QueueName=names[name], Attributes=attributes))["QueueUrl"]
            reply = await sqs.get_queue_attributes(QueueUrl=urls[name], AttributeNames=["QueueArn"])
            arns[name] = reply["Attributes"]["QueueArn"]
            redrive = json.dumps({"deadLetterTargetArn": arns["dead"], "maxReceiveCount": 2})
            attributes = {"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": redrive}
        producer = local_stack.outputs.producer
        role = (await lambda_.get_function_configuration(FunctionName=producer))["Role"].rpartition("/")[2]
        actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        statement = {"Effect": "Allow", "Action": actions, "Resource": arns["events"]}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        await iam.put_role_policy(RoleName=role, PolicyName="events", PolicyDocument=policy)
        mapping = await lambda_.create_event_source_mapping(
            FunctionName=producer,
            EventSourceArn=arns["events"],
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
        yield urls["events"], urls["dead"]
        await lambda_.delete_event_source_mapping(UUID=mapping["UUID"])
        await iam.delete_role_policy(RoleName=role, PolicyName="events")
        for url in urls.values():
            await sqs.delete_queue(QueueUrl=url)


async def test_files_are_read_and_the_failed_message_alone_ends_in_the_dead_letter_queue(
    local_stack: LocalStack, event_queue: tuple[str, str]
) -> None:
    events, dead = event_queue
    bucket = local_stack.outputs.bucket
    keys = [f"uploads/{uuid.uuid4().hex}.csv" for _ in range(2)]
    async with local_stack.client("s3") as s3:
        for number, key in enumerate(keys):
            await s3.put_object(Bucket=bucket, Key=key, Body=b"name,mail\nA,a%d@queue.test\n" % number)
    denied = event_of(s3_record("bucket-of-somebody-else", "uploads/a.csv"))
    bodies = [event_of(s3_record(bucket, keys[0])), denied, sns_envelope(event_of(s3_record(bucket, keys[1])))]
    async with local_stack.client("sqs") as sqs, local_stack.client("dynamodb") as dynamodb:
        entries = [{"Id": str(i), "MessageBody": json.dumps(body)} for i, body in enumerate(bodies)]
        await sqs.send_message_batch(QueueUrl=events, Entries=entries)

        async def both_there() -> bool:
            return len(await scan(dynamodb, local_stack.outputs.table, "queue.test")) >= 2

        async def depth(url: str) -> int:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            reply = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
            return sum(map(int, reply["Attributes"].values()))

        async def one_dead() -> bool:
            return await depth(dead) == 1 and await depth(events) == 0

        await eventually(both_there, "the rows of both files")
        await eventually(one_dead, "the message of the file that cannot be read")
        (message,) = (await sqs.receive_message(QueueUrl=dead))["Messages"]
    assert json.loads(message["Body"]) == denied
