"""Lambda events -> the objects that they announce. Pure.

S3 notifications may have several records and encode keys like form fields (``+`` for a blank). EventBridge sends one
object per event, its key unencoded. Both may come as they are, in an SNS message, in an SQS message, or in an SNS
message (its envelope, or raw delivery) in an SQS message. EventBridge Pipes passes a batch of SQS messages as a list,
or what its input transformer takes from each of them. So may the producer's own messages about the rest of an object
or the scan of a range, see `engine.spans` and `engine.scans`.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import orjson

from engine import scans, spans
from engine.errors import UnknownEvent
from engine.identity import ObjectRef
from engine.scans import ScanTask, read_task
from engine.spans import Rest, read_rest
from engine.text import is_text

MAX_WRAPPINGS = 4
"""Messages within messages. AWS itself wraps twice, SNS in SQS; the rest is for programs that forward messages."""

_ETAG = re.compile(r'"?[!#-~]+"?')

# SQS ids are UUIDs; anything else is not to be repeated in logs.
_MESSAGE_ID = re.compile(r"[A-Za-z0-9-]{1,100}")

_COMPRESSIONS = "gz|gzip|zst|zstd|bz2"
# A name with the suffix of a compression alone can be anything: the content tells.
_DATA_FILE = re.compile(
    rf".*\.(?:(?:csv|tsv|tab|psv|txt|jsonl|ndjson|json)(?:\.(?:{_COMPRESSIONS}))?|{_COMPRESSIONS})",
    re.IGNORECASE | re.DOTALL,
)
NO_DATA_FILE = (
    "Only data files are allowed: .csv, .tsv, .tab, .psv, .txt, .jsonl, .ndjson and .json, also with .gz, .zst or .bz2"
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An object that an event announces; `skip` is the reason if there is nothing to do about it.

    `rest`: an earlier invocation ingested the object up to there (None: it is new). `scan`: only a range of it is to be
    scanned.
    """

    ref: ObjectRef
    skip: str | None = None
    rest: Rest | None = None
    scan: ScanTask | None = None


class Notice(NamedTuple):
    """One record of an event: the objects that it announces, in order, and what is wrong with the rest of it.

    `message_id` is that of the SQS message by which Lambda invoked the function, or None if it was invoked otherwise.
    """

    arrivals: list[Arrival]
    fault: UnknownEvent | None = None
    message_id: str | None = None


def read_event(event: Any) -> list[Notice]:
    """Return one notice for each record of an event, in order; an `s3:TestEvent` announces no object."""
    if isinstance(event, list) and event:
        records, read_each = event, _read_member
    elif isinstance(event, dict) and isinstance(event.get("Records"), list):
        records, read_each = event["Records"], _read_record
    else:
        return [_notice(_read_document(event, "the event"))]
    notices = []
    for number, record in enumerate(records, 1):
        notice = _notice(read_each(record, f"the event, record {number}"))
        notices.append(notice._replace(message_id=_message_id(record)))
    return notices


def _notice(found: Iterator[Arrival | UnknownEvent]) -> Notice:
    arrivals: list[Arrival] = []
    fault: UnknownEvent | None = None
    for each in found:
        if isinstance(each, Arrival):
            arrivals.append(each)
        else:
            fault = fault or each
    return Notice(arrivals, fault)


def _message_id(record: Any) -> str | None:
    """Return the id of a record that is an SQS message."""
    if not isinstance(record, dict) or record.get("eventSource") != "aws:sqs":
        return None
    message_id = record.get("messageId")
    return message_id if isinstance(message_id, str) and _MESSAGE_ID.fullmatch(message_id) else None


def _read_document(document: Any, where: str, wrappings: int = 0) -> Iterator[Arrival | UnknownEvent]:
    """Read what a service sends: the whole event, or the text of a message. `where` names it in faults."""
    if not isinstance(document, dict):
        yield UnknownEvent(f"{where}: it is not a JSON object")
    elif isinstance(records := document.get("Records"), list):
        for number, record in enumerate(records, 1):
            yield from _read_record(record, f"{where}, record {number}", wrappings)
    elif document.get("source") == "aws.s3":
        yield _read_object(_from_eventbridge, document, where)
    elif document.get("kind") in (spans.KIND, scans.KIND):
        yield _read_object(_from_producer, document, where)
    elif document.get("Type") == "Notification" and "TopicArn" in document:
        yield from _read_text(document.get("Message"), f"{where}, SNS message", wrappings)
    elif document.get("Type") == "SubscriptionConfirmation":
        yield UnknownEvent(f"{where}: it asks to confirm an SNS subscription, which is to be done by its SubscribeURL")
    elif document.get("Event") == "s3:TestEvent":
        return
    else:
        yield UnknownEvent(
            f'{where}: it is neither an S3 notification nor EventBridge\'s "Object Created", nor an SNS or SQS message '
            "with one of them"
        )


