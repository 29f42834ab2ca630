"""What Lambda's event source mapping does between SQS and a worker: receive, invoke, delete."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def drain(invoke: Callable[[Any], None]) -> int:
    """Hand over every message of the queue, 10 at a time; returns the records that were in them."""
    import boto3
    from botocore.config import Config

    sqs = boto3.client("sqs", config=Config(parameter_validation=False))
    url = os.environ["QUEUE_URL"]
    records = 0
    while True:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages")
        if not messages:
            return records
        invoke({"Records": [_as_event(message) for message in messages]})
        counted = (message.get("MessageAttributes", {}).get("records") for message in messages)
        records += sum(int(attribute["StringValue"]) if attribute else 1 for attribute in counted)
        entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
        sqs.delete_message_batch(QueueUrl=url, Entries=entries)


def _as_event(message: Any) -> Any:
    attributes = message.get("MessageAttributes", {}).items()
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: {"stringValue": value["StringValue"], "dataType": value["DataType"]} for name, value in attributes
        },
        "eventSource": "aws:sqs",
    }
