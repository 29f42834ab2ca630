"""A model of DynamoDB: tables with keys, capacity and pages. The time is an argument, in seconds on any clock.

    users = Table({"email": "S", "createdAt": "N"}, TokenBucket(25, tokens=0))
    dynamodb = DynamoDB({"users": users})
    reply = dynamodb.call("BatchWriteItem", body, now)  # raises `Refusal`

Limits and wordings are those of the API reference.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.fakeaws.attributes import check_value, invalid, item_bytes, key_text
from tests.fakeaws.capacity import TokenBucket
from tests.fakeaws.conditions import condition_of
from tests.fakeaws.errors import Refusal, not_modelled
from tests.fakeaws.protocol import document_of, only
from tests.fakeaws.reads import query, scan
from tests.fakeaws.updates import updated

Json = dict[str, Any]
Key = tuple[str, ...]

MAX_WRITES = 25
MAX_GETS = 100
MAX_REQUEST_BYTES = 16 * 1024 * 1024
MAX_ITEM_BYTES = 400 * 1024
MAX_KEY_BYTES = (2048, 1024)
UNIT_BYTES = 1024
"""One write capacity unit pays for each KiB of an item begun."""

_BATCH_WRITE = frozenset({"RequestItems", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics"})

_PUT = frozenset(
    {
        "TableName",
        "Item",
        "ConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ReturnConsumedCapacity",
    }
)

_DELETE = _PUT - {"Item", "ReturnConsumedCapacity"} | {"Key"}

_UPDATE = _PUT - {"Item", "ReturnConsumedCapacity"} | {"Key", "UpdateExpression", "ReturnValues"}

EXCEEDED = Refusal(
    "ProvisionedThroughputExceededException",
    "The level of configured provisioned throughput for the table was exceeded. "
    "Consider increasing your provisioning level with the UpdateTable API.",
)


@dataclass
class Table:
    """A table: the last item of each key, how often each was written, and the sizes of its batches.

    `key` maps one or two attribute names, the partition key first, to S, N or B. Keys are tuples of text, a number in
    its shortest form.
    """

    key: Mapping[str, str]
    capacity: TokenBucket | None = None
    """Write capacity in units a second; None: without limit."""
    whole_share: float = 0.0
    """Share of the batches over capacity that are refused as a whole; of the others, what fits is written.

    A batch of which nothing fits is always refused as a whole.
    """
    draw: random.Random = field(default_factory=lambda: random.Random(1))
    items: dict[Key, Json] = field(default_factory=dict)
    writes: Counter[Key] = field(default_factory=Counter)
    batches: list[int] = field(default_factory=list)
    indexes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Global secondary indexes: the key of each, like `key`. Items without one of its attributes are not in it."""
    units: int = 0
    """Write units of updates."""
    throttled: int = 0
    """Batches that were refused in part or whole for want of capacity."""

    def __post_init__(self) -> None:
        """Look up what each key attribute must be, once and not for each item."""
        self._key_parts = [
            (name, kind, most) for (name, kind), most in zip(self.key.items(), MAX_KEY_BYTES, strict=False)
        ]

    def key_of(self, item: Mapping[str, Any]) -> Key:
        """Return the key of an item whose values are valid. Raises `Refusal` if it is missing or wrong."""
        parts = []
        for name, kind, most in self._key_parts:
            value = item.get(name)
            if value is None:
                raise invalid(f"One or more parameter values were invalid: Missing the key {name} in the item")
            content = value.get(kind)
            if content is None:
                raise invalid(
                    "One or more parameter values were invalid: "
                    f"Type mismatch for key {name} expected: {kind} actual: {min(value, default='nothing')}"
                )
            if content == "":
                what = "string" if kind == "S" else "binary"
                raise invalid(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute "
                    f"cannot contain an empty {what} value. Key: {name}"
                )
            if kind != "N" and len(content) * 4 > most and check_value(value) > most:
                raise invalid(f"One or more parameter values were invalid: Size of {name} has exceeded {most} bytes")
            parts.append(key_text(kind, content))
        return tuple(parts)

    def checked(self, item: Mapping[str, Any]) -> tuple[Key, int]:
        """Return the key of an item to put, and the capacity units it costs. Raises `Refusal` if it breaks a rule."""
        size = item_bytes(item)
        key = self.key_of(item)
        if size > MAX_ITEM_BYTES:
            raise invalid("Item size has exceeded the maximum allowed size")
        return key, -(-size // UNIT_BYTES)

    def admitted(self, writes: list[Write], now: float) -> list[bool]:
        """Return which writes of one batch there is capacity for, and use that up. Raises `Refusal` if for none."""
        if self.capacity is None or not writes:
            return [True] * len(writes)
        if self.capacity.take(sum(write.units for write in writes), now):
            return [True] * len(writes)
        self.throttled += 1
        if self.draw.random() < self.whole_share:
            raise EXCEEDED
        # An item that is larger than the bucket takes all that it can hold, or could never be written.
        taken = [self.capacity.take(min(write.units, self.capacity.most), now) for write in writes]
        if not any(taken):
            raise EXCEEDED
        return taken

    def apply(self, write: Write) -> None:
        """Put or delete the item."""
        if write.item is None:
            self.items.pop(write.key, None)
        else:
            self.items[write.key] = write.item
        self.writes[write.key] += 1

    def described(self, name: str) -> Json:
        """Return what DescribeTable says of the table."""
        roles = zip(self.key.items(), ("HASH", "RANGE"), strict=False)
        return {
            "TableName": name,
            "TableStatus": "ACTIVE",
            "TableArn": f"arn:aws:dynamodb:us-east-1:123456789012:table/{name}",
            "KeySchema": [{"AttributeName": attribute, "KeyType": role} for (attribute, _), role in roles],
            "AttributeDefinitions": [
                {"AttributeName": attribute, "AttributeType": kind} for attribute, kind in self.key.items()
            ],
            "ItemCount": len(self.items),
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST" if self.capacity is None else "PROVISIONED"},
        }


class Write(NamedTuple):
    """One put or delete of a batch, found valid."""

    table: str
    key: Key
    units: int
    item: Json | None
    """What is put; None is a delete."""
    request: Json
    """As it came, to go back as unprocessed."""


class DynamoDB:
    """Tables by name, behind one endpoint."""

    def __init__(self, tables: dict[str, Table]) -> None:
        self.tables = tables

    def call(self, operation: str, body: bytes, now: float) -> Json:
        """Answer a call of the JSON protocol. Raises `Refusal`."""
        request = document_of(body)
        match operation:
            case "BatchWriteItem":
                writes = self.checked(request, len(body))
                reply = self.write(writes, now)
                if request.get("ReturnConsumedCapacity") == "TOTAL":
                    reply["ConsumedCapacity"] = _consumed(writes, reply["UnprocessedItems"])
                return reply
            case "PutItem":
                return self._put_one(request, now)
            case "UpdateItem":
                return self._update(request, now)
            case "BatchGetItem":
                return self._get(request)
            case "DeleteItem":
                return self._delete_one(request, now)
            case "Query":
                return query(self.table(request.get("TableName")), request)
            case "Scan":
                return scan(self.table(request.get("TableName")), request)
            case "DescribeTable":
                return {"Table": self.table(request.get("TableName")).described(request["TableName"])}
        raise not_modelled(f"operation {operation} of DynamoDB")

    def table(self, name: Any) -> Table:
        """Return a table by its name. Raises `Refusal`."""
        if name not in self.tables:
            raise Refusal("ResourceNotFoundException", "Requested resource not found")
        return self.tables[name]

    def checked(self, request: Json, size: int) -> list[Write]:
        """Return the writes of a BatchWriteItem request of `size` bytes, all of them valid. Raises `Refusal`."""
        if size > MAX_REQUEST_BYTES:
            raise Refusal("RequestEntityTooLargeException", "Request size exceeds 16 MB", 413)
        only(request, _BATCH_WRITE)
        requests = request["RequestItems"]
        if not 1 <= sum(map(len, requests.values())) <= MAX_WRITES:
            raise invalid("Too many items requested for the BatchWriteItem call")
        writes = [self._write(name, each) for name, puts in requests.items() for each in puts]
        if len({(write.table, write.key) for write in writes}) < len(writes):
            raise invalid("Provided list of item keys contains duplicates")
        return writes

    def _write(self, name: str, request: Json) -> Write:
        table = self.table(name)
        if len(request) == 1 and "PutRequest" in request:
            item = request["PutRequest"]["Item"]
            key, units = table.checked(item)
            return Write(name, key, units, item, request)
        if len(request) == 1 and "DeleteRequest" in request and set(request["DeleteRequest"]["Key"]) == set(table.key):
            key, _ = table.checked(request["DeleteRequest"]["Key"])
            return Write(name, key, 1, None, request)
        raise invalid("The provided key element does not match the schema")

    def _put_one(self, request: Json, now: float) -> Json:
        """Put an item, perhaps on a condition; one that fails uses up capacity like a write. Raises `Refusal`."""
        only(request, _PUT)
        name, put = request["TableName"], {"PutRequest": {"Item": request["Item"]}}
        condition = condition_of(request)
        write = self._write(name, put)
        table = self.table(name)
        if condition(table.items.get(write.key, {})):
            self._write_one(name, put, now)
            if request.get("ReturnConsumedCapacity") == "TOTAL":
                return {"ConsumedCapacity": _consumed([write], {})[0]}
            return {}
        table.admitted([write], now)
        raise Refusal("ConditionalCheckFailedException", "The conditional request failed")

    def _delete_one(self, request: Json, now: float) -> Json:
        """Delete an item, perhaps on a condition; one that fails uses up capacity like a write. Raises `Refusal`."""
        only(request, _DELETE)
        name, delete = request["TableName"], {"DeleteRequest": {"Key": request["Key"]}}
        condition = condition_of(request)
        write, table = self._write(name, delete), self.table(name)
        if condition(table.items.get(write.key, {})):
            return self._write_one(name, delete, now)
        table.admitted([write], now)
        raise Refusal("ConditionalCheckFailedException", "The conditional request failed")

    def _update(self, request: Json, now: float) -> Json:
        """Update one item, perhaps on a condition. Raises `Refusal`."""
        only(request, _UPDATE)
        table = self.table(request["TableName"])
        key = table.key_of(request["Key"])
        there = table.items.get(key, {})
        conditional = {name: value for name, value in request.items() if name != "UpdateExpression"}
        holds = condition_of(conditional, also=request["UpdateExpression"])(there)
        after, changed = updated(there, request, table.key)
        write = self._write(request["TableName"], {"PutRequest": {"Item": after}})
        before = -(-item_bytes(there) // UNIT_BYTES) if there else 0
        write = write._replace(units=max(write.units, before))
        if not table.admitted([write], now)[0]:
            raise EXCEEDED
        if not holds:
            raise Refusal("ConditionalCheckFailedException", "The conditional request failed")
        table.apply(write)
        table.units += write.units
        match request.get("ReturnValues"):
            case "ALL_NEW":
                return {"Attributes": after}
            case "UPDATED_NEW":
                return {"Attributes": {name: after[name] for name in changed}}
        return {}

    def _get(self, request: Json) -> Json:
        """Get up to 100 items of one or more tables. Raises `Refusal`."""
        only(request, frozenset({"RequestItems", "ReturnConsumedCapacity"}))
        found: Json = {}
        asked = 0
        for name, wanted in request["RequestItems"].items():
            only(wanted, frozenset({"Keys", "ConsistentRead"}))
            table = self.table(name)
            keys = [table.key_of(key) for key in wanted["Keys"]]
            asked += len(keys)
            if len(set(keys)) < len(keys):
                raise invalid("Provided list of item keys contains duplicates")
            found[name] = [table.items[key] for key in keys if key in table.items]
        if not 1 <= asked <= MAX_GETS:
            raise invalid("Too many items requested for the BatchGetItem call")
        return {"Responses": found, "UnprocessedKeys": {}}

    def _write_one(self, name: str, request: Json, now: float) -> Json:
        """Put or delete one item: a batch of one, which is never left unprocessed."""
        self.write([self._write(name, request)], now)
        return {}

    def write(self, writes: Iterable[Write], now: float) -> Json:
        """Do what there is capacity for, and return the reply, which names the rest. Raises `Refusal`."""
        by_table: dict[str, list[Write]] = {}
        for write in writes:
            by_table.setdefault(write.table, []).append(write)
        unprocessed: Json = {}
        for name, own in by_table.items():
            table = self.tables[name]
            table.batches.append(len(own))
            for write, admitted in zip(own, table.admitted(own, now), strict=True):
                if admitted:
                    table.apply(write)
                else:
                    unprocessed.setdefault(name, []).append(write.request)
        return {"UnprocessedItems": unprocessed}


def _consumed(writes: list[Write], unprocessed: Json) -> list[Json]:
    """Return what writes cost, by table, those that are unprocessed left out."""
    left = [request for requests in unprocessed.values() for request in requests]
    units: Counter[str] = Counter()
    for write in writes:
        units[write.table] += 0 if any(write.request is request for request in left) else write.units
    return [{"TableName": name, "CapacityUnits": float(each)} for name, each in units.items()]
