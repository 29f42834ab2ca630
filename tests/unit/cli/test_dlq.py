"""Messages that failed are looked at and sent back without losing any."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from engine.cli.command import parser
from engine.cli.dlq import Mailbox, Office, Redrive, Redriven
from engine.cli.letters import RECORDS
from engine.deployment.stack import Stack
from tests.builders.messages import packed, users
from tests.builders.samples import USERS

Json = dict[str, Any]

DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessage")
ATTRIBUTES = {
    "records": {"DataType": "Number", "StringValue": "1"},
    "x": {"DataType": "Binary", "BinaryValue": b"\xff"},
}


class Queues:
    """Queues by URL, as an SQS client. What is received is invisible until it is released; `refused` cannot be sent."""

    def __init__(self, **messages: list[str]) -> None:
        self.messages = {url: {str(i): body for i, body in enumerate(bodies)} for url, bodies in messages.items()}
        self.held: set[tuple[str, str]] = set()
        self.sent: list[Json] = []
        self.refused: set[str] = set()
        self.calls: list[str] = []
        self.ids: dict[str, str] = {}

    async def receive_message(self, QueueUrl: str, MaxNumberOfMessages: int, **_: Any) -> Json:  # noqa: N803
        visible = [each for each in self.messages[QueueUrl] if (QueueUrl, each) not in self.held][:MaxNumberOfMessages]
        self.held |= {(QueueUrl, each) for each in visible}
        return {
            "Messages": [
                {
                    "MessageId": self.ids.get(each, f"{QueueUrl}-{each}"),
                    "ReceiptHandle": each,
                    "Body": self.messages[QueueUrl][each],
                    "MessageAttributes": ATTRIBUTES,
                    "Attributes": {"MessageGroupId": "group"},
                }
                for each in visible
            ]
        }

    async def change_message_visibility_batch(self, QueueUrl: str, Entries: list[Json]) -> Json:  # noqa: N803
        assert len(Entries) <= 10
        assert {each["VisibilityTimeout"] for each in Entries} == {0}
        self.held -= {(QueueUrl, each["ReceiptHandle"]) for each in Entries}
        return {}

    async def send_message(self, *, QueueUrl: str, MessageBody: str, **more: Any) -> Json:  # noqa: N803
        self.calls.append("send")
        if MessageBody in self.refused:
            raise DENIED
        self.sent.append({"url": QueueUrl, "body": MessageBody, "attributes": more["MessageAttributes"]})
        assert more["MessageGroupId"] == "group"
        return {"MessageId": f"new-{len(self.sent)}"}

    async def delete_message(self, QueueUrl: str, ReceiptHandle: str) -> Json:  # noqa: N803
        self.calls.append("delete")
        del self.messages[QueueUrl][ReceiptHandle]
        self.held.remove((QueueUrl, ReceiptHandle))
        return {}


STACK = Stack(
    name="s",
    bucket="b",
    rejects_prefix="rejects/",
    queue_url="queue",
    dead_letter_queue_url="dead",
    failure_queue_url="failed",
    table="t",
    producer="p",
    worker="w",
    query="q",
    api_id="a",
    api_url="u",
    uploads_prefix="uploads/",
    rejects_bucket="b",
)


def office(sqs: Queues) -> Office:
    return Office(STACK, sqs, None, None)


async def redriven(sqs: Queues, ids: frozenset[str] = frozenset(), rate: int | None = None) -> Redriven:
    at = office(sqs)
    redrive = Redrive(at, ids, rate)
    mailbox = at.mailboxes[0]
    await redrive.empty(mailbox)
    await mailbox.release()
    return redrive.done


async def test_each_message_of_a_long_queue_is_listed_once_and_is_visible_again() -> None:
    sqs = Queues(dead=[json.dumps(packed(users(n, n))) for n in range(1, 36)], failed=["{}"])
    at = office(sqs)
    ids = [letter.id async for letter, _ in at.letters(USERS, 1_000)]
    assert ids == [f"dead-{n}" for n in range(35)] + ["failed-0"]
    assert len(sqs.held) == 36
    for mailbox in at.mailboxes:
        await mailbox.release()
    assert sqs.held == set()
    assert [letter.id async for letter, _ in office(sqs).letters(USERS, 13)] == [*ids[:13], "failed-0"]


async def test_messages_that_come_round_again_end_the_look() -> None:
    sqs = Queues(dead=["{}"] * 3)
    mailbox = Mailbox(sqs, RECORDS, "dead")
    seen = []
    async for batch in mailbox.batches(1_000):
        seen += batch
        sqs.held.clear()  # as if the time for which they are held were over
    assert len(seen) == 3


async def test_message_is_sent_back_as_it_is_and_then_deleted() -> None:
    sqs = Queues(dead=["body \u2028 of one"])
    done = await redriven(sqs)
    assert sqs.sent == [{"url": "queue", "body": "body \u2028 of one", "attributes": ATTRIBUTES}]
    assert sqs.calls == ["send", "delete"]
    assert (done.sent, sqs.messages["dead"]) == (["dead-0"], {})


async def test_message_that_is_not_accepted_stays_and_is_visible_again() -> None:
    sqs = Queues(dead=["good", "bad"])
    sqs.refused = {"bad"}
    done = await redriven(sqs)
    assert (done.sent, done.failed) == (["dead-0"], {"dead-1": "SendMessage was refused: AccessDenied: no"})
    assert sqs.messages["dead"] == {"1": "bad"}
    assert sqs.held == set()


async def test_missing_permission_ends_a_redrive() -> None:
    sqs = Queues(dead=["bad"] * 50)
    sqs.refused = {"bad"}
    done = await redriven(sqs)
    assert len(done.failed) == 10
    assert len(sqs.messages["dead"]) == 50


async def test_only_named_messages_are_sent_back() -> None:
    sqs = Queues(dead=[f"body {n}" for n in range(30)])
    done = await redriven(sqs, frozenset({"dead-3", "dead-17"}))
    assert done.sent == ["dead-3", "dead-17"]
    assert len(sqs.messages["dead"]) == 28
    assert sqs.held == set()


async def test_message_that_fails_again_meanwhile_is_left_alone() -> None:
    sqs = Queues(dead=["poison"])
    at = office(sqs)
    redrive = Redrive(at, frozenset(), None)
    await redrive.empty(at.mailboxes[0])
    sqs.messages["dead"] = {"again": "poison"}
    sqs.ids["again"] = "new-1"  # SQS moves a message with its id
    await redrive.empty(at.mailboxes[0])
    assert redrive.done.sent == ["dead-0"]


async def test_event_is_handed_to_the_producer_again_and_what_holds_none_stays() -> None:
    invoked: list[Json] = []

    class Functions:
        async def invoke(self, **request: Any) -> Json:
            invoked.append(request)
            return {"StatusCode": 202, "ResponseMetadata": {"RequestId": "new-request"}}

    event = {"Records": [{"s3": {"object": {"key": "a+b.csv", "size": 2**53 + 1}}}]}
    failure = {"requestContext": {"requestId": "old"}, "requestPayload": event}
    again = {"requestContext": {"requestId": "new-request"}, "requestPayload": event}
    sqs = Queues(failed=["nothing", *[json.dumps(failure)] * 10, json.dumps(again)])
    at = Office(STACK, sqs, Functions(), None)
    redrive = Redrive(at, frozenset(), None)
    await redrive.empty(at.mailboxes[1])
    assert [request["InvocationType"] for request in invoked] == ["Event"] * 10
    assert json.loads(invoked[0]["Payload"]) == event
    assert redrive.done.failed == {"failed-0": "it holds no event for the producer"}
    assert list(sqs.messages["failed"]) == ["0", "11"]


@pytest.mark.parametrize("url", ["spans", None])
async def test_span_goes_back_to_its_queue_if_the_stack_names_it(url: str | None) -> None:
    sqs = Queues(dead=[], failed=[], dead_spans=["span"])
    at = Office(replace(STACK, span_queue_url=url, span_dead_letter_queue_url="dead_spans"), sqs, None, None)
    redrive = Redrive(at, frozenset(), None)
    for mailbox in at.mailboxes:
        await redrive.empty(mailbox)
    assert [each["url"] for each in sqs.sent] == ([url] if url else [])
    assert len(redrive.done.failed) == (0 if url else 1)
    assert len(sqs.messages["dead_spans"]) == (0 if url else 1)


async def test_rate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await redriven(Queues(dead=["a", "b", "c"]), rate=2)
    assert waits == pytest.approx([0, 0.5, 1.0], abs=0.1)


@pytest.mark.parametrize("words", [[], ["--all", "some-id"]])
def test_redrive_needs_ids_or_all(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parser().parse_args(["dlq", "redrive", *words])
    assert raised.value.code == 2
    capsys.readouterr()


def test_redrive_of_all_and_of_ids() -> None:
    assert parser().parse_args(["dlq", "redrive", "--all"]).all
    assert parser().parse_args(["dlq", "redrive", "a", "b"]).ids == ["a", "b"]
