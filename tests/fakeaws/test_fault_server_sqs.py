"""The fault server's SQS is what it plays: AWS's own client takes it for the service, well or ill."""

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import NO_QUEUE, SQS_ERROR, SQS_THROTTLED, Failed, Json, Refuse, Unmentioned

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

ATTRIBUTES = {"records": {"DataType": "Number", "StringValue": "2"}}


def entries(*bodies: str) -> Any:
    return [
        {"Id": str(number), "MessageBody": body, "MessageAttributes": ATTRIBUTES} for number, body in enumerate(bodies)
    ]


def ids(reply: Any, which: str) -> list[str]:
    return [entry["Id"] for entry in reply.get(which, [])]


async def test_a_batch_is_taken(fault_server: FaultServer, sqs: "SQSClient") -> None:
    reply = await sqs.send_message_batch(QueueUrl=fault_server.queue_url(), Entries=entries("a", "b"))
    assert ids(reply, "Successful") == ["0", "1"]
    assert reply["Successful"][0]["MD5OfMessageBody"] == "0cc175b9c0f1b6a831c399e269772661"
    queue = fault_server.queues["user-csv-queue"]
    assert [(message.body, message.attributes) for message in queue.messages] == [("a", ATTRIBUTES), ("b", ATTRIBUTES)]
    assert queue.batches == [2]


async def test_entries_fail_or_are_not_mentioned(fault_server: FaultServer, sqs: "SQSClient") -> None:
    fault_server.plan = [
        Failed(0.5),
        Failed(lambda entry: entry["MessageBody"] == "a", code="AccessDenied", sender_fault=True),
        Unmentioned(0.5),
        Unmentioned(0.5, accepted=True),
    ]
    queue = fault_server.queues["user-csv-queue"]

    async def send() -> Any:
        return await sqs.send_message_batch(QueueUrl=fault_server.queue_url(), Entries=entries("a", "b"))

    reply = await send()
    assert (ids(reply, "Successful"), len(queue.messages)) == (["0"], 1)
    assert reply["Failed"] == [{"Id": "1", "Code": "InternalError", "SenderFault": False}]
    reply = await send()
    assert (ids(reply, "Successful"), len(queue.messages)) == (["1"], 2)
    assert reply["Failed"] == [{"Id": "0", "Code": "AccessDenied", "SenderFault": True}]
    reply = await send()
    assert (ids(reply, "Successful"), ids(reply, "Failed"), len(queue.messages)) == (["0"], [], 3)
    reply = await send()
    assert (ids(reply, "Successful"), ids(reply, "Failed"), len(queue.messages)) == (["0"], [], 5)


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (SQS_THROTTLED, "RequestThrottled", 400),
        (SQS_ERROR, "InternalError", 500),
        (NO_QUEUE, "AWS.SimpleQueueService.NonExistentQueue", 400),
        (Refuse("AccessDeniedException"), "AccessDeniedException", 400),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_refused_batch_has_the_services_code(
    fault_server: FaultServer, sqs: "SQSClient", fault: Refuse, code: str, status: int
) -> None:
    fault_server.plan = [fault]
    with pytest.raises(ClientError) as caught:
        await sqs.send_message_batch(QueueUrl=fault_server.queue_url(), Entries=entries("a"))
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert fault_server.queues["user-csv-queue"].messages == []


async def test_a_missing_queue_does_not_exist(fault_server: FaultServer, sqs: "SQSClient") -> None:
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        await sqs.send_message_batch(QueueUrl=fault_server.queue_url("nowhere"), Entries=entries("a"))


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        ([], "EmptyBatchRequest"),
        (entries(*"abcdefghijk"), "TooManyEntriesInBatchRequest"),
        (entries("a") + entries("b"), "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "MessageBody": "a"}], "InvalidBatchEntryId"),
        (entries("é" * 262_144, "é" * 262_144), "BatchRequestTooLong"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_queues_limits_hold(
    fault_server: FaultServer, sqs: "SQSClient", batch: list[Json], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        await sqs.send_message_batch(QueueUrl=fault_server.queue_url(), Entries=batch)  # type: ignore[arg-type]
    assert caught.value.response["Error"]["Code"] == f"AWS.SimpleQueueService.{code}"


async def test_a_batch_of_just_1_mib_is_taken(fault_server: FaultServer, sqs: "SQSClient") -> None:
    entry: Any = {"Id": "0", "MessageBody": "x" * 1_048_576}
    assert ids(await sqs.send_message_batch(QueueUrl=fault_server.queue_url(), Entries=[entry]), "Successful") == ["0"]


@pytest.mark.parametrize("character", ["\0", "\x1f", "\ufffe", "\uffff"], ids=ascii)
async def test_an_illegal_character_fails_its_entry(
    fault_server: FaultServer, sqs: "SQSClient", character: str
) -> None:
    reply = await sqs.send_message_batch(
        QueueUrl=fault_server.queue_url(), Entries=entries("tab\t, line\r\n, é, \U0001f600", f"a{character}")
    )
    assert ids(reply, "Successful") == ["0"]
    assert reply["Failed"] == [{"Id": "1", "Code": "InvalidMessageContents", "SenderFault": True}]
