"""Sending to a real queue: everything arrives as it was, and we count bytes as SQS does."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from engine.aws.queues import QueueSender
from engine.aws.types import SEND_MESSAGE_BATCH
from engine.config import PACKAGED_SCHEMA, SQS_MAX_BYTES
from engine.errors import ServiceError, Verdict
from engine.flow.backoff import NEVER, Deadline
from engine.identity import ObjectVersion
from engine.messages.message import Message, Outgoing
from engine.messages.packed import Packer
from engine.messages.parse import parse_message
from engine.messages.plain import PlainPacker
from engine.schema.parse import parse_schema
from tests.contract.clouds import Cloud
from tests.contract.lanes import lane_to
from tests.fakeaws.message_attributes import attributes_md5

pytestmark = pytest.mark.uses("sqs")

SOURCE = ObjectVersion("uploads-bucket", "uploads/größe.csv", None, "5eb63bbb", 1_775_260_800)
NOW = "2026-04-04T00:00:01.234Z"
COLUMNS = ("name", "email", "phone")
ATTRIBUTES = {"records": {"DataType": "Number", "StringValue": "3"}, "who": {"DataType": "String", "StringValue": "é€"}}


@asynccontextmanager
async def sender(cloud: Cloud, queue_url: str) -> AsyncIterator[QueueSender]:
    async with lane_to(cloud, SEND_MESSAGE_BATCH) as lane:
        yield QueueSender(queue_url, lane, max_batch_bytes=SQS_MAX_BYTES)


async def send(cloud: Cloud, queue_url: str, messages: list[Outgoing]) -> int:
    async with sender(cloud, queue_url) as queue, queue.sending(NEVER) as sending:
        await sending.put(messages)
    return sending.accepted


def of_size(total: int) -> Outgoing:
    """A message that counts for exactly so many bytes."""
    bare = Outgoing(b"", 1, ATTRIBUTES)
    message = bare._replace(body=b"x" * (total - bare.size))
    assert message.size == total
    return message


async def test_each_message_arrives_once_unchanged(cloud: Cloud) -> None:
    queue_url = cloud.queue()
    sent = [Outgoing(f"{number:04d} größe €".encode(), 1, ATTRIBUTES) for number in range(33)]
    assert await send(cloud, queue_url, sent) == 33
    received = cloud.receive_all(queue_url)
    assert sorted(message["Body"].encode() for message in received) == [message.body for message in sent]
    for message in received:
        assert message["MD5OfBody"] == hashlib.md5(message["Body"].encode(), usedforsecurity=False).hexdigest()
        assert message["MD5OfMessageAttributes"] == attributes_md5(ATTRIBUTES)
        attributes = message["MessageAttributes"]
        assert {name: (each["DataType"], each["StringValue"]) for name, each in attributes.items()} == {
            "records": ("Number", "3"),
            "who": ("String", "é€"),
        }


async def test_reply_has_digests_of_sent_messages(cloud: Cloud) -> None:
    entry = {"Id": "a", "MessageBody": "größe €\n\t", "MessageAttributes": ATTRIBUTES}
    async with lane_to(cloud, SEND_MESSAGE_BATCH) as lane:
        reply = json.loads(await lane.call(orjson.dumps({"QueueUrl": cloud.queue(), "Entries": [entry]}), NEVER))
    (accepted,) = reply["Successful"]
    assert accepted["Id"] == "a"
    assert accepted["MD5OfMessageBody"] == hashlib.md5("größe €\n\t".encode(), usedforsecurity=False).hexdigest()
    assert accepted["MD5OfMessageAttributes"] == attributes_md5(ATTRIBUTES)


@pytest.mark.parametrize("sizes", [[SQS_MAX_BYTES], [104_857] * 9 + [104_863]], ids=["one message", "ten messages"])
async def test_batch_of_exactly_1_mib_is_accepted(cloud: Cloud, sizes: list[int]) -> None:
    queue_url = cloud.queue()
    assert sum(sizes) == SQS_MAX_BYTES
    assert await send(cloud, queue_url, [of_size(size) for size in sizes]) == len(sizes)
    assert len(cloud.receive_all(queue_url)) == len(sizes)


@pytest.mark.gaps(moto="does not count attributes", ministack="does not count attributes")
async def test_batch_one_byte_over_1_mib_is_refused(cloud: Cloud) -> None:
    message = of_size(SQS_MAX_BYTES + 1)
    async with sender(cloud, cloud.queue()) as queue:
        with pytest.raises(ServiceError, match="BatchRequestTooLong"):
            await queue.send(queue.request([message]), 1, NEVER)


async def test_batch_over_1_mib_raises_and_is_not_retried(cloud: Cloud) -> None:
    message = Outgoing(b"x" * (SQS_MAX_BYTES + 1), 1, {})
    async with sender(cloud, cloud.queue()) as queue:
        with pytest.raises(ServiceError) as caught:
            await queue.send(queue.request([message]), 1, NEVER)
    assert caught.value.verdict is Verdict.FATAL


NASTY = "".join(map(chr, [0, 1, 8, 11, 12, 14, 31, 127, 0x80, 0xFFFD, 0xFFFE, 0xFFFF, 0x10FFFF])) + '"\\\t\r\né€😀'


@pytest.mark.parametrize("plain", [False, True])
async def test_row_with_any_characters_is_sent(cloud: Cloud, plain: bool) -> None:
    schema = parse_schema(PACKAGED_SCHEMA.read_text(), "users.toml")
    packer = (
        PlainPacker(SOURCE, schema, COLUMNS, max_bytes=SQS_MAX_BYTES)
        if plain
        else Packer(SOURCE, COLUMNS, max_records=500, max_bytes=SQS_MAX_BYTES)
    )
    full, _ = packer.add([(7, NASTY, "a@example.com", "N/A")], NOW)
    queue_url = cloud.queue()
    await send(cloud, queue_url, full + packer.flush(NOW))
    (received,) = cloud.receive_all(queue_url)
    attributes = {
        name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
        for name, value in received["MessageAttributes"].items()
    }
    message = parse_message(received["Body"], attributes, "id", 1, schema)
    assert isinstance(message, Message)
    # What is packed has been cleaned before; a plain message is cleaned as it is read.
    assert message.numbers[0] == 7
    assert message.row(0) == [NASTY.strip() if plain else NASTY, "a@example.com", "N/A"]
    assert message.ingestion == SOURCE.ingestion
    assert message.modified == SOURCE.modified


@pytest.mark.gaps(moto="takes characters that SQS refuses", localstack="says that it is not the sender's fault")
async def test_illegal_character_is_sender_fault(cloud: Cloud) -> None:
    queue_url = cloud.queue()
    soon = Deadline(time.monotonic() + 5)
    async with sender(cloud, queue_url) as queue:
        with pytest.raises(ServiceError, match="InvalidMessageContents"):
            await queue.send(queue.request([Outgoing(b"fine", 1, {}), Outgoing(b"not \x00", 1, {})]), 2, soon)


async def test_missing_queue_is_fatal(cloud: Cloud) -> None:
    async with sender(cloud, cloud.queue() + "-gone") as queue:
        with pytest.raises(ServiceError, match="QueueDoesNotExist") as caught:
            async with queue.sending(NEVER) as sending:
                await sending.put([of_size(100)] * 500)
    assert caught.value.verdict is Verdict.FATAL


async def test_concurrent_senders_share_a_queue(cloud: Cloud) -> None:
    queue_url = cloud.queue()

    async def one(queue: QueueSender, number: int) -> None:
        async with queue.sending(NEVER) as sending:
            await sending.put([Outgoing(f"{number}-{each:03d}".encode(), 1, ATTRIBUTES) for each in range(25)])

    async with sender(cloud, queue_url) as queue, asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(one(queue, number))
    bodies = sorted(message["Body"] for message in cloud.receive_all(queue_url))
    assert bodies == [f"{number}-{each:03d}" for number in range(3) for each in range(25)]