def _read_member(record: Any, where: str) -> Iterator[Arrival | UnknownEvent]:
    """Read one member of a pipe's batch: a record, or the document that an input transformer took from one."""
    is_record = isinstance(record, dict) and ("s3" in record or "Sns" in record or "eventSource" in record)
    return (_read_record if is_record else _read_document)(record, where)


def _read_record(record: Any, where: str, wrappings: int = 0) -> Iterator[Arrival | UnknownEvent]:
    """Read one of the `Records` of a document: an S3 record, or a message of SNS or SQS."""
    if not isinstance(record, dict):
        yield UnknownEvent(f"{where}: it is not a JSON object")
    elif "s3" in record:
        yield _read_object(_from_notification, record, where)
    elif isinstance(message := record.get("Sns"), dict):
        yield from _read_text(message.get("Message"), f"{where}, SNS message", wrappings)
    elif record.get("eventSource") == "aws:sqs":
        about = f" {message_id}" if (message_id := _message_id(record)) else ""
        yield from _read_text(record.get("body"), f"{where}, SQS message{about}", wrappings)
    else:
        yield UnknownEvent(f"{where}: it is a record of neither S3 nor SNS nor SQS")


def _read_text(text: Any, where: str, wrappings: int) -> Iterator[Arrival | UnknownEvent]:
    """Read the text of a message, which is within `wrappings` others."""
    if wrappings == MAX_WRAPPINGS:
        yield UnknownEvent(f"{where}: there are more than {MAX_WRAPPINGS} messages within one another")
        return
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:  # also for what is no text at all
        yield UnknownEvent(f"{where}: its text is not JSON")
        return
    yield from _read_document(document, where, wrappings + 1)


class _Missing(Exception):
    """Something that the announcement of an object must have; the text names it."""


def _read_object(
    read: Callable[[dict[str, Any]], Arrival], document: dict[str, Any], where: str
) -> Arrival | UnknownEvent:
    try:
        return read(document)
    except _Missing as error:
        return UnknownEvent(f"{where}: it lacks {error}")
    except UnknownEvent as error:
        return UnknownEvent(f"{where}: {error}")


def _from_notification(record: dict[str, Any]) -> Arrival:
    s3 = record["s3"]
    about = _part(s3, "object")
    name = _text(record.get("eventName") or "ObjectCreated:", "an event name that is text")
    return _arrival(
        bucket=_part(s3, "bucket").get("name"),
        key=about.get("key"),
        encoded=True,
        version=about.get("versionId"),
        etag=about.get("eTag"),
        # Replicated and restored objects have event names of their own and are not new uploads.
        skip=None if name.removeprefix("s3:").startswith("ObjectCreated:") else f"the event {name} is no upload",
    )


def _from_eventbridge(event: dict[str, Any]) -> Arrival:
    detail = event.get("detail")
    about = _part(detail, "object")
    kind = _text(event.get("detail-type"), "a detail-type that is text")
    return _arrival(
        bucket=_part(detail, "bucket").get("name"),
        key=about.get("key"),
        encoded=False,
        version=about.get("version-id"),
        etag=about.get("etag"),
        skip=None if kind == "Object Created" else f"the event {kind} is no upload",
    )


def _from_producer(document: dict[str, Any]) -> Arrival:
    about = _part(document, "object")
    arrival = _arrival(
        bucket=about.get("bucket"),
        key=about.get("key"),
        encoded=False,
        version=about.get("version"),
        etag=about.get("etag"),
        skip=None,
    )
    if document["kind"] == scans.KIND:
        return replace(arrival, scan=read_task(document))
    return replace(arrival, rest=read_rest(document))


def _part(value: Any, name: str) -> dict[str, Any]:
    part = value.get(name) if isinstance(value, dict) else None
    if not isinstance(part, dict):
        raise _Missing(f"the description of its {name}")
    return part


def _text(value: Any, what: str) -> str:
    if not is_text(value):
        raise _Missing(what)
    return str(value)


def is_data_file(name: str) -> bool:
    """Return whether a key or path has the suffix of a file that can be read; what it is follows from its content."""
    return _DATA_FILE.fullmatch(name) is not None


def _arrival(*, bucket: Any, key: Any, encoded: bool, version: Any, etag: Any, skip: str | None) -> Arrival:
    bucket, key = _text(bucket or None, "a bucket's name that is text"), _text(key or None, "a key that is text")
    version = _text(version or "", "a version id that is text") or None
    etag = _text(etag or "", "an ETag that is text") or None
    if encoded:
        key = unquote_plus(key)
    if skip is None and key.endswith("/"):
        skip = "a folder marker"
    if skip is None and not is_data_file(key):
        skip = NO_DATA_FILE
    if etag and not _ETAG.fullmatch(etag):
        raise _Missing("an ETag of printable characters")  # it becomes a header field
    return Arrival(ObjectRef(bucket, key, version, etag.strip('"') if etag else None), skip)
