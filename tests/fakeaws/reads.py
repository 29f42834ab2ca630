"""DynamoDB's Query and Scan: order, paging, and the limit of 1 MB a page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tests.fakeaws.attributes import check_value, comparable, invalid, item_bytes, key_text
from tests.fakeaws.errors import not_modelled
from tests.fakeaws.protocol import only

Json = dict[str, Any]
Key = tuple[str, ...]

MAX_PAGE_BYTES = 1024 * 1024

_SCAN = frozenset({"TableName", "Limit", "ExclusiveStartKey", "ConsistentRead", "ReturnConsumedCapacity"})
_QUERY = _SCAN | {
    "IndexName",
    "KeyConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ScanIndexForward",
}
_EQUALS = re.compile(r"\s*([#\w]+)\s*=\s*(:\w+)\s*(?:AND\s+(.+))?", re.IGNORECASE | re.DOTALL)
_COMPARES = re.compile(r"([#\w]+)\s*(=|<=?|>=?)\s*(:\w+)\s*")
_BETWEEN = re.compile(r"([#\w]+)\s+BETWEEN\s+(:\w+)\s+AND\s+(:\w+)\s*", re.IGNORECASE)
_BEGINS = re.compile(r"begins_with\s*\(\s*([#\w]+)\s*,\s*(:\w+)\s*\)\s*")

ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


class Readable(Protocol):
    """What is read: see `tests.fakeaws.dynamodb.Table`."""

    key: Mapping[str, str]
    items: dict[Key, Json]
    indexes: dict[str, Mapping[str, str]]

    def key_of(self, item: Mapping[str, Any]) -> Key:
        """Return the item's key."""


class _Index:
    """A global secondary index that projects the keys only."""

    def __init__(self, table: Readable, name: str) -> None:
        if name not in table.indexes:
            raise invalid(f"The table does not have the specified index: {name}")
        self.key = table.indexes[name]
        self.indexes: dict[str, Mapping[str, str]] = {}
        names = {*table.key, *self.key}
        self.items = {
            (*self.key_of(item), *key): {each: value for each, value in item.items() if each in names}
            for key, item in table.items.items()
            if item.keys() >= set(self.key)
        }
        self.start_key = names

    def key_of(self, item: Mapping[str, Any]) -> Key:
        return tuple(key_text(kind, item[name][kind]) for name, kind in self.key.items())


def query(table: Readable, request: Json) -> Json:
    """Answer a Query: one partition key, and perhaps a condition on the sort key. Raises `Refusal`."""
    only(request, _QUERY)
    if name := request.get("IndexName"):
        table = _Index(table, name)
    partition, matches = _condition(table, request)
    start = request.get("ExclusiveStartKey")
    if start is not None and _start_key(table, start)[0] != partition:
        raise invalid("The provided starting key is outside query boundaries based on provided conditions")

    def before(one: Json, other: Json) -> bool:
        first, second = (one, other) if request.get("ScanIndexForward", True) else (other, one)
        return bool(_sort_value(table, first) < _sort_value(table, second))

    items = [item for key, item in table.items.items() if key[0] == partition and matches(item)]
    items.sort(key=lambda item: _sort_value(table, item), reverse=not request.get("ScanIndexForward", True))
    left = items if start is None else [item for item in items if before(start, item)]
    return _page(table, left, request.get("Limit"))


def scan(table: Readable, request: Json) -> Json:
    """Answer a Scan: items of a partition key come together, partition keys in an order of their own."""
    only(request, _SCAN)

    def place(item: Json) -> Any:
        partition = table.key_of(item)[0]
        return hashlib.md5(partition.encode(), usedforsecurity=False).digest(), partition, _sort_value(table, item)

    items = sorted(table.items.values(), key=place)
    start = request.get("ExclusiveStartKey")
    if start is not None:
        _start_key(table, start)
        items = [item for item in items if place(start) < place(item)]
    return _page(table, items, request.get("Limit"))


def _start_key(table: Readable, start: Json) -> Key:
    if set(start) != getattr(table, "start_key", set(table.key)):
        raise invalid("The provided starting key is invalid")
    item_bytes(start)
    return table.key_of(start)


def _condition(table: Readable, request: Json) -> tuple[str, Callable[[Json], bool]]:
    """Return the partition key that a key condition names, and the test of its sort key."""
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    found = _EQUALS.fullmatch(request.get("KeyConditionExpression", ""))
    if found is None:
        raise not_modelled("such KeyConditionExpression")
    partition, *sort = table.key.items()
    _same(names.get(found[1], found[1]), partition[0])
    content = _value(values, found[2], partition[1])
    if found[3] is None:
        return key_text(partition[1], content), lambda item: True
    if not sort:
        raise invalid("Query key condition not supported")
    name, test = _sort_condition(found[3], values, sort[0][1])
    _same(names.get(name, name), sort[0][0])
    return key_text(partition[1], content), lambda item: test(_sort_value(table, item))


def _sort_condition(text: str, values: Json, kind: str) -> tuple[str, Callable[[Any], bool]]:
    def value(name: str) -> Any:
        return comparable(kind, _value(values, name, kind))

    if found := _COMPARES.fullmatch(text):
        ordering, bound = ORDERINGS[found[2]], value(found[3])
        return found[1], lambda content: ordering(content, bound)
    if found := _BETWEEN.fullmatch(text):
        low, high = value(found[2]), value(found[3])
        return found[1], lambda content: bool(low <= content <= high)
    if (found := _BEGINS.fullmatch(text)) and kind != "N":
        start = value(found[2])
        return found[1], lambda content: bool(content.startswith(start))
    raise not_modelled("such KeyConditionExpression")


def _same(name: str, key: str) -> None:
    if name != key:
        raise invalid(f"Query condition missed key schema element: {key}")


def _value(values: Json, name: str, kind: str) -> Any:
    if name not in values:
        raise invalid(f"An expression attribute value used in expression is not defined; attribute value: {name}")
    check_value(values[name])
    ((actual, content),) = values[name].items()
    if actual != kind:
        raise invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
    if content == "":
        raise invalid("One or more parameter values are not valid: an empty key value")
    return content


def _sort_value(table: Readable, item: Json) -> Any:
    kinds = list(table.key.items())
    return comparable(kinds[1][1], item[kinds[1][0]][kinds[1][1]]) if len(kinds) > 1 else b""


def _page(table: Readable, items: list[Json], limit: int | None) -> Json:
    if limit is not None and limit < 1:
        raise invalid(
            "Value at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"
        )
    page: list[Json] = []
    size = 0
    for item in items:
        size += item_bytes(item)
        if page and (len(page) == limit or size > MAX_PAGE_BYTES):
            break
        page.append(_returned(item))
    # Where `Limit` ends a page, DynamoDB does not look whether anything comes after it.
    more = len(page) < len(items) or len(page) == limit
    names = getattr(table, "start_key", table.key)
    last = {"LastEvaluatedKey": {name: page[-1][name] for name in names}} if page and more else {}
    return {"Items": page, "Count": len(page), "ScannedCount": len(page), **last}


def _returned(item: Json) -> Json:
    """Return an item as reads give it back: numbers in their shortest form."""
    return {name: _shortest(value) for name, value in item.items()}


def _shortest(value: Json) -> Json:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return {"N": key_text("N", content)}
        case "NS":
            return {"NS": [key_text("N", each) for each in content]}
        case "L":
            return {"L": [_shortest(each) for each in content]}
        case "M":
            return {"M": _returned(content)}
    return value
