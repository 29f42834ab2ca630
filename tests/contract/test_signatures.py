"""The engine's own signatures are checked by services that know the secret: theirs must come out the same."""

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from engine.aws.queues import QueueSender
from engine.aws.sign import Credentials
from engine.aws.types import BATCH_WRITE_ITEM, SEND_MESSAGE_BATCH
from engine.config import SQS_MAX_BYTES
from engine.errors import ServiceError, Verdict
from engine.flow.backoff import NEVER
from engine.items import batch_body
from engine.messages.message import Outgoing
from tests.contract.clouds import Cloud
from tests.contract.lanes import lane_to

ALLOWED = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": "*"}]}
ANYONE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}],
}
PUT = '{"PutRequest":{"Item":{"email":{"S":"größe@example.com"},"createdAt":{"N":"1775260800.000000000001"}}}}'


@contextmanager
def checking(cloud: Cloud) -> Iterator[None]:
    """Have moto check who calls, which it does only when told to; the local AWS always does."""

    def calls_unchecked(count: str) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        url = f"{cloud.endpoint}/moto-api/reset-auth"
        request = urllib.request.Request(url, count.encode(), headers, method="POST")  # noqa: S310 - our own URL
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            pass

    if cloud.name != "moto":
        yield
        return
    calls_unchecked("0")
    try:
        yield
    finally:
        calls_unchecked("inf")


def user(cloud: Cloud) -> Credentials:
    name = f"user-{uuid.uuid4().hex[:12]}"
    cloud.iam.create_user(UserName=name)
    cloud.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(ALLOWED))
    key = cloud.iam.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def role(cloud: Cloud) -> Credentials:
    """What a Lambda function has: temporary credentials with a session token."""
    name = f"role-{uuid.uuid4().hex[:12]}"
    arn = cloud.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(ANYONE))["Role"]["Arn"]
    cloud.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(ALLOWED))
    given = cloud.sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


@pytest.mark.parametrize("identity", [user, role])
async def test_signed_write_is_authorized(cloud: Cloud, identity: Callable[[Cloud], Credentials]) -> None:
    table, credentials = cloud.table(), identity(cloud)
    with checking(cloud):
        async with lane_to(cloud, BATCH_WRITE_ITEM, credentials) as lane:
            await lane.call(batch_body(table, PUT), NEVER)
        async with lane_to(cloud, BATCH_WRITE_ITEM, credentials._replace(secret_key="wrong")) as lane:
            with pytest.raises(ServiceError) as caught:
                await lane.call(batch_body(table, PUT), NEVER)
    assert caught.value.verdict is Verdict.FATAL
    assert len(cloud.items(table)) == 1


@pytest.mark.parametrize("identity", [user, role])
async def test_signed_message_is_authorized(cloud: Cloud, identity: Callable[[Cloud], Credentials]) -> None:
    queue_url, credentials = cloud.queue(), identity(cloud)
    messages = [Outgoing("größe".encode(), 1, {"records": {"DataType": "Number", "StringValue": "1"}})]
    with checking(cloud):
        async with lane_to(cloud, SEND_MESSAGE_BATCH, credentials) as lane:
            queue = QueueSender(queue_url, lane, max_batch_bytes=SQS_MAX_BYTES)
            await queue.send(queue.request(messages), 1, NEVER)
        async with lane_to(cloud, SEND_MESSAGE_BATCH, credentials._replace(secret_key="wrong")) as lane:
            queue = QueueSender(queue_url, lane, max_batch_bytes=SQS_MAX_BYTES)
            with pytest.raises(ServiceError) as caught:
                await queue.send(queue.request(messages), 1, NEVER)
    assert caught.value.verdict is Verdict.FATAL
    assert [message["Body"] for message in cloud.receive_all(queue_url)] == ["größe"]


async def test_denied_call_fails_at_once(cloud: Cloud) -> None:
    name = f"user-{uuid.uuid4().hex[:12]}"
    cloud.iam.create_user(UserName=name)
    key = cloud.iam.create_access_key(UserName=name)["AccessKey"]
    table = cloud.table()
    with checking(cloud):
        credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        async with lane_to(cloud, BATCH_WRITE_ITEM, credentials) as lane:
            with pytest.raises(ServiceError) as caught:
                await lane.call(batch_body(table, PUT), NEVER)
    assert caught.value.verdict is Verdict.FATAL
    assert cloud.items(table) == []
