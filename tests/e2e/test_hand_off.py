"""The span queue of the deployed stack: its messages invoke the producer, which goes on where they say."""

from __future__ import annotations

import uuid

import pytest

from engine.identity import ObjectRef
from engine.reading.block import Position
from engine.spans import Rest, ResumePoint, span_body
from tests.e2e.conftest import LocalStack
from tests.e2e.table import eventually, scan

pytestmark = pytest.mark.usefixtures("no_notification")


async def test_message_of_the_span_queue_is_taken_up_at_its_place(local_stack: LocalStack) -> None:
    bucket, key = local_stack.outputs.bucket, f"uploads/{uuid.uuid4().hex}.csv"
    lines = [b"name,mail\n", *(b"N,n%d@span.test\n" % row for row in range(1, 5))]
    async with (
        local_stack.client("s3") as s3,
        local_stack.client("sqs") as sqs,
        local_stack.client("dynamodb") as dynamodb,
    ):
        reply = await s3.put_object(Bucket=bucket, Key=key, Body=b"".join(lines))
        modified = (await s3.head_object(Bucket=bucket, Key=key))["LastModified"]
        # The first row of the place was sent already.
        point = ResumePoint(Position(len(lines[0] + lines[1]), 2), row=3, message=1)
        ref = ObjectRef(bucket, key, reply.get("VersionId"), reply["ETag"].strip('"'))
        url = local_stack.outputs.queue_url + "-spans"
        body = span_body(ref, Rest(point, int(modified.timestamp()))).decode()
        await sqs.send_message(QueueUrl=url, MessageBody=body)

        async def there() -> bool:
            items = await scan(dynamodb, local_stack.outputs.table, "span.test")
            return sorted(email for email, _ in items) == ["n3@span.test", "n4@span.test"]

        async def done() -> bool:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            counts = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names))["Attributes"]
            return not sum(map(int, counts.values()))

        await eventually(there, "the rows from the place on")
        await eventually(done, "the end of the message")
