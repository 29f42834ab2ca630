"""`millpond dlq` and `millpond logs` on the local AWS: what failed is found with its reason, and goes back."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from engine.cli.command import main
from engine.cli.ledger import open_ledger
from engine.cli.letters import READABLE, as_sent
from tests.builders.invocations import event_of, s3_record
from tests.e2e.conftest import LocalStack
from tests.e2e.table import eventually
from tests.e2e.test_ingest_command import worker_disabled

Json = dict[str, Any]


class Commands:
    def __init__(self, stack: LocalStack, capsys: pytest.CaptureFixture[str]) -> None:
        self.at = ["--endpoint-url", stack.endpoint_url, "--region", "us-east-1"]
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str]:
        self._capsys.readouterr()
        code = main([*words, *self.at])
        return code, self._capsys.readouterr().out

    def letters(self) -> dict[str, Json]:
        code, out = self("dlq", "list", "--json")
        assert code == 0
        return {letter["id"]: letter for letter in json.loads(out)}


@pytest.fixture
def millpond(local_stack: LocalStack, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(local_stack, capsys)


async def take_from_queue(stack: LocalStack, name: str) -> Json:
    """Upload a file of 3 users and return the message that the producer sent for it, taken from the record queue."""
    found: list[Json] = []
    async with stack.client("s3") as s3, stack.client("sqs") as sqs:
        body = "name,mail\n" + "".join(f"N{n},u{n}@{name}\n" for n in range(3))
        await s3.put_object(Bucket=stack.outputs.bucket, Key=f"uploads/{name}.csv", Body=body.encode())

        async def sent() -> bool:
            url = stack.outputs.queue_url
            reply = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
            for message in reply.get("Messages", []):
                if name in message["Body"]:
                    found.append(message)
                    await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return bool(found)

        await eventually(sent, "the message of the file")
    return found[0]


def send(stack: LocalStack, url: str, message: Json) -> str:
    async def sent() -> str:
        async with stack.client("sqs") as sqs:
            attributes = as_sent(message.get("MessageAttributes", {}))
            reply = await sqs.send_message(QueueUrl=url, MessageBody=message["Body"], MessageAttributes=attributes)
            return str(reply["MessageId"])

    return asyncio.run(sent())


def wait_for(look: Callable[[], Any], what: str) -> None:
    """Wait until `look` says yes; commands run in the main thread, and bring loops of their own."""
    end = time.monotonic() + 90
    while not look():
        assert time.monotonic() < end, f"waited 90 s for {what}"
        time.sleep(0.2)


def test_poisoned_message_is_listed_with_its_reason(local_stack: LocalStack, millpond: Commands) -> None:
    ingestion = uuid.uuid4().hex[:20]
    attributes = {"ingestion": {"DataType": "String", "StringValue": ingestion}}
    body = f"{{}} poison {ingestion}"
    send(local_stack, local_stack.outputs.queue_url, {"Body": body, "MessageAttributes": attributes})

    def mine() -> list[Json]:
        return [each for each in millpond.letters().values() if each["ingestion"] == ingestion]

    wait_for(mine, "the poisoned message among those that failed")
    (letter,) = mine()  # listing it twice shows it twice: it stayed where it is
    assert (letter["queue"], letter["reason"]) == ("records", "the body is not JSON")
    code, out = millpond("dlq", "show", letter["id"], "--json", "--body")
    assert (code, json.loads(out)["body"]) == (0, body)
    code, out = millpond("dlq", "show", letter["id"])
    assert code == 0
    assert "the body is not JSON" in out
    assert "poison" not in out
    assert millpond("dlq", "show", "unknown")[0] == 1


def test_message_that_is_sent_back_completes_its_ingestion(local_stack: LocalStack, millpond: Commands) -> None:
    name = f"{uuid.uuid4().hex[:8]}.example"
    with worker_disabled(local_stack):
        message = asyncio.run(take_from_queue(local_stack, name))
    sent = send(local_stack, local_stack.outputs.dead_letter_queue_url, message)
    letter = millpond.letters()[sent]
    assert (letter["key"], letter["rows"], letter["reason"]) == (f"uploads/{name}.csv", 3, READABLE)

    async def status() -> str:
        async with open_ledger(
            local_stack.outputs, endpoint_url=local_stack.endpoint_url, region="us-east-1"
        ) as ledger:
            account = await ledger.account(letter["ingestion"])
            assert account is not None
            return str(ledger.document(account)["status"])

    assert asyncio.run(status()) != "done"
    code, out = millpond("dlq", "redrive", sent, "unknown", "--json")
    assert code == 1
    assert json.loads(out) == {"sent": [sent], "failed": {}, "notFound": ["unknown"]}
    wait_for(lambda: asyncio.run(status()) == "done", "the end of the ingestion")
    assert sent not in millpond.letters()
    code, out = millpond("logs", letter["ingestion"], "--json")
    assert code == 0
    lines = [line for line in map(json.loads, out.splitlines()) if line.get("key") == letter["key"]]
    assert {(line["function"], line["event"]) for line in lines} == {("producer", "object")}


def test_event_in_the_failure_queue_goes_back_to_the_producer(local_stack: LocalStack, millpond: Commands) -> None:
    name = f"{uuid.uuid4().hex[:8]}.example"
    failure = {
        "requestContext": {"requestId": "r", "condition": "RetriesExhausted"},
        "requestPayload": event_of(s3_record(local_stack.outputs.bucket, f"uploads/{name}.txt")),
        "responsePayload": {"errorType": "ServiceError", "errorMessage": "no permission"},
    }
    sent = send(local_stack, local_stack.outputs.failure_queue_url, {"Body": json.dumps(failure)})
    letter = millpond.letters()[sent]
    assert (letter["queue"], letter["reason"]) == ("failures", "RetriesExhausted: ServiceError: no permission")
    assert millpond("dlq", "redrive", sent) == (0, "  ✓ 1 message sent back\n")
    # The object does not exist, as the producer finds out and logs.
    wait_for(lambda: name in millpond("logs", f"uploads/{name}.txt")[1], "the producer's word on the object")
    assert sent not in millpond.letters()
