"""DynamoDB and SQS as far as the hot calls need them: their limits, their errors and their replies, in memory.

No sockets here. A call returns the body of the reply or raises `Refusal`. Limits and wordings are those of the
services' API references.
"""

import base64
import hashlib
import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from tests.faults.plans import Failed, Fault, Json, Poison, Unmentioned, Unprocessed, chosen

Key = tuple[str, ...]

MOST_WRITES = 25
MOST_REQUEST_BYTES = 16 * 1024 * 1024
MOST_ITEM_BYTES = 400 * 1024
MOST_KEY_BYTES = (2048, 1024)
MOST_DIGITS = 38
# The default context would round to 28 digits.
EXACT = Context(prec=1000)

MOST_ENTRIES = 10
MOST_BATCH_BYTES = 1024 * 1024
ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Refusal(Exception):
    """The service's error reply."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """Name the error as the service does."""
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def invalid(message: str) -> Refusal:
    """DynamoDB's answer to a request that breaks a rule."""
    return Refusal("ValidationException", message)


def value_bytes(value: Mapping[str, Any]) -> int:
    """The size that DynamoDB bills an attribute value at, in bytes."""
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return len(Decimal(content).normalize(EXACT).as_tuple().digits) // 2 + 2
    if kind == "B":
        return len(base64.b64decode(content))
    if kind == "L":
        return 3 + sum(1 + value_bytes(each) for each in content)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + value_bytes(each) for name, each in content.items())
    return 1


@dataclass
class Table:
    """A table: the last item of each key, how often each was written, and the size of each batch.

    `key` maps one or two attribute names, the hash key first, to S or N. Keys are tuples of text, a number in its
    shortest form, for DynamoDB keeps no trailing zeros either.
    """

    key: Mapping[str, str]
    items: dict[Key, Json] = field(default_factory=dict)
    writes: Counter[Key] = field(default_factory=Counter)
    batches: list[int] = field(default_factory=list)

    def key_of(self, item: Json) -> Key:
        """The item's key, or the refusal that a wrong one earns."""
        parts = []
        for (name, kind), most in zip(self.key.items(), MOST_KEY_BYTES, strict=False):
            if name not in item:
                raise invalid(f"One or more parameter values were invalid: Missing the key {name} in the item")
            ((actual, value),) = item[name].items()
            if actual != kind:
                raise invalid(
                    "One or more parameter values were invalid: "
                    f"Type mismatch for key {name} expected: {kind} actual: {actual}"
                )
            if value == "":
                raise invalid(
                    "One or more parameter values are not valid. "
                    f"The AttributeValue for a key attribute cannot contain an empty string value. Key: {name}"
                )
            if value_bytes(item[name]) > most:
                raise invalid(f"One or more parameter values were invalid: Size of {name} has exceeded {most} bytes")
            parts.append(value if kind == "S" else format(Decimal(value).normalize(EXACT), "f"))
        return tuple(parts)

    def check(self, item: Json) -> Key:
        """The item's key, or the refusal that a rule which it breaks earns."""
        for value in item.values():
            number = value.get("N")
            if number is not None and not is_number(number):
                raise invalid(f"The parameter cannot be converted to a numeric value: {number}")
        key = self.key_of(item)
        if sum(len(name.encode()) + value_bytes(value) for name, value in item.items()) > MOST_ITEM_BYTES:
            raise invalid("Item size has exceeded the maximum allowed size")
        return key


def is_number(text: str) -> bool:
    """Whether DynamoDB takes it for a number of at most 38 digits."""
    try:
        number = Decimal(text)
    except ArithmeticError:
        return False
    return number.is_finite() and len(number.normalize(EXACT).as_tuple().digits) <= MOST_DIGITS


