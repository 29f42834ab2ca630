"""REST requests -> what to read from the table, and pages of items -> JSON and cursors. Pure.

Routes, for a schema whose collection is ``users`` and whose partition key is ``email``::

    GET /users/{email}            the latest version of one
    GET /users/{email}/history    all its versions, newest first, by pages
    GET /users?limit=&startKey=   all of them by pages, each once, in its latest version
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

from engine.errors import BadRequest
from engine.identity import split_version
from engine.schema.columns import Column, is_number
from engine.schema.model import Schema

DEFAULT_LIMIT = 10
MAX_LIMIT = 1_000

Attributes = dict[str, dict[str, Any]]
"""An item, or a key, as DynamoDB writes it: ``{"email": {"S": "…"}}``."""


@dataclass(frozen=True, slots=True)
class Latest:
    """Read the newest item of one partition key."""

    partition: str


@dataclass(frozen=True, slots=True)
class History:
    """Read all items of one partition key, newest first, from behind `start` on."""

    partition: str
    limit: int
    start: Attributes | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Read the newest item of every partition key, from behind `start` on.

    `skip`: the partition key of `start` has been listed already, so further versions of it are passed over.
    """

    limit: int
    start: Attributes | None
    skip: bool


def parse_request(event: dict[str, Any], schema: Schema) -> Latest | History | Listing:
    """Read an API Gateway REST proxy event. Raises `BadRequest` with the HTTP status to answer."""
    segments = _segments(event)
    if segments[:1] != [schema.collection] or len(segments) > 3 or (len(segments) == 3 and segments[2] != "history"):
        raise BadRequest(404, f"no such route; there are /{schema.collection} and /{schema.collection}/{{key}}")
    method = event.get("httpMethod")
    if method != "GET":
        raise BadRequest(405, f"{method} is not allowed here, only GET", allow="GET")
    parameters = event.get("queryStringParameters") or {}
    if len(segments) == 1:
        start, skip = _decode_cursor(parameters.get("startKey"), schema)
        return Listing(_limit(parameters.get("limit")), start, skip)
    partition = _partition(segments[1], schema)
    if len(segments) == 2:
        return Latest(partition)
    start, _ = _decode_cursor(parameters.get("startKey"), schema)
    if start is not None and _canonical(start[schema.partition_key]) != partition:
        raise BadRequest(400, f"startKey belongs to another {schema.partition_key}")
    return History(partition, _limit(parameters.get("limit")), start)


def _segments(event: dict[str, Any]) -> list[str]:
    """Return the parts of the path, decoded one by one: a key may hold an encoded slash."""
    resource = event.get("resource") or ""
    parameters = event.get("pathParameters") or {}
    if resource and "+" not in resource:
        named = {f"{{{name}}}": value for name, value in parameters.items()}
        return [unquote(named.get(part, part)) for part in resource.strip("/").split("/")]
    return [unquote(part) for part in str(event.get("path") or "").strip("/").split("/")]


def _partition(text: str, schema: Schema) -> str:
    """Clean a key from a path just as the column that it comes from is cleaned."""
    name = schema.partition_key
    generated = Column(name=name, attribute=name, required=True, type=schema.types[name])
    column = next((column for column in schema.columns if column.attribute == name), generated)
    bad: dict[int, str] = {}
    value = column.clean([text], bad)[0]
    if bad or not isinstance(value, str):
        raise BadRequest(400, f"not a valid {schema.partition_key}: {bad.get(0, 'empty')}")
    return value


