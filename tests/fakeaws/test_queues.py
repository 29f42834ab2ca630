"""The model of SQS: visibility, receive counts, redrive and delays, and each rule of a message."""

from typing import Any

import orjson
import pytest

from tests.fakeaws.errors import Refusal
from tests.fakeaws.queues import Message, Queue
from tests.fakeaws.sqs import Sqs

Json = dict[str, Any]
URL = "http://127.0.0.1:1/123456789012/q"


def bodies(messages: list[Message]) -> list[str]:
    return [message.body for message in messages]


def test_a_received_message_is_hidden_until_its_time_is_up() -> None:
    queue = Queue(visibility_timeout=30)
    queue.send("a", {}, 0.0)
    (first,) = queue.receive(10, 1.0)
    receipt = first.receipt
    assert queue.receive(10, 30.9) == []
    (again,) = queue.receive(10, 31.0)
    assert (again.receive_count, again.sent, again.first_received) == (2, 0.0, 1.0)
    queue.delete(receipt)  # the handle of the earlier receive
    assert bodies(queue.messages) == ["a"]
    queue.delete(again.receipt)
    assert (queue.messages, queue.deleted) == ([], 1)


def test_received_too_often_it_goes_to_the_dead_letters() -> None:
    dead = Queue()
    queue = Queue(visibility_timeout=10, max_receive_count=2, dead_letters=dead)
    queue.send("a", {}, 0.0)
    assert [bodies(queue.receive(1, time)) for time in (0.0, 10.0, 20.0)] == [["a"], ["a"], []]
    assert queue.messages == []
    (moved,) = dead.receive(1, 20.0)
    assert (moved.body, moved.sent) == ("a", 0.0)


def test_messages_are_delayed_by_the_queue_or_by_themselves() -> None:
    queue = Queue(delay=5)
    queue.send("late", {}, 0.0, delay=60)
    queue.send("usual", {}, 0.0)
    queue.send("now", {}, 0.0, delay=0)
    assert queue.counts(0.0) == {
        "ApproximateNumberOfMessages": 1,
        "ApproximateNumberOfMessagesNotVisible": 0,
        "ApproximateNumberOfMessagesDelayed": 2,
    }
    assert [bodies(queue.receive(10, time)) for time in (0.0, 4.9, 5.0, 60.0)] == [
        ["now"],
        [],
        ["usual"],
        ["now", "usual", "late"],
    ]


def test_visibility_can_be_changed_while_in_flight() -> None:
    queue = Queue(visibility_timeout=30)
    queue.send("a", {}, 0.0)
    (message,) = queue.receive(1, 0.0)
    queue.change_visibility(message.receipt, 100, 10.0)
    assert queue.next_visible() == 110.0
    queue.change_visibility(message.receipt, 0, 20.0)
    assert bodies(queue.receive(1, 20.0)) == ["a"]
    with pytest.raises(Refusal, match="MessageNotInflight"):
        queue.change_visibility(message.receipt.replace("/2", "/1"), 0, 20.0)


def test_a_visibility_of_zero_gives_a_message_once_in_one_receive() -> None:
    queue = Queue()
    queue.send("a", {}, 0.0)
    assert bodies(queue.receive(10, 0.0, visibility=0)) == ["a"]
    assert bodies(queue.receive(10, 0.0)) == ["a"]


def test_oldest_first_among_those_that_can_be_received() -> None:
    queue = Queue()
    for body in "abc":
        queue.send(body, {}, 0.0)
    assert [bodies(queue.receive(2, 0.0)), bodies(queue.receive(2, 0.0))] == [["a", "b"], ["c"]]


def test_what_lambda_is_handed() -> None:
    queue = Queue()
    queue.send("a", {"records": {"DataType": "Number", "StringValue": "2"}}, 1_775_260_899.123)
    (message,) = queue.receive(1, 1_775_260_900.0)
    record = message.lambda_record()
    assert record["attributes"]["SentTimestamp"] == "1775260899123"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"] == {"records": {"stringValue": "2", "dataType": "Number"}}


