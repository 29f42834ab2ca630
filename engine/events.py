"""Lambda events -> the objects that they announce. Pure.

S3 notifications may have several records and encode keys like form fields (``+`` for a blank). EventBridge sends one
object per event, its key unencoded. https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from engine.errors import UnknownEvent
from engine.identity import ObjectRef
from engine.text import is_text


@dataclass(frozen=True, slots=True)
class Arrival:
    """An object that an event announces; `skip` is the reason if there is nothing to do about it."""

    ref: ObjectRef
    skip: str | None = None


_ETAG = re.compile(r'"?[!#-~]+"?')

ONLY_CSV = "Only CSV files are allowed"


def arrivals(event: Any) -> list[Arrival]:
    """Return the objects of an event, in order; an `s3:TestEvent` has none. Raises `UnknownEvent`."""
    if not isinstance(event, dict):
        raise UnknownEvent("the event is not a JSON object")
    if event.get("Event") == "s3:TestEvent":
        return []
    try:
        if "Records" in event:
            return [_from_notification(record) for record in event["Records"]]
        if event.get("source") == "aws.s3":
            return [_from_eventbridge(event)]
    except (KeyError, TypeError, AttributeError) as error:
        raise UnknownEvent(f"the event lacks what an S3 event has: {type(error).__name__} {error}") from None
    raise UnknownEvent('the event is neither an S3 notification nor EventBridge\'s "Object Created"')


def _from_notification(record: dict[str, Any]) -> Arrival:
    s3 = record["s3"]
    name = str(record.get("eventName", "ObjectCreated:"))
    return _arrival(
        bucket=s3["bucket"]["name"],
        key=unquote_plus(s3["object"]["key"]),
        version=s3["object"].get("versionId"),
        etag=s3["object"].get("eTag"),
        # Replicated and restored objects have event names of their own and are not new uploads.
        skip=None if name.removeprefix("s3:").startswith("ObjectCreated:") else f"the event {name} is no upload",
    )


def _from_eventbridge(event: dict[str, Any]) -> Arrival:
    detail = event["detail"]
    kind = event.get("detail-type")
    return _arrival(
        bucket=detail["bucket"]["name"],
        key=detail["object"]["key"],
        version=detail["object"].get("version-id"),
        etag=detail["object"].get("etag"),
        skip=None if kind == "Object Created" else f"the event {kind} is no upload",
    )


def _arrival(*, bucket: Any, key: Any, version: Any, etag: Any, skip: str | None) -> Arrival:
    for name, value in (
        ("a bucket's name", bucket),
        ("a key", key),
        ("a version id", version or ""),
        ("an ETag", etag or ""),
    ):
        if not is_text(value):
            raise TypeError(f"{name} that is text")
    if skip is None and key.endswith("/"):
        skip = "a folder marker"
    if skip is None and not key.lower().endswith(".csv"):
        skip = ONLY_CSV
    if etag and not _ETAG.fullmatch(etag):
        raise TypeError("an ETag of other characters")  # it becomes a header field
    return Arrival(ObjectRef(bucket, key, version or None, etag.strip('"') if etag else None), skip)