def _canonical(value: dict[str, Any]) -> str | None:
    text = _text_of(value)
    return is_number(text) if "N" in value else text


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT):
        raise BadRequest(400, f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def key_of(item: Attributes, schema: Schema) -> Attributes:
    """Return the key attributes of an item."""
    return {name: item[name] for name in schema.keys}


def encode_cursor(key: Attributes, *, skip: bool = False) -> str:
    """Return a token from which a later request goes on behind `key`."""
    plain = {name: _text_of(value) for name, value in key.items()}
    return base64.urlsafe_b64encode(orjson.dumps([plain, skip])).decode().rstrip("=")


def _decode_cursor(token: str | None, schema: Schema) -> tuple[Attributes | None, bool]:
    if token is None:
        return None, False
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        plain, skip = orjson.loads(decoded)
        if set(plain) != set(schema.keys) or not isinstance(skip, bool):
            raise ValueError("not this table's key")
        key = {name: _typed(plain[name], schema.types[name], most) for name, most in schema.key_limits.items()}
    except (ValueError, TypeError, binascii.Error):
        raise BadRequest(400, "startKey is not a token of this API; use the nextToken of the page before") from None
    return key, skip


def _typed(text: Any, type_: str, most: int) -> dict[str, str]:
    if not isinstance(text, str) or not 0 < len(text.encode()) <= most or (type_ == "N" and is_number(text) is None):
        raise ValueError("not a key value")
    return {type_: text}


def _text_of(value: dict[str, Any]) -> str:
    return str(next(iter(value.values())))


class Lister:
    """Joins pages of a Scan into a list with each partition key once, in its newest version.

    A Scan gives the items of one partition key together, oldest first. A key's newest item is known only when the
    next key begins, or the table ends, wherever the pages are cut.
    """

    def __init__(self, listing: Listing, schema: Schema) -> None:
        self._schema, self._limit = schema, listing.limit
        self._listed = listing.start[schema.partition_key] if listing.start and listing.skip else None
        self._behind = self._start = listing.start  # key of the item before `_newest`
        self._skip = listing.skip
        self._newest: Attributes | None = None
        self.items: list[Attributes] = []
        self.cursor: str | None = None
        """Where the next page begins; None at the end."""

    def feed(self, items: Iterable[Attributes], *, at_end: bool) -> bool:
        """Take a page of a Scan; tell whether the list is full, or the table at its end."""
        partition_key = self._schema.partition_key
        for item in items:
            partition = item[partition_key]
            if partition == self._listed:
                self._behind, self._skip = key_of(item, self._schema), True
                continue
            if self._newest is not None:
                if self._newest[partition_key] != partition and self._emit(self._newest):
                    return True
                self._behind = key_of(self._newest, self._schema)
                self._skip = self._newest[partition_key] != partition
            self._newest = item
        if at_end:
            if self._newest is not None:
                self.items.append(self._newest)
            self.cursor = None
        return at_end

    def stop(self) -> bool:
        """Break off before the list is full, so that the next page goes on here.

        False while that would be where this page began: a list that got no further each time would never end.
        """
        if self._behind is None or self._behind == self._start:
            return False
        self.cursor = encode_cursor(self._behind, skip=self._skip)
        return True

    def _emit(self, item: Attributes) -> bool:
        self.items.append(item)
        if len(self.items) < self._limit:
            return False
        self.cursor = encode_cursor(key_of(item, self._schema), skip=True)
        return True


def to_json(item: Attributes, schema: Schema) -> dict[str, Any]:
    """Return an item for people: plain JSON values; a `version` as whole seconds, beside `rowNumber`."""
    result: dict[str, Any] = {}
    for name, value in item.items():
        version = split_version(value.get("N", "")) if schema.generated.get(name) == "version" else None
        if version is not None:
            result[name], result["rowNumber"] = version
        else:
            result[name] = _plain(value)
    return result


def _plain(value: dict[str, Any]) -> Any:
    """Turn one attribute value into JSON. Numbers keep all their digits; bytes stay in Base64, as DynamoDB has them."""
    type_, content = next(iter(value.items()))
    match type_:
        case "N":
            return orjson.Fragment(content)
        case "NS":
            return [orjson.Fragment(number) for number in content]
        case "L":
            return [_plain(element) for element in content]
        case "M":
            return {name: _plain(element) for name, element in content.items()}
        case "NULL":
            return None
        case _:
            return content