class Client:
    """Calls of the JSON protocol, at a time that the test sets."""

    def __init__(self) -> None:
        self.queue = Queue(visibility_timeout=30)
        self._sqs = Sqs({"q": self.queue})
        self.now = 0.0

    def __call__(self, operation: str, **request: Any) -> Json:
        return self._sqs.call(operation, orjson.dumps({"QueueUrl": URL, **request}), self.now)


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_message_from_one_end_to_the_other(client: Client) -> None:
    attributes = {"records": {"DataType": "Number", "StringValue": "2"}}
    sent = client("SendMessage", MessageBody="é", MessageAttributes=attributes)
    (message,) = client("ReceiveMessage", MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert (message["MessageId"], message["Body"], message["MessageAttributes"]) == (sent["MessageId"], "é", attributes)
    assert client("ReceiveMessage") == {}
    client("ChangeMessageVisibility", ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = client("ReceiveMessage")["Messages"]
    assert client("GetQueueAttributes", AttributeNames=["All"])["Attributes"] == {
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "1",
        "ApproximateNumberOfMessagesDelayed": "0",
        "VisibilityTimeout": "30",
        "DelaySeconds": "0",
    }
    client("DeleteMessage", ReceiptHandle=again["ReceiptHandle"])
    assert client.queue.messages == []


def test_batches_of_receipt_handles_may_fail_in_part(client: Client) -> None:
    client("SendMessageBatch", Entries=[{"Id": each, "MessageBody": each} for each in "ab"])
    received = client("ReceiveMessage", MaxNumberOfMessages=10)["Messages"]
    entries = [
        {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 0} for i, m in enumerate(received)
    ]
    client("DeleteMessageBatch", Entries=[{"Id": "x", "ReceiptHandle": received[0]["ReceiptHandle"]}])
    reply = client("ChangeMessageVisibilityBatch", Entries=entries)
    assert [each["Id"] for each in reply["Successful"]] == ["1"]
    assert reply["Failed"] == [{"Id": "0", "Code": "MessageNotInflight", "SenderFault": True}]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"MessageBody": ""}, "MissingParameter"),
        ({"MessageBody": "a\0"}, "InvalidMessageContents"),
        ({"MessageBody": "é\ufffe"}, "InvalidMessageContents"),
        ({"DelaySeconds": 901}, "InvalidParameterValue"),
        ({"MessageAttributes": {"a": {"DataType": "Odd", "StringValue": "1"}}}, "InvalidParameterValue"),
        ({"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}}, "InvalidParameterValue"),
        ({"MessageAttributes": {str(i): {"DataType": "String", "StringValue": "1"} for i in range(11)}}, "Invalid"),
    ],
    ids=repr,
)
def test_an_entry_that_breaks_a_rule_fails_alone(client: Client, wrong: Json, code: str) -> None:
    good = {"Id": "good", "MessageBody": "\t\r\n é \U0010ffff \x7f", "DelaySeconds": 900}
    reply = client("SendMessageBatch", Entries=[{"Id": "wrong", "MessageBody": "a", **wrong}, good])
    assert [each["Id"] for each in reply["Successful"]] == ["good"]
    assert [(each["Id"], each["SenderFault"]) for each in reply["Failed"]] == [("wrong", True)]
    assert reply["Failed"][0]["Code"].startswith(code)


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("SendMessageBatch", {"Entries": [{"Id": "0", "MessageBody": "a", "Unheard": 1}]}, "NotModelled"),
        ("SendMessage", {"MessageBody": "a", "MessageGroupId": "b c"}, "InvalidParameterValue"),
        ("SendMessage", {"MessageBody": "a", "MessageDeduplicationId": "b"}, "NotModelled"),
        ("SendMessage", {"MessageBody": "a" * 1_048_577}, "InvalidParameterValue"),
        ("ReceiveMessage", {"MaxNumberOfMessages": 11}, "InvalidParameterValue"),
        ("GetQueueAttributes", {"AttributeNames": ["Policy"]}, "NotModelled"),
        ("CreateQueue", {}, "NotModelled"),
        ("DeleteMessageBatch", {"Entries": []}, "EmptyBatchRequest"),
    ],
)
def test_request_that_is_refused(client: Client, operation: str, request_: Json, code: str) -> None:
    with pytest.raises(Refusal, match=code):
        client(operation, **request_)
