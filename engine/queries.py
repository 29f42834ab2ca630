"""HTTP requests -> what to read from the table, and items -> plain JSON. Pure.

Routes, for a schema whose collection is ``users`` and whose partition key is ``email``::

    GET /users/{email}            the latest version of one
    GET /users/{email}/history    all its versions, newest first, by pages
    GET /users?limit=&startKey=   all of them by pages, each once, in its latest version

    GET /ingestions?limit=&startKey=&status=&prefix=    the ingestions by pages, newest first, where there is a ledger
    GET /ingestions/{id}                                one of them
    GET /ingestions/{id}/rejects?limit=&startKey=&text= its rejected rows by pages

HEAD is GET without a body, and OPTIONS returns which methods there are.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, NamedTuple

import orjson

from engine.accounts import STATUSES
from engine.decimal_text import canonical_number
from engine.errors import BadRequest
from engine.http_events import HttpRequest
from engine.identity import split_version
from engine.schema.columns import Column
from engine.schema.model import INGESTIONS, Schema

DEFAULT_LIMIT = 10
MAX_LIMIT = 1_000

METHODS = ("GET", "HEAD", "OPTIONS")
ALLOW = ", ".join(METHODS)

TOKEN_NAMES = ("startKey", "nextToken")
"""The two names of the parameter with the token: `startKey` as the routes call it, `nextToken` as a page returns it."""

PAGE_PARAMETERS = ("limit", *TOKEN_NAMES)
INGESTIONS_PARAMETERS = (*PAGE_PARAMETERS, "status", "prefix")
REJECTS_PARAMETERS = (*PAGE_PARAMETERS, "text")

_INGESTION = re.compile(r"[0-9a-f]{20}")
_PLACE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-[0-9]{2}T[0-9:.]{12}Z [0-9a-f]{20}")

_REJECT_PLACE = re.compile(r"([0-9a-f]{20}) ([A-Za-z0-9._-]{1,200}) ([0-9]{1,12})")

ROW_NUMBER = "rowNumber"

SCHEMA_EVENT = {"millpond": "schema"}
"""Invoked with this instead of an HTTP request, the query function answers with the text of its schema. No front end
can send it: their events have fields of their own."""

Attributes = dict[str, dict[str, Any]]
"""An item, or a key, as DynamoDB writes it: ``{"email": {"S": "…"}}``."""


@dataclass(frozen=True, slots=True)
class Options:
    """Read nothing: the client asks which methods the route has."""


@dataclass(frozen=True, slots=True)
class Latest:
    """Read the newest item of one partition key."""

    partition: str


@dataclass(frozen=True, slots=True)
class History:
    """Read all items of one partition key, newest first, after `start`."""

    partition: str
    limit: int
    start: Attributes | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Read the newest item of every partition key, after `start`.

    `skip`: the partition key of `start` has been listed already, so further versions of it are skipped.
    """

    limit: int
    start: Attributes | None
    skip: bool


@dataclass(frozen=True, slots=True)
class Ingestion:
    """Read the account of one ingestion."""

    ingestion: str


@dataclass(frozen=True, slots=True)
class Ingestions:
    """Read accounts, newest first, after the place `start`: those with this status, if any, and prefix of the key."""

    limit: int
    start: str | None
    status: str | None
    prefix: str


class RejectPlace(NamedTuple):
    """A place among the rejects of an ingestion: a reject file's name, and a row up to which its rejects are done."""

    name: str
    row: int


@dataclass(frozen=True, slots=True)
class Rejects:
    """Read the rejects of one ingestion after `start`, with the text of their rows or without it."""

    ingestion: str
    limit: int
    start: RejectPlace | None
    with_text: bool


def parse_ingestions(request: HttpRequest) -> Options | Ingestion | Ingestions | Rejects:
    """Return what a request for `INGESTIONS` asks for. Raises `BadRequest` with the HTTP status to answer."""
    segments = request.segments
    if len(segments) > 3 or (len(segments) == 3 and segments[2] != "rejects"):
        one = f"/{INGESTIONS}/{{id}}"
        raise BadRequest(404, f"no such route; there are /{INGESTIONS}, {one} and {one}/rejects")
    _check_method(request)
    if request.method == "OPTIONS":
        return Options()
    parameters = _parameters(request, (INGESTIONS_PARAMETERS, (), REJECTS_PARAMETERS)[len(segments) - 1])
    if len(segments) > 1:
        if not _INGESTION.fullmatch(segments[1]):
            raise BadRequest(404, "no such ingestion")
        return Ingestion(segments[1]) if len(segments) == 2 else _rejects(segments[1], parameters)
    status = parameters.get("status")
    if status not in (None, *STATUSES):
        raise BadRequest(400, f"status must be one of {', '.join(STATUSES)}")
    token = _token(parameters)
    start = None if token is None else _decode_place(token)
    return Ingestions(_limit(parameters.get("limit")), start, status, parameters.get("prefix", ""))


