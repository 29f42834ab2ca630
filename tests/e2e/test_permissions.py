"""Each action of each role is needed: with all of them a function does its work, without one it says so.

`BEYOND` has what cannot be shown here: the local AWS asks for no permission for what the event source mapping and the
log agent do in a function's name. Without `TELL_MISSING` it answers 404 for a missing object, where S3 says 403.
`HAND_ON` takes a table that throttles, and the local one does not. `NEWEST` takes a schema with `conflict = "newest"`.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.accounts import ENTRY, SpanCounts, attribute, span_part_key
from engine.deployment.checkout import TEMPLATE
from engine.deployment.template import read_template
from engine.identity import ObjectVersion
from engine.reading.block import Reject
from engine.rejects import RejectFiles, folder_of, span_part
from engine.tallies import marks
from tests.builders.invocations import Json, api_event, event_of, s3_record, sqs_record
from tests.builders.messages import MODIFIED, packed, users
from tests.e2e.conftest import LocalStack

pytestmark = pytest.mark.usefixtures("no_notification")

BEYOND = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
}
TELL_MISSING = ("producer", "s3:ListBucket")
HAND_ON = ("worker", "sqs:SendMessage")
NEWEST = ("worker", "dynamodb:PutItem")
ROLES = {"producer": "ProducerRole", "worker": "WorkerRole", "query": "QueryRole"}


def actions_of(role: str) -> Iterator[str]:
    """The actions of a role in the template."""
    properties = read_template(TEMPLATE.read_text())["Resources"][role]["Properties"]
    for policy in properties["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            yield from [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]


GRANTED = sorted(
    {(kind, action) for kind, role in ROLES.items() for action in set(actions_of(role)) - BEYOND}
    - {TELL_MISSING, HAND_ON, NEWEST}
)


async def invoke(stack: LocalStack, kind: str, event: Json) -> Json:
    """The answer of a function; a fault is ``{"errorType": …}``."""
    async with stack.client("lambda") as lambda_:
        reply = await lambda_.invoke(FunctionName=getattr(stack.outputs, kind), Payload=json.dumps(event))
        answer: Json = json.loads(await reply["Payload"].read())
    return answer


async def stored(stack: LocalStack, body: str) -> tuple[str, str]:
    """A new object under uploads/: its key and version."""
    key = f"uploads/{uuid.uuid4().hex}.csv"
    async with stack.client("s3") as s3:
        put = await s3.put_object(Bucket=stack.outputs.bucket, Key=key, Body=body.encode())
    return key, put["VersionId"]


async def reads_a_version(stack: LocalStack) -> bool:
    key, version = await stored(stack, "name,mail\n")
    answer = await invoke(stack, "producer", event_of(s3_record(stack.outputs.bucket, key, version=version)))
    return answer.get("statusCode") == 200


async def reads_an_object(stack: LocalStack) -> bool:
    key, _ = await stored(stack, "name,mail\n")
    answer = await invoke(stack, "producer", event_of(s3_record(stack.outputs.bucket, key)))
    return answer.get("statusCode") == 200


async def reads_an_object_again(stack: LocalStack) -> bool:
    """Whether the producer begins a new run of what has ended, and deletes what it noted of the last one."""
    key, _ = await stored(stack, "name,mail\n")
    event = event_of(s3_record(stack.outputs.bucket, key))
    answers = [await invoke(stack, "producer", event) for _ in range(2)]
    return [answer.get("statusCode") for answer in answers] == [200, 200]


async def keeps_the_rejects_of_a_file(stack: LocalStack) -> bool:
    key, _ = await stored(stack, "name,mail\n,a@permissions.test\nB,b@permissions.test\n")
    answer = await invoke(stack, "producer", event_of(s3_record(stack.outputs.bucket, key)))
    return answer.get("rejectedRows") == 1 and answer.get("statusCode") == 200


async def sends_records(stack: LocalStack) -> bool:
    key, _ = await stored(stack, "name,mail\nA,a@permissions.test\n")
    answer = await invoke(stack, "producer", event_of(s3_record(stack.outputs.bucket, key)))
    return answer.get("messagesSent") == 1


async def writes_items(stack: LocalStack) -> bool:
    message = sqs_record("m", {"name": "A", "mail": "a@permissions.test"})
    return await invoke(stack, "worker", event_of(message)) == {"batchItemFailures": []}


async def keeps_the_rejects_of_a_message(stack: LocalStack) -> bool:
    message = sqs_record("m", {"name": "", "mail": "a@permissions.test"})
    return await invoke(stack, "worker", event_of(message)) == {"batchItemFailures": []}


async def ends_an_ingestion(stack: LocalStack) -> bool:
    """Whether the worker closes the account of an object whose only message it gets."""
    version = ObjectVersion("b", f"uploads/{uuid.uuid4().hex}.csv", None, "e", MODIFIED)
    facts: list[tuple[str, Json]] = [
        (ENTRY, {"spans": 1, "bucket": "b", "key": version.key}),
        (span_part_key(0), SpanCounts(read=1, rejected=0, messages=1, ended=True).facts),
        *((mark.node.part, {"expected": mark.expected, "root": True}) for mark in marks(0, 1)),
    ]
    async with stack.client("dynamodb") as dynamodb:
        for part, attributes in facts:
            item = {"ingestion": version.ingestion, "part": part, **attributes}
            await dynamodb.put_item(
                TableName=stack.outputs.ledger, Item={name: attribute(value) for name, value in item.items()}
            )
        body = {**packed(users(1, 1)), "object": version._asdict()}
        answer = await invoke(stack, "worker", event_of(sqs_record("m", body)))
        key = {"ingestion": {"S": version.ingestion}, "part": {"S": ENTRY}}
        entry = (await dynamodb.get_item(TableName=stack.outputs.ledger, Key=key))["Item"]
    return answer == {"batchItemFailures": []} and entry.get("status") == {"S": "done"}


async def finds_a_user(stack: LocalStack) -> bool:
    answer = await invoke(stack, "query", api_event("/users/nobody@permissions.test"))
    return bool(answer["statusCode"] == 404)


async def lists_users(stack: LocalStack) -> bool:
    return bool((await invoke(stack, "query", api_event("/users", limit="1")))["statusCode"] == 200)


async def lists_ingestions(stack: LocalStack) -> bool:
    """Whether ingestions are listed, of which one is there at least."""
    await reads_an_object(stack)
    return bool((await invoke(stack, "query", api_event("/ingestions", limit="1")))["statusCode"] == 200)


async def reads_rejects(stack: LocalStack) -> bool:
    """Whether the rejects of an ingestion are found in its reject file."""
    source = ObjectVersion("b", f"uploads/{uuid.uuid4().hex}.csv", None, "e", MODIFIED)
    files = RejectFiles(folder_of("rejects/", source), span_part(0))
    files.add([Reject(1, 0, "no mail", "A,")])
    (file,) = files.flush()
    facts: Json = {"bucket": "b", "key": source.key, "etag": "e", "modified": MODIFIED, "started": MODIFIED * 1000}
    entry = {"ingestion": source.ingestion, "part": ENTRY, **facts}
    async with stack.client("s3") as s3, stack.client("dynamodb") as dynamodb:
        await s3.put_object(Bucket=stack.outputs.rejects_bucket, Key=file.key, Body=file.body)
        await dynamodb.put_item(
            TableName=stack.outputs.ledger, Item={name: attribute(value) for name, value in entry.items()}
        )
    answer = await invoke(stack, "query", api_event(f"/ingestions/{source.ingestion}/rejects"))
    return bool(answer["statusCode"] == 200 and json.loads(answer["body"])["count"] == 1)


WORK = {
    # An object without rows: the producer notes all of its account, and ends it.
    ("producer", "s3:GetObject"): reads_an_object,
    ("producer", "s3:GetObjectVersion"): reads_a_version,
    ("producer", "s3:PutObject"): keeps_the_rejects_of_a_file,
    ("producer", "sqs:SendMessage"): sends_records,
    ("producer", "dynamodb:DeleteItem"): reads_an_object_again,
    # A file without a row is complete when the producer has read it.
    **dict.fromkeys(
        [
            ("producer", "dynamodb:UpdateItem"),
            ("producer", "dynamodb:Query"),
            ("producer", "events:PutEvents"),
        ],
        reads_an_object,
    ),
    **dict.fromkeys(
        [("worker", "dynamodb:UpdateItem"), ("worker", "dynamodb:Query"), ("worker", "events:PutEvents")],
        ends_an_ingestion,
    ),
    ("worker", "dynamodb:BatchWriteItem"): writes_items,
    ("worker", "dynamodb:DescribeTable"): writes_items,
    ("worker", "s3:PutObject"): keeps_the_rejects_of_a_message,
    ("query", "dynamodb:Query"): finds_a_user,
    ("query", "dynamodb:Scan"): lists_users,
    ("query", "dynamodb:BatchGetItem"): lists_ingestions,
    ("query", "s3:GetObject"): reads_rejects,
    ("query", "s3:ListBucket"): reads_rejects,
}


def test_every_granted_permission_is_needed() -> None:
    assert set(GRANTED) == set(WORK)


@asynccontextmanager
async def without(stack: LocalStack, kind: str, action: str) -> AsyncIterator[None]:
    """Take one action from a role for a while."""
    async with stack.client("lambda") as lambda_, stack.client("iam") as iam:
        role = (await lambda_.get_function_configuration(FunctionName=getattr(stack.outputs, kind)))["Role"]
        names = {"RoleName": role.rpartition("/")[2], "PolicyName": kind}
        policy: Any = (await iam.get_role_policy(**names))["PolicyDocument"]
        policy = json.loads(policy) if isinstance(policy, str) else policy
        less = copy.deepcopy(policy)
        # The local AWS asks for a second name of this one, see engine/local/packaging.py.
        names_of_it = {action, "sqs:SendMessageBatch"} if action == "sqs:SendMessage" else {action}
        for statement in less["Statement"]:
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            statement["Action"] = [each for each in actions if each not in names_of_it]
        less["Statement"] = [statement for statement in less["Statement"] if statement["Action"]]
        assert less != policy
        await iam.put_role_policy(**names, PolicyDocument=json.dumps(less))
        # A new process, since some things are asked for once in a process.
        function = await lambda_.get_function_configuration(FunctionName=getattr(stack.outputs, kind))
        variables = {**function["Environment"]["Variables"], "WITHOUT": action}
        await lambda_.update_function_configuration(
            FunctionName=function["FunctionName"], Environment={"Variables": variables}
        )
        try:
            yield
        finally:
            await iam.put_role_policy(**names, PolicyDocument=json.dumps(policy))


@pytest.mark.parametrize(("kind", "action"), GRANTED)
async def test_job_fails_without_each_action(local_stack: LocalStack, kind: str, action: str) -> None:
    work = WORK[kind, action]
    assert await work(local_stack)
    async with without(local_stack, kind, action):
        assert not await work(local_stack)
    assert await work(local_stack)


async def test_calls_without_tls_are_refused(local_stack: LocalStack) -> None:
    # Left out of the local stack, whose every call is plain HTTP; see engine/local/packaging.py.
    policy = read_template(TEMPLATE.read_text())["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]
    (statement,) = policy["Statement"]
    bucket = local_stack.outputs.bucket
    statement["Resource"] = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    assert await reads_an_object(local_stack)
    async with local_stack.client("s3") as s3:
        await s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        try:
            assert not await reads_an_object(local_stack)
        finally:
            await s3.delete_bucket_policy(Bucket=bucket)
    assert await reads_an_object(local_stack)
