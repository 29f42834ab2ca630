"""Bytes of DynamoDB JSON lines, in chunks split anywhere, -> blocks of records, like `engine.reading.json_lines`.

This is what DynamoDB's full export to S3 writes: each line is ``{"Item": {name: attribute value, …}}``; items without
that wrapper are read as well. The fields of a row are attribute values as they are, such as ``{"S": "a"}``, or None
where the item has no such attribute. Names of attributes are compared exactly.

A line is rejected if an attribute that the schema asks for is not one that DynamoDB could hold; see
`engine.reading.attribute_values`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import chain
from operator import itemgetter
from typing import Any, cast

import orjson

from engine.errors import BadFile
from engine.reading.attribute_values import column_faults, fault_of
from engine.reading.block import FILE_START, Position
from engine.reading.format import REST
from engine.reading.json_lines import JsonLinesReader
from engine.reading.json_members import Members
from engine.reading.json_values import Object
from engine.reading.layout import Fault
from engine.reading.limits import USUAL_LIMITS, Limits

INCREMENTAL = "changes of an incremental export (Keys, NewImage) cannot be loaded; load a full export"

_WRAPPER = "Item"
# How a line of an export begins: an item whose first attribute has a type, or that has none.
_EXPORTED = re.compile(
    rb'\s*\{\s*"Item"\s*:\s*\{\s*(?:\}\s*\}|"(?:[^"\\]|\\.)*+"\s*:\s*\{\s*"(?:[SNBLM]|BOOL|NULL|[SNB]S)"\s*:)'
)
_CHANGE = {"Metadata", "Keys", "NewImage", "OldImage"}
_KEY_TYPES = {"S", "N", "B"}
# How a line of an incremental export begins, however long it is.
_CHANGED = re.compile(rb'\s*\{\s*"Metadata"\s*:\s*\{\s*"WriteTimestampMicros"\s*:')
# What a first line with one of these keys is.
_OTHER_FILES = {
    "dataFileS3Key": "the list of an export's files, not one of them: load those in its folder data",
    "manifestFilesS3Key": "the summary of an export: load the files in its folder data",
}


def find_json_type(head: bytes) -> str | None:
    """Return which JSON a file begins with: "dynamodb-json", "jsonl", or None if it is no JSON.

    `head` is the beginning of the file in UTF-8. Attribute values without the wrapper of an export are "jsonl": they
    may be meant as they are, so they have to be declared. Changes of an incremental export are "dynamodb-json", whose
    reader refuses them.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _EXPORTED.match(text) or _CHANGED.match(text) or _is_change(_value_of(text.partition(b"\n")[0])):
        return "dynamodb-json"
    return "jsonl" if text[:1] in (b"{", b"[") else None


class DynamoDbJsonReader(JsonLinesReader):
    """Incremental reader of DynamoDB JSON lines; see the head of this module.

    `attributes` are the names that the schema knows; `unknown` and `reserved` are those of `Members`.
    """

    def __init__(
        self,
        attributes: Iterable[str],
        *,
        unknown: str = "ignore",
        reserved: Collection[str] = (),
        start: Position = FILE_START,
        limits: Limits = USUAL_LIMITS,
    ) -> None:
        columns = {name: [(name,)] for name in attributes}
        super().__init__(Members(columns, unknown=unknown, reserved=reserved, ignore_case=False), start, limits)

    def _look_at(self, first: bytes) -> None:
        super()._look_at(first)
        if first.startswith(b"$ion_1_0"):
            raise BadFile("the file is Amazon Ion; export the table as DynamoDB JSON")
        line = _value_of(first)
        if _CHANGED.match(first) or _is_change(line):
            raise BadFile(INCREMENTAL)
        if isinstance(line, dict) and (key := next((key for key in _OTHER_FILES if key in line), None)):
            raise BadFile(f"the file is {_OTHER_FILES[key]}")

    def _objects(self, data: bytes, lines: list[bytes]) -> list[Object | Fault]:
        items = _items(super()._objects(data, lines))
        if set(map(type, items)) <= {dict}:
            values = chain.from_iterable(map(dict.values, cast("list[Object]", items)))
            if set(map(type, values)) <= {dict}:
                return items
        return list(map(_with_values, items))

    def _fields(self, objects: list[Object]) -> tuple[list[Any], dict[int, str]]:
        rows, bad = super()._fields(objects)
        for name, fields in zip(self.header, zip(*rows, strict=True), strict=False):
            for i, reason in (_rest_faults(fields) if name == REST else column_faults(name, fields)).items():
                bad.setdefault(i, reason)
        return rows, bad


def _value_of(line: bytes) -> Any:
    """Return the value of a line, or None if it is not JSON."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _is_change(line: Any) -> bool:
    """Return whether the value of a line is a change of an incremental export."""
    if not isinstance(line, dict) or len(line) < 2 or not line.keys() <= _CHANGE or "Keys" not in line:
        return False
    keys = line["Keys"]
    return isinstance(keys, dict) and all(
        isinstance(each, dict) and each.keys() <= _KEY_TYPES for each in keys.values()
    )


def _items(entries: list[Object | Fault]) -> list[Object | Fault]:
    """Return the items of lines."""
    if set(map(type, entries)) <= {dict} and set(map(len, cast("list[Object]", entries))) == {1}:
        try:
            items = list(map(itemgetter(_WRAPPER), entries))
        except KeyError:
            items = []
        if set(map(type, items)) == {dict}:
            return items
    return list(map(_item, entries))


def _item(entry: Object | Fault) -> Object | Fault:
    """Return the item of a line."""
    if isinstance(entry, Fault):
        return entry
    if len(entry) == 1 and _WRAPPER in entry:
        item = entry[_WRAPPER]
        return item if isinstance(item, dict) else Fault(f"{_WRAPPER} is not an object")
    return Fault(INCREMENTAL) if _is_change(entry) else entry


def _with_values(entry: Object | Fault) -> Object | Fault:
    """Return the item, or a fault if not all of its attributes are objects."""
    if isinstance(entry, Fault):
        return entry
    if all(isinstance(value, dict) for value in entry.values()):
        return entry
    return Fault("an attribute of the line is not an attribute value")


def _rest_faults(rests: Iterable[Object | None]) -> dict[int, str]:
    """Return why unknown attributes are faulty, by index."""
    faults: dict[int, str] = {}
    for i, rest in enumerate(rests):
        for value in (rest or {}).values():
            if reason := fault_of(value):
                faults.setdefault(i, f"an attribute that the schema does not know {reason}")
    return faults