def _rejects(ingestion: str, parameters: Mapping[str, str]) -> Rejects:
    text = parameters.get("text", "false")
    if text not in ("true", "false"):
        raise BadRequest(400, "text must be true or false")
    token = _token(parameters)
    start = None if token is None else _decode_reject_place(token, ingestion)
    return Rejects(ingestion, _limit(parameters.get("limit")), start, text == "true")


def encode_place(place: str) -> str:
    """Return a token with which a later request for ingestions goes on after `place`."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def encode_reject_place(ingestion: str, place: RejectPlace) -> str:
    """Return a token with which a later request for the rejects of this ingestion goes on after `place`."""
    return encode_place(f"{ingestion} {place.name} {place.row}")


def _decode_place(token: str, pattern: re.Pattern[str] = _PLACE) -> str:
    try:
        place = _decode_base64(token).decode("ascii")
    except ValueError:
        place = ""
    if not pattern.fullmatch(place):
        raise _no_token()
    return place


def _decode_reject_place(token: str, ingestion: str) -> RejectPlace:
    its_ingestion, name, row = _decode_place(token, _REJECT_PLACE).split(" ")
    if its_ingestion != ingestion:
        raise BadRequest(400, "startKey belongs to another ingestion")
    return RejectPlace(name, int(row))


def parse_request(request: HttpRequest, schema: Schema) -> Options | Latest | History | Listing:
    """Return what a request asks for. Raises `BadRequest` with the HTTP status to answer."""
    segments = request.segments
    if segments[:1] != (schema.collection,) or len(segments) > 3 or (len(segments) == 3 and segments[2] != "history"):
        raise BadRequest(404, f"no such route; there are /{schema.collection} and /{schema.collection}/{{key}}")
    _check_method(request)
    if request.method == "OPTIONS":
        return Options()
    parameters = _parameters(request, () if len(segments) == 2 else PAGE_PARAMETERS)
    if len(segments) == 1:
        start, skip = _start(parameters, schema)
        return Listing(_limit(parameters.get("limit")), start, skip)
    partition = _partition(segments[1], schema)
    if len(segments) == 2:
        return Latest(partition)
    start, _ = _start(parameters, schema)
    if start is not None and _canonical(start[schema.partition_key]) != partition:
        raise BadRequest(400, f"startKey belongs to another {schema.partition_key}")
    return History(partition, _limit(parameters.get("limit")), start)


def _check_method(request: HttpRequest) -> None:
    if request.method not in METHODS:
        raise BadRequest(405, f"{request.method} is not allowed here, only {ALLOW}", allow=ALLOW)


def _parameters(request: HttpRequest, known: tuple[str, ...]) -> dict[str, str]:
    """Return the query parameters by name; `BadRequest` names those that the route does not know."""
    if not request.parameters:
        return {}
    # A URL signed in its query carries X-Amz-Signature and others of that kind; they are API Gateway's.
    given = [(name, value) for name, value in request.parameters if not name.lower().startswith("x-amz-")]
    unknown = sorted({name for name, _ in given} - set(known))
    if unknown:
        there_are = f"there are {', '.join(known)}" if known else "this route has none"
        raise BadRequest(400, f"unknown query parameter{'s' * (len(unknown) > 1)} {', '.join(unknown)}: {there_are}")
    parameters: dict[str, str] = {}
    for name, value in given:
        if parameters.setdefault(name, value) != value:
            raise BadRequest(400, f"{name} is given twice, with different values")
    return parameters


def _start(parameters: Mapping[str, str], schema: Schema) -> tuple[Attributes | None, bool]:
    token = _token(parameters)
    return (None, False) if token is None else _decode_cursor(token, schema)


def _token(parameters: Mapping[str, str]) -> str | None:
    tokens = {parameters[name] for name in TOKEN_NAMES if name in parameters}
    if len(tokens) > 1:
        raise BadRequest(400, f"{' and '.join(TOKEN_NAMES)} are names of the same parameter: give one of them")
    return tokens.pop() if tokens else None


def _partition(text: str, schema: Schema) -> str:
    """Clean a key from a path as the column that it comes from is cleaned; converted values are given as stored."""
    name = schema.partition_key
    column = next((column for column in schema.columns if column.attribute == name and column.is_plain), None)
    if column is None:
        most = schema.key_limits[name] if schema.types[name] == "S" else None
        column = Column(name=name, attribute=name, required=True, type=schema.types[name], max_bytes=most)
    bad: dict[int, str] = {}
    value = column.clean([text], bad)[0]
    if bad or not isinstance(value, str):
        raise BadRequest(400, f"not a valid {schema.partition_key}: {bad.get(0, 'empty')}")
    return value


def _canonical(value: dict[str, Any]) -> str | None:
    text = _text_of(value)
    return canonical_number(text) if "N" in value else text


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
    """Return a token with which a later request goes on after `key`."""
    plain = {name: _text_of(value) for name, value in key.items()}
    return base64.urlsafe_b64encode(orjson.dumps([plain, skip])).decode().rstrip("=")


def _decode_cursor(token: str, schema: Schema) -> tuple[Attributes, bool]:
    try:
        plain, skip = orjson.loads(_decode_base64(token))
        if set(plain) != set(schema.keys) or not isinstance(skip, bool):
            raise ValueError("not this table's key")
        key = {name: _typed(plain[name], schema.types[name], most) for name, most in schema.key_limits.items()}
    except (ValueError, TypeError, binascii.Error):
        raise _no_token() from None
    return key, skip


def _decode_base64(token: str) -> bytes:
    return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)


def _no_token() -> BadRequest:
    return BadRequest(400, "startKey is not a token of this API; use the nextToken of the page before")


def _typed(text: Any, type_: str, most: int) -> dict[str, str]:
    if (
        not isinstance(text, str)
        or not 0 < len(text.encode()) <= most
        or (type_ == "N" and canonical_number(text) is None)
    ):
        raise ValueError("not a key value")
    return {type_: text}


def _text_of(value: dict[str, Any]) -> str:
    return str(next(iter(value.values())))


def to_json(item: Attributes, schema: Schema) -> dict[str, Any]:
    """Return an item as plain JSON values; a `version` as whole seconds, followed by `rowNumber`.

    What another program wrote is shown as it is: a `version` attribute that is not the version of an uploaded row, and
    an attribute of the item that is itself called `rowNumber`, whatever the order of attributes.
    """
    result: dict[str, Any] = {}
    for name, value in item.items():
        version = _version(value) if schema.generated.get(name) == "version" else None
        if version is None:
            result[name] = _plain(value)
        elif ROW_NUMBER in item:
            result[name], _ = version
        else:
            result[name], result[ROW_NUMBER] = version
    return result


MAX_ROWS = 100_000_000_000
"""A file of so many rows would take a day to load at a million rows a second. A fraction of a second of 0.1 or more,
which other programs write, reads as a higher row number."""


def _version(value: dict[str, Any]) -> tuple[int, int] | None:
    """Return whole seconds and row number of a version; None if another program wrote the value."""
    version = split_version(value["N"]) if "N" in value else None
    return version if version is not None and version[1] < MAX_ROWS else None


def _plain(value: dict[str, Any]) -> Any:
    """Turn one attribute value into JSON. Numbers keep all their digits; bytes stay in Base64, as DynamoDB has them."""
    type_, content = next(iter(value.items()))
    match type_:
        case "N":
            return _number(content)
        case "NS":
            return [_number(number) for number in content]
        case "L":
            return [_plain(element) for element in content]
        case "M":
            return {name: _plain(element) for name, element in content.items()}
        case "NULL":
            return None
        case _:
            return content


_EXACT = Context(prec=38, Emax=200, Emin=-200)

MAX_PLAIN_NUMBER = 40
"""Characters of a number of 38 digits, which is all that DynamoDB keeps, with sign and point."""


def _number(text: str) -> orjson.Fragment:
    """Return a number as it is, or with an exponent if most of it is zeros.

    DynamoDB counts 2 bytes for 1E-130, whose digits would take 132: an item of such numbers could not be answered.
    """
    return orjson.Fragment(text if len(text) <= MAX_PLAIN_NUMBER else f"{Decimal(text).normalize(_EXACT):E}")
