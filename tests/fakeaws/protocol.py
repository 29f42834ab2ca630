"""The JSON protocols of DynamoDB and SQS: documents in, replies and errors out, as the services write them."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tests.fakeaws.errors import Refusal, not_modelled

JSON_TYPE = "application/x-amz-json-1.0"

# DynamoDB's own errors carry its namespace; those of the layers before it carry theirs.
NAMESPACES = {
    "AccessDeniedException": "com.amazon.coral.service",
    "ExpiredTokenException": "com.amazon.coral.service",
    "MissingAuthenticationTokenException": "com.amazon.coral.service",
    "SerializationException": "com.amazon.coral.service",
    "ServiceUnavailable": "com.amazon.coral.service",
    "ThrottlingException": "com.amazon.coral.availability",
    "UnknownOperationException": "com.amazon.coral.service",
    "UnrecognizedClientException": "com.amazon.coral.service",
    "ValidationException": "com.amazon.coral.validate",
}
# What SQS called them before it spoke JSON, where that is another name; clients are shown the old one.
QUERY_CODES = {
    name: f"AWS.SimpleQueueService.{'NonExistentQueue' if name == 'QueueDoesNotExist' else name}"
    for name in (
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "EmptyBatchRequest",
        "InvalidBatchEntryId",
        "MessageNotInflight",
        "QueueDoesNotExist",
        "TooManyEntriesInBatchRequest",
    )
}


@dataclass(frozen=True, slots=True)
class JsonReply:
    """A reply before it meets the wire."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def document_of(body: bytes) -> dict[str, Any]:
    """Return the body of a request as JSON. Raises `Refusal`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise Refusal("SerializationException", "the body is no JSON object")
    return document


def only(request: Mapping[str, Any], names: frozenset[str]) -> None:
    """Raise `Refusal` if a request has other parameters than those: what they ask for would not be done."""
    if not request.keys() <= names:
        raise not_modelled(f"parameter {min(request.keys() - names)} in this operation")


def json_reply(
    target: str, status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> JsonReply:
    """Return what the service that the X-Amz-Target names would send; DynamoDB adds the checksum of the body."""
    body = orjson.dumps(document)
    checksum = {"x-amz-crc32": str(zlib.crc32(body))} if target.startswith("DynamoDB") else {}
    return JsonReply(status, body, {"Content-Type": JSON_TYPE, **checksum, **(headers or {})})


def error_reply(target: str, refusal: Refusal) -> JsonReply:
    """Return an error in the format of the service that the X-Amz-Target names."""
    code, status = refusal.code, refusal.status
    if target.startswith("AmazonSQS"):
        side = "Receiver" if status >= 500 else "Sender"
        namespace = "com.amazon.coral.service" if code in NAMESPACES else "com.amazonaws.sqs"
        document = {"__type": f"{namespace}#{code}", "message": refusal.message}
        return json_reply(target, status, document, {"x-amzn-query-error": f"{QUERY_CODES.get(code, code)};{side}"})
    namespace = NAMESPACES.get(code, "com.amazonaws.dynamodb.v20120810")
    # The layer that decides on access writes this word with a capital letter.
    word = "Message" if code == "AccessDeniedException" else "message"
    return json_reply(target, status, {"__type": f"{namespace}#{code}", word: refusal.message, **refusal.members})
