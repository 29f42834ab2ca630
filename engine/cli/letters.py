"""A message of a dead-letter queue or of the failure queue -> what is told of it. Never a row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from engine.accounts import iso
from engine.errors import MalformedMessage
from engine.events import read_event
from engine.messages.message import Refused
from engine.messages.parse import parse_message
from engine.messages.plain import PLACE
from engine.messages.rest import FAILING, HANDED_ON, SUPERSEDED, WRITTEN, count_in
from engine.schema.model import Schema

RECORDS, FAILURES, SPANS = "records", "failures", "spans"
"""The queues by what their messages were on the way to: the worker, or the producer with an event or a span."""

OWN_ATTRIBUTES = {
    *("ingestion", "records", "modified", PLACE, HANDED_ON, FAILING, WRITTEN, SUPERSEDED),
    *("ERROR_CODE", "ERROR_MESSAGE", "RULE_ARN", "TARGET_ARN", "EXHAUSTED_RETRY_CONDITION", "RETRY_ATTEMPTS"),
}
"""Message attributes whose values are shown: those of Millpond and of EventBridge. Others may hold row data, as the one
with a row's key does."""

READABLE = "the worker can read it, and failed with it each time; its log says why"
UNKNOWN = "it is nothing that Millpond sent"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is known of one message. `rows` are those that wait, None if nobody can tell."""

    id: str
    queue: str
    sent: str
    received: int
    reason: str
    bucket: str | None = None
    key: str | None = None
    ingestion: str | None = None
    rows: int | None = None
    attributes: Mapping[str, str]
    bytes: int

    def summary(self) -> Json:
        """Return what a list says of it."""
        names = ("id", "queue", "sent", "received", "reason", "bucket", "key", "ingestion", "rows")
        return {name: getattr(self, name) for name in names}

    def details(self) -> Json:
        """Return all that is known of it, without its body."""
        return {**self.summary(), "bytes": self.bytes, "attributes": dict(self.attributes)}

    def of_object(self, bucket: str | None, key: str | None) -> Letter:
        """Return it with the object that its ingestion is of."""
        return replace(self, bucket=bucket, key=key)


def describe(message: Json, queue: str, schema: Schema) -> Letter:
    """Return what is known of a message as ReceiveMessage returns it, with all of its attributes."""
    system, own = message.get("Attributes", {}), message.get("MessageAttributes", {})
    letter = Letter(
        id=message["MessageId"],
        queue=queue,
        sent=iso(int(system.get("SentTimestamp", 0))),
        received=int(system.get("ApproximateReceiveCount", 0)),
        reason=UNKNOWN,
        attributes={
            name: value.get("StringValue", "") if name in OWN_ATTRIBUTES else "…" for name, value in own.items()
        },
        bytes=len(message["Body"].encode()),
    )
    explain: Callable[[Letter, Json, Schema], Letter] = {RECORDS: _record, FAILURES: _failure, SPANS: _span}[queue]
    return explain(letter, message, schema)


def _record(letter: Letter, message: Json, schema: Schema) -> Letter:
    attributes = as_event(message.get("MessageAttributes", {}))
    # The producer puts both beside the body, so that they are known even if the body cannot be read.
    letter = replace(
        letter, ingestion=letter.attributes.get("ingestion"), rows=count_in(attributes, "records") or letter.rows
    )
    sent = int(message.get("Attributes", {}).get("SentTimestamp", 0)) // 1000
    try:
        read = parse_message(message["Body"], attributes, letter.id, sent, schema)
    except MalformedMessage as error:
        return replace(letter, reason=str(error))
    except Exception as error:  # a defect, which the worker's log names in the same way
        return replace(letter, reason=f"it cannot be read: {type(error).__name__}")
    if isinstance(read, Refused):
        return replace(letter, reason=f"its reject could not be recorded; {read.reason}", rows=1)
    rounds, written = count_in(attributes, FAILING), count_in(attributes, WRITTEN)
    notes = [f"handed on {rounds} times in a row because of server errors"] if rounds else []
    notes += [f"{written:,} of its rows are written already"] if written else []
    return replace(
        letter,
        reason="; ".join([READABLE, *notes]),
        bucket=read.source.bucket if read.source else None,
        key=read.source.key if read.source else None,
        ingestion=read.ingestion if read.place else None,
        rows=len(read.numbers),
    )


def _failure(letter: Letter, message: Json, schema: Schema) -> Letter:
    document = _document(message["Body"])
    context, response = (_object(document, name) for name in ("requestContext", "responsePayload"))
    said = [
        *(context[name] for name in ("condition",) if isinstance(context.get(name), str)),
        *(response[name] for name in ("errorType", "errorMessage") if isinstance(response.get(name), str)),
        # EventBridge says in attributes why it could not hand an event to Lambda.
        *(letter.attributes[name] for name in ("ERROR_CODE", "ERROR_MESSAGE") if name in letter.attributes),
    ]
    event = event_of(message["Body"])
    refs = [arrival.ref for notice in read_event(event) for arrival in notice.arrivals] if event is not None else []
    return replace(
        letter,
        reason=": ".join(said) or UNKNOWN,
        bucket=refs[0].bucket if refs else None,
        key=", ".join(ref.key for ref in refs) or None,
    )


def _span(letter: Letter, message: Json, schema: Schema) -> Letter:
    about = _object(_document(message["Body"]), "object")
    bucket, key = (about[name] if isinstance(about.get(name), str) else None for name in ("bucket", "key"))
    return replace(
        letter,
        reason="the producer failed with this span each time; its log says why" if bucket else UNKNOWN,
        bucket=bucket,
        key=key,
        ingestion=letter.attributes.get("ingestion"),
    )


def event_of(body: str) -> Any:
    """Return the event that the producer could not finish, or None if the message holds none."""
    document = _document(body)
    if "requestContext" in document:
        return document.get("requestPayload")
    return document or None


def origin_of(message: Json, queue: str) -> str:
    """Return the id of what failed: the message itself, or the invocation of the producer that the message reports."""
    if queue != FAILURES:
        return str(message["MessageId"])
    return str(_object(_document(message["Body"]), "requestContext").get("requestId"))


def as_event(attributes: Mapping[str, Json]) -> Json:
    """Return message attributes of ReceiveMessage as Lambda's event has them."""
    names = {"StringValue": "stringValue", "BinaryValue": "binaryValue", "DataType": "dataType"}
    return {
        name: {names[field]: value for field, value in attribute.items() if field in names}
        for name, attribute in attributes.items()
    }


def as_sent(attributes: Mapping[str, Json]) -> Json:
    """Return message attributes of ReceiveMessage as SendMessage takes them, unchanged."""
    kept = ("StringValue", "BinaryValue", "DataType")
    return {
        name: {field: attribute[field] for field in kept if field in attribute}
        for name, attribute in attributes.items()
    }


def _document(body: str) -> Json:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _object(document: Json, name: str) -> Json:
    value = document.get(name)
    return value if isinstance(value, dict) else {}
