"""The three functions as Lambda calls them: contexts, events, and processes that end with the test."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, quote_plus

from engine.handlers import producer, query, worker

Json = dict[str, Any]

SENT_MS = 1_775_260_899_123
"""When SQS took the messages of `sqs_record`: to the millisecond, 99 s after `MODIFIED` of messages."""


class Context:
    """Lambda's context: the time runs from the moment when it is made."""

    def __init__(self, seconds: float = 60.0, request_id: str = "request-1") -> None:
        """Give the function that many seconds."""
        self.aws_request_id = request_id
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would stop the function."""
        return max(0, int((self._end - time.monotonic()) * 1000))


@contextmanager
def fresh_processes() -> Iterator[None]:
    """Close what the handlers have opened, so that the next test's settings are read anew."""
    try:
        yield
    finally:
        for module in (producer, worker, query):
            module.process.close()


def s3_record(
    bucket: str,
    key: str,
    *,
    etag: str | None = None,
    version: str | None = None,
    name: str = "ObjectCreated:Put",
) -> Json:
    """One record of an S3 notification, its key encoded as S3 does it: like a form's field, but for slashes."""
    about = {"key": quote_plus(key, safe="/"), "size": 1, "sequencer": "00"}
    about |= {"eTag": etag} if etag else {}
    about |= {"versionId": version} if version else {}
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": about},
    }


def event_of(*records: Json) -> Json:
    """An event of several records, of S3 or of SQS."""
    return {"Records": list(records)}


def sqs_record(
    message_id: str, body: str | Json, *, sent: int = SENT_MS, attributes: Mapping[str, str] | None = None
) -> Json:
    """One message as the event source mapping hands it over; `attributes` are its message attributes, as text."""
    return {
        "messageId": message_id,
        "receiptHandle": "handle",
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(sent)},
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String"} for name, value in (attributes or {}).items()
        },
        "eventSource": "aws:sqs",
    }


def failures(answer: Json) -> list[str]:
    """The message ids of a partial batch response, whose shape is checked: a wrong one would count as all failed."""
    assert set(answer) == {"batchItemFailures"}
    assert all(set(failure) == {"itemIdentifier"} for failure in answer["batchItemFailures"])
    return sorted(failure["itemIdentifier"] for failure in answer["batchItemFailures"])


def api_event(path: str, method: str = "GET", **query: str) -> Json:
    """A REST proxy event for the path as a client wrote it; the resource is found as API Gateway does it."""
    match path.strip("/").split("/"):
        case ["users"]:
            resource, parameters = "/users", None
        case ["users", email]:
            resource, parameters = "/users/{email}", {"email": email}
        case ["users", email, "history"]:
            resource, parameters = "/users/{email}/history", {"email": email}
        case _:
            resource, parameters = "/{proxy+}", {"proxy": path.strip("/")}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "pathParameters": parameters,  # as the client encoded them
        "queryStringParameters": query or None,
    }


def encoded(text: str) -> str:
    """A text as a path segment."""
    return quote(text, safe="")


def metrics_in(output: str) -> list[dict[str, int]]:
    """The counts of each line of metrics among what a function has printed."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith('{"_aws"')]
    return [{name: line[name] for name in line if name not in ("_aws", "FunctionName")} for line in lines]
