"""Each role may do what its function needs, which the chain's own tests show, and nothing of what is listed here.

A function of the test's own runs under the role in question and tries: so it is the service that decides, by the very
policies of the template.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.conftest import LocalStack

PROBE = """
import botocore.session
from botocore.exceptions import ClientError

def handler(event, context):
    client = botocore.session.get_session().create_client(event["service"])
    try:
        getattr(client, event["operation"])(**event["arguments"])
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "allowed"
"""
DENIED = {"AccessDenied", "AccessDeniedException", "AccessDeniedExceptionException"}


def packed() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("probe.py", PROBE)
    return archive.getvalue()


@pytest.fixture(params=["producer", "worker", "query"])
async def probe(request: pytest.FixtureRequest, local_stack: LocalStack) -> AsyncIterator[tuple[str, str]]:
    """The kind of role, and the name of a function that tries things under it."""
    kind: str = request.param
    name = f"probe-{kind}"
    async with local_stack.client("lambda") as lambda_:
        function = getattr(local_stack.outputs, kind)
        real = await lambda_.get_function_configuration(FunctionName=function)
        await lambda_.create_function(
            FunctionName=name,
            Runtime=real["Runtime"],
            Role=real["Role"],
            Handler="probe.handler",
            Code={"ZipFile": packed()},
            Timeout=30,
        )
        yield kind, name
        await lambda_.delete_function(FunctionName=name)


def attempts(stack: LocalStack) -> dict[str, list[tuple[str, str, dict[str, Any], set[str]]]]:
    """What may be tried, and which roles are allowed to."""
    out = stack.outputs
    key = {"email": {"S": "probe@probe.test"}, "createdAt": {"N": "1"}}
    put = {out.table: [{"PutRequest": {"Item": key}}]}
    entries = [{"Id": "0", "MessageBody": '{"name":"Probe","mail":"probe@probe.test"}'}]
    everyone: list[tuple[str, str, dict[str, Any], set[str]]] = [
        ("dynamodb", "batch_write_item", {"RequestItems": put}, {"worker"}),
        ("dynamodb", "put_item", {"TableName": out.table, "Item": key}, {"worker"}),
        ("dynamodb", "delete_item", {"TableName": out.table, "Key": key}, set()),
        ("dynamodb", "get_item", {"TableName": out.table, "Key": key}, set()),
        ("dynamodb", "scan", {"TableName": out.table, "Limit": 1}, {"query"}),
        ("dynamodb", "delete_table", {"TableName": out.table}, set()),
        ("sqs", "send_message_batch", {"QueueUrl": out.queue_url, "Entries": entries}, {"producer", "worker"}),
        ("sqs", "send_message", {"QueueUrl": out.dead_letter_queue_url, "MessageBody": "probe"}, set()),
        ("sqs", "receive_message", {"QueueUrl": out.queue_url, "VisibilityTimeout": 0}, {"worker"}),
        ("sqs", "receive_message", {"QueueUrl": out.dead_letter_queue_url, "VisibilityTimeout": 0}, set()),
        ("sqs", "purge_queue", {"QueueUrl": out.queue_url}, set()),
        ("s3", "put_object", {"Bucket": out.bucket, "Key": "rejects/probe.csv", "Body": b""}, {"producer", "worker"}),
        ("s3", "put_object", {"Bucket": out.bucket, "Key": "uploads/probe.csv", "Body": b""}, set()),
        ("s3", "delete_object", {"Bucket": out.bucket, "Key": "uploads/probe.csv"}, set()),
        ("s3", "get_object", {"Bucket": out.bucket, "Key": "rejects/probe.csv"}, {"query"}),
        ("s3", "get_object", {"Bucket": out.bucket, "Key": "notes/probe.csv"}, set()),
        ("s3", "list_buckets", {}, set()),
        ("lambda", "invoke", {"FunctionName": out.query}, set()),
        ("iam", "list_roles", {}, set()),
    ]
    return {"all": everyone}


async def test_role_allows_its_own_job_and_nothing_else(local_stack: LocalStack, probe: tuple[str, str]) -> None:
    kind, function = probe
    wrong = []
    async with local_stack.client("lambda") as lambda_:
        for service, operation, arguments, allowed in attempts(local_stack)["all"]:
            event = {
                "service": service,
                "operation": operation,
                "arguments": {name: "" if value == b"" else value for name, value in arguments.items()},
            }
            reply = await lambda_.invoke(FunctionName=function, Payload=json.dumps(event))
            answer = json.loads(await reply["Payload"].read())
            expected = answer == "allowed" if kind in allowed else answer in DENIED
            if not expected:
                wrong.append(f"{service}:{operation} {'should be allowed' if kind in allowed else ''}: {answer}")
    assert not wrong