def batch_write_item(tables: Mapping[str, Table], body: Json, size: int, fault: Fault | None) -> Json:
    """Write a batch whose request had that many bytes; all of it is checked before any of it is written."""
    if size > MOST_REQUEST_BYTES:
        raise Refusal("RequestEntityTooLargeException", "Request size exceeds 16 MB", 413)
    requests = body["RequestItems"]
    if not 1 <= sum(map(len, requests.values())) <= MOST_WRITES:
        raise invalid("Too many items requested for the BatchWriteItem call")
    planned = []
    for name, puts in requests.items():
        if name not in tables:
            raise Refusal("ResourceNotFoundException", "Requested resource not found")
        planned += [(name, tables[name].check(put["PutRequest"]["Item"]), put) for put in puts]
    if len({(name, key) for name, key, _ in planned}) < len(planned):
        raise invalid("Provided list of item keys contains duplicates")
    items = [put["PutRequest"]["Item"] for _, _, put in planned]
    if isinstance(fault, Poison) and any(map(fault.item, items)):
        raise invalid(fault.message)
    left = chosen(fault.which, items) if isinstance(fault, Unprocessed) else set()
    unprocessed: Json = {}
    for index, (name, key, put) in enumerate(planned):
        if index in left:
            unprocessed.setdefault(name, []).append(put)
        else:
            tables[name].items[key] = put["PutRequest"]["Item"]
            tables[name].writes[key] += 1
    for name, puts in requests.items():
        tables[name].batches.append(len(puts))
    return {"UnprocessedItems": unprocessed}


@dataclass(frozen=True)
class Message:
    """What SQS was given to deliver."""

    body: str
    attributes: Json


@dataclass
class Queue:
    """A queue: the messages it took, and the number of entries in each batch."""

    messages: list[Message] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)


def attribute_bytes(attributes: Json) -> int:
    """What message attributes count for in the size limits: name, type and value."""
    return sum(
        len(name.encode()) + len(value["DataType"].encode()) + len(value["StringValue"].encode())
        for name, value in attributes.items()
    )


def attributes_md5(attributes: Json) -> str:
    """The digest that SQS returns: by name, each field with its length before it, 1 for a textual value."""
    digest = hashlib.md5(usedforsecurity=False)
    for name, value in sorted(attributes.items()):
        kind, text = value["DataType"].encode(), value["StringValue"].encode()
        digest.update(struct.pack(">I", len(name.encode())) + name.encode())
        digest.update(struct.pack(">I", len(kind)) + kind + b"\x01")
        digest.update(struct.pack(">I", len(text)) + text)
    return digest.hexdigest()


def check_entries(entries: Sequence[Json]) -> None:
    """Raise for what SQS refuses the whole batch for."""
    ids = [entry["Id"] for entry in entries]
    if not entries:
        raise Refusal("EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request.")
    if len(entries) > MOST_ENTRIES:
        raise Refusal("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10.")
    if len(set(ids)) < len(ids):
        raise Refusal("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
    if not all(map(ENTRY_ID.fullmatch, ids)):
        raise Refusal("InvalidBatchEntryId", "The Id of a batch entry can only contain alphanumeric characters.")
    total = sum(
        len(entry["MessageBody"].encode()) + attribute_bytes(entry.get("MessageAttributes", {})) for entry in entries
    )
    if total > MOST_BATCH_BYTES:
        raise Refusal("BatchRequestTooLong", f"Batch requests cannot be longer than {MOST_BATCH_BYTES} bytes.")


def send_message_batch(queues: Mapping[str, Queue], body: Json, fault: Fault | None) -> Json:
    """Take a batch of entries; an entry with illegal characters fails alone, by the sender's fault."""
    name = body["QueueUrl"].rpartition("/")[2]
    if name not in queues:
        raise Refusal("QueueDoesNotExist", "The specified queue does not exist.")
    queue, entries = queues[name], body["Entries"]
    check_entries(entries)
    hit = chosen(fault.which, entries) if isinstance(fault, Failed | Unmentioned) else set()
    successful, failed = [], []
    for index, entry in enumerate(entries):
        text, attributes = entry["MessageBody"], entry.get("MessageAttributes", {})
        if ILLEGAL.search(text):
            failed.append({"Id": entry["Id"], "Code": "InvalidMessageContents", "SenderFault": True})
            continue
        if index in hit and isinstance(fault, Failed):
            failed.append({"Id": entry["Id"], "Code": fault.code, "SenderFault": fault.sender_fault})
            continue
        if index in hit and isinstance(fault, Unmentioned) and not fault.accepted:
            continue
        queue.messages.append(Message(text, attributes))
        if index not in hit:
            successful.append(receipt(entry["Id"], f"message-{len(queue.messages)}", text, attributes))
    queue.batches.append(len(entries))
    return {key: value for key, value in (("Successful", successful), ("Failed", failed)) if value}


def receipt(entry_id: str, message_id: str, text: str, attributes: Json) -> Json:
    """The reply's entry for a message that was taken."""
    digests = {"MD5OfMessageBody": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}
    if attributes:
        digests["MD5OfMessageAttributes"] = attributes_md5(attributes)
    return {"Id": entry_id, "MessageId": message_id, **digests}
