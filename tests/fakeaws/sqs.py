"""A model of SQS's calls, over queues by name. The time is an argument, in seconds since 1970 or on any other clock.

    dead = Queue()
    queue = Queue(visibility_timeout=360, max_receive_count=5, dead_letters=dead)
    sqs = Sqs({"user-csv-queue": queue, "user-csv-dlq": dead})
    reply = sqs.call("SendMessageBatch", body, now)  # raises `Refusal`

Limits and wordings are those of the API reference.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from tests.fakeaws.errors import Refusal, not_modelled
from tests.fakeaws.message_attributes import attribute_bytes, attributes_md5
from tests.fakeaws.protocol import document_of, only
from tests.fakeaws.queues import Queue

Json = dict[str, Any]

MAX_ENTRIES = 10
MAX_BATCH_BYTES = 1024 * 1024
MAX_ATTRIBUTES = 10
MAX_DELAY = 900
MAX_VISIBILITY = 43_200
ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
GROUP = re.compile("[!-~]{1,128}")
_LEGAL_ASCII = bytes([9, 10, 13, *range(32, 128)])
_MESSAGE = frozenset({"MessageBody", "MessageAttributes", "DelaySeconds", "MessageGroupId"})
_ENTRY = _MESSAGE | {"Id"}
_BATCH = frozenset({"QueueUrl", "Entries"})
_RECEIVE = frozenset(
    {
        "QueueUrl",
        "MaxNumberOfMessages",
        "VisibilityTimeout",
        "WaitTimeSeconds",
        "AttributeNames",
        "MessageSystemAttributeNames",
        "MessageAttributeNames",
    }
)
ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Entry(NamedTuple):
    """A message to send, found valid as part of its batch."""

    id: str
    text: str
    encoded: bytes
    attributes: Json
    delay: Any
    group: Any
    size: int
    """Bytes that count in the limits, and are billed for."""


class Sqs:
    """Queues by name, behind one endpoint."""

    def __init__(self, queues: dict[str, Queue]) -> None:
        self.queues = queues

    def call(self, operation: str, body: bytes, now: float) -> Json:
        """Answer a call of the JSON protocol. Raises `Refusal`."""
        request = document_of(body)
        match operation:
            case "SendMessageBatch":
                entries = self.checked(request)
                return self.send(self.queue(request["QueueUrl"]), entries, now)
            case "SendMessage":
                return self._send_one(request, now)
            case "ReceiveMessage":
                return self._receive(request, now)
            case "DeleteMessage":
                only(request, frozenset({"QueueUrl", "ReceiptHandle"}))
                self.queue(request["QueueUrl"]).delete(request["ReceiptHandle"])
                return {}
            case "ChangeMessageVisibility":
                only(request, frozenset({"QueueUrl", "ReceiptHandle", "VisibilityTimeout"}))
                _change_visibility(self.queue(request["QueueUrl"]), request, now)
                return {}
            case "DeleteMessageBatch":
                return self._each(request, lambda queue, entry: queue.delete(entry["ReceiptHandle"]))
            case "ChangeMessageVisibilityBatch":
                return self._each(request, lambda queue, entry: _change_visibility(queue, entry, now))
            case "GetQueueAttributes":
                only(request, frozenset({"QueueUrl", "AttributeNames"}))
                return {"Attributes": self.queue(request["QueueUrl"]).described(request.get("AttributeNames", []), now)}
        raise not_modelled(f"operation {operation} of SQS")

    def queue(self, url: str) -> Queue:
        """Return a queue by its URL. Raises `Refusal`."""
        name = url.rpartition("/")[2]
        if name not in self.queues:
            raise Refusal("QueueDoesNotExist", "The specified queue does not exist.")
        return self.queues[name]

    def checked(self, request: Json) -> list[Entry]:
        """Return the entries of a SendMessageBatch request that is valid as a whole. Raises `Refusal`."""
        only(request, _BATCH)
        self.queue(request["QueueUrl"])
        check_ids(request["Entries"])
        entries = [_entry(entry, entry["Id"]) for entry in request["Entries"]]
        if sum(entry.size for entry in entries) > MAX_BATCH_BYTES:
            raise Refusal("BatchRequestTooLong", f"Batch requests cannot be longer than {MAX_BATCH_BYTES} bytes.")
        return entries

    def send(self, queue: Queue, entries: Iterable[Entry], now: float, *, trusted: bool = False) -> Json:
        """Take checked entries; one that breaks a rule of messages fails alone, by the sender's fault.

        Where the sender is `trusted`, the rules of single messages are not checked, and the reply has no digest of
        attributes.
        """
        successful, failed = [], []
        for entry in entries:
            try:
                receipt = _take(queue, entry, now, trusted=trusted)
            except Refusal as refusal:
                said = {"Message": refusal.message} if refusal.message else {}
                failed.append({"Id": entry.id, "Code": refusal.code, **said, "SenderFault": True})
            else:
                receipt["Id"] = entry.id
                successful.append(receipt)
        queue.batches.append(len(successful) + len(failed))
        return _results(successful, failed)

    def _send_one(self, request: Json, now: float) -> Json:
        only(request, _MESSAGE | {"QueueUrl"})
        queue = self.queue(request["QueueUrl"])
        entry = _entry({name: request[name] for name in _MESSAGE if name in request})
        if entry.size > MAX_BATCH_BYTES:
            raise _invalid(
                f"One or more parameters are invalid. Reason: Message must be shorter than {MAX_BATCH_BYTES}."
            )
        return _take(queue, entry, now)

    def _receive(self, request: Json, now: float) -> Json:
        # Waiting for messages is the client's affair here: the clock is not this model's. All attributes are told.
        only(request, _RECEIVE)
        queue, most = self.queue(request["QueueUrl"]), request.get("MaxNumberOfMessages", 1)
        if not 1 <= most <= MAX_ENTRIES:
            raise _invalid("Value for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10.")
        received = [message.received() for message in queue.receive(most, now, request.get("VisibilityTimeout"))]
        return {"Messages": received} if received else {}

    def _each(self, request: Json, do: Callable[[Queue, Json], None]) -> Json:
        """Answer a batch of receipt handles, each of which may fail alone."""
        only(request, _BATCH)
        queue = self.queue(request["QueueUrl"])
        check_ids(request["Entries"])
        successful, failed = [], []
        for entry in request["Entries"]:
            try:
                do(queue, entry)
            except Refusal as refusal:
                failed.append({"Id": entry["Id"], "Code": refusal.code, "SenderFault": True})
            else:
                successful.append({"Id": entry["Id"]})
        return _results(successful, failed)


def _results(successful: list[Json], failed: list[Json]) -> Json:
    return {key: value for key, value in (("Successful", successful), ("Failed", failed)) if value}


def _change_visibility(queue: Queue, request: Json, now: float) -> None:
    seconds = request["VisibilityTimeout"]
    if not 0 <= seconds <= MAX_VISIBILITY:
        raise _invalid(f"VisibilityTimeout must be between 0 and {MAX_VISIBILITY}.")
    queue.change_visibility(request["ReceiptHandle"], seconds, now)


def _entry(message: Json, entry_id: str = "") -> Entry:
    only(message, _ENTRY)
    text: str = message["MessageBody"]
    attributes = message.get("MessageAttributes") or {}
    encoded = text.encode()
    size = len(encoded) + attribute_bytes(attributes)
    return Entry(entry_id, text, encoded, attributes, message.get("DelaySeconds"), message.get("MessageGroupId"), size)


def _take(queue: Queue, entry: Entry, now: float, *, trusted: bool = False) -> Json:
    """Take one message, and return the reply to its sender. Raises `Refusal` if it breaks a rule of messages."""
    if not trusted:
        _check_message(entry)
    message = queue.send(entry.text, entry.attributes, now, entry.delay, entry.group)
    digests = {"MD5OfMessageBody": hashlib.md5(entry.encoded, usedforsecurity=False).hexdigest()}
    if entry.attributes and not trusted:
        digests["MD5OfMessageAttributes"] = attributes_md5(entry.attributes)
    return {"MessageId": message.message_id, **digests}


def _check_message(entry: Entry) -> None:
    if not entry.text:
        raise Refusal("MissingParameter", "The request must contain the parameter MessageBody.")
    # Without the many that are plain ASCII, quickly: a search takes ten times as long.
    if ILLEGAL.search(entry.encoded.translate(None, _LEGAL_ASCII).decode()):
        raise Refusal("InvalidMessageContents", "")
    if len(entry.attributes) > MAX_ATTRIBUTES:
        raise _invalid(f"Number of message attributes exceeds the limit of {MAX_ATTRIBUTES}.")
    if not all(map(_is_value, entry.attributes.values())):
        raise _invalid("A message attribute has no valid type or value.")
    if entry.delay is not None and not 0 <= entry.delay <= MAX_DELAY:
        raise _invalid(f"DelaySeconds must be between 0 and {MAX_DELAY}.")
    if entry.group is not None and not GROUP.fullmatch(entry.group):
        raise _invalid("MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.")


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterValue", message)


def _is_value(value: Json) -> bool:
    kind = value.get("DataType", "").partition(".")[0]
    return kind in ("String", "Number") and bool(value.get("StringValue"))


def check_ids(entries: Sequence[Json]) -> None:
    """Raise `Refusal` for a batch of no entries or too many, or of ids that are wrong."""
    ids = [entry["Id"] for entry in entries]
    if not entries:
        raise Refusal("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > MAX_ENTRIES:
        raise Refusal("TooManyEntriesInBatchRequest", f"Maximum number of entries per request are {MAX_ENTRIES}.")
    if len(set(ids)) < len(ids):
        raise Refusal("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
    if not all(map(ENTRY_ID.fullmatch, ids)):
        raise Refusal("InvalidBatchEntryId", "The Id of a batch entry can only contain alphanumeric characters.")
