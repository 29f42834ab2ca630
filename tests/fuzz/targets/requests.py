"""Requests to the API and forged page tokens."""

from __future__ import annotations

import base64
import json
from typing import Any

import orjson

from engine.accounts import ENTRY, TIME_INDEX, attribute, listing_key
from engine.aws.ledger_list import LedgerList
from engine.aws.table_reader import TableReader
from engine.aws.types import BATCH_GET_ITEM, QUERY, SCAN
from engine.errors import BadRequest
from engine.flow.backoff import Deadline
from engine.http_events import front_end_of, read_request
from engine.jobs.answer import Query, answer
from engine.queries import encode_cursor, encode_place
from engine.schema.model import Schema
from engine.schema.parse import parse_schema
from tests.builders.http_events import FRONT_ENDS
from tests.builders.messages import MODIFIED
from tests.builders.samples import ORDER_LINES_TOML, PRODUCTS, USERS
from tests.fakeaws.backend import Backend
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.in_memory import InMemory, Server, lane_to
from tests.fakeaws.virtual_time import now, run
from tests.fuzz.documents import DRAWN, changed
from tests.fuzz.source import Source, seed

LINES = parse_schema(ORDER_LINES_TOML.read_text("utf-8"), "order_lines.toml")

TABLES: tuple[tuple[Schema, list[dict[str, Any]]], ...] = (
    (
        USERS,
        [
            {"email": {"S": f"user{i % 3}@x.org"}, "createdAt": {"N": f"{MODIFIED}.00000000000{i}"}, "name": {"S": "A"}}
            for i in range(1, 8)
        ],
    ),
    (LINES, [{"order_id": {"S": f"{i % 2}"}, "sku": {"S": f"s{i}"}, "quantity": {"N": "1E+2"}} for i in range(5)]),
    (
        PRODUCTS,
        [{"sku": {"S": f"A-{i}"}, "price": {"N": "1.50"}, "changed": {"N": "5.000000000001"}} for i in range(3)],
    ),
)
IDS = [f"{number:020x}" for number in range(3)]
PLACE = "2026-04-04T00:00:00.000Z " + IDS[0]

_CURSOR = encode_cursor({"email": {"S": "user1@x.org"}, "createdAt": {"N": f"{MODIFIED}.000000000001"}}, skip=True)
_PATHS = (
    "GET /users",
    "GET /users?limit=2",
    f"GET /users?limit=2&startKey={_CURSOR}",
    "GET /users/user1@x.org",
    f"GET /users/user1%40x.org/history?limit=1&nextToken={_CURSOR}",
    f"GET /users/user2@x.org/history?startKey={_CURSOR}",
    "GET /ingestions?limit=2&status=complete&prefix=up",
    f"GET /ingestions?startKey={encode_place(PLACE)}",
    f"GET /ingestions/{IDS[1]}",
    "OPTIONS /users",
    "HEAD /users/none",
    "POST /users",
    "GET /orders?limit=1",
    "GET /products/A-1/history",
)
EVENTS = [make("/users/a@x.org", "GET", (("limit", "3"), ("startKey", _CURSOR))) for make in FRONT_ENDS.values()]
SEEDS = [
    *(drawn + b"\1\0\0\0" for drawn in DRAWN),
    *(bytes([9, 0, 2, 5, 1, kind, 1, 0, 0, 0]) for kind in range(len(EVENTS))),
    *map(seed, _PATHS),
    *(seed(json.dumps(make("/users/a@x.org", "GET", (("limit", "3"),)))) for make in FRONT_ENDS.values()),
    seed('GET /users?startKey=["email","createdAt"]', 11) + b"\1",
]
TOKENS = [
    *(b"GET /", b"/users", b"/orders", b"/products", b"/history", b"/ingestions", b"?", b"&", b"limit=", b"startKey=", b"nextToken="),
    *(b"status=running", b"prefix=", b"%", b"%2F", b"%00", b"%ff", b"..", b"//", b"0", b"1000", b"-1", b"1e3", b"\xc2\xb2", b"X-Amz-"),
    *(b'{"email":"', b'","createdAt":"', b'"]', b"[{", b"},true]", b"null", b"user1@x.org", _CURSOR.encode()),
    *(b'"httpMethod":', b'"path":', b'"rawPath":', b'"requestContext":', b'"multiValueHeaders":{}', b'"elb":{}', b"[]", b"{}"),
]  # fmt: skip


class Recording:
    """A transport that keeps what is asked."""

    def __init__(self, backend: Backend) -> None:
        self._transport = InMemory(backend, Server(seconds=0.001))
        self.requests: list[dict[str, Any]] = []

    async def __call__(self, url: str, headers: Any, body: bytes, timeout: float) -> Any:  # noqa: ASYNC109
        """Send a request; see `Transport`."""
        self.requests.append(orjson.loads(body))
        return await self._transport(url, headers, body, timeout)


def check(data: bytes) -> None:
    """A request has an answer or is the client's fault, and reads nothing but its own table and partition."""
    source = Source(data)
    schema, items = source.pick(TABLES)
    make = source.pick(tuple(FRONT_ENDS.values()))
    forged = source.below(2)
    if source.below(2):
        event = changed(source.pick(EVENTS), source)
    else:
        event = _event(source.rest(4_000).rstrip(b"\0\1").decode("utf-8", "replace"), make, forged=bool(forged))
    run(_ask(schema, items, event))


def _event(text: str, make: Any, *, forged: bool) -> Any:
    """A whole event, or one that a front end makes of ``METHOD PATH?QUERY``; `forged`: a token's content is plain."""
    if text.startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    method, _, target = text.partition(" ")
    path, _, query = target.partition("?")
    pairs = []
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        if forged and name in ("startKey", "nextToken"):
            value = base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")
        pairs.append((name, value))
    return make("/" + path.lstrip("/"), method, tuple(pairs))


async def _ask(schema: Schema, items: list[dict[str, Any]], event: Any) -> None:
    table, ledger = Table({name: schema.types[name] for name in schema.keys}), _ledger()
    for item in items:
        table.items[table.key_of(item)] = item
    recording = Recording(Backend(DynamoDB({"t": table, "ledger": ledger})))
    lanes = [lane_to(recording, each) for each in (QUERY, SCAN, QUERY, BATCH_GET_ITEM)]
    query = Query(schema, "", TableReader("t", schema, *lanes[:2]), LedgerList("ledger", *lanes[2:]), 60)
    front_end = front_end_of(event)
    try:
        request = read_request(event)
        body = await answer(query, request, MODIFIED, Deadline(now() + 5), Deadline(now() + 8))
    except BadRequest as error:
        assert error.status in (400, 404, 405, 503)
        orjson.dumps(front_end.response(error.status, {}, orjson.dumps({"error": str(error)}).decode()))
        return
    orjson.dumps(front_end.response(200, {}, body.decode()))
    document = orjson.loads(body) if body else {}
    is_ledger = request.segments[0] == "ingestions"
    for asked in recording.requests:
        tables = list(asked.get("RequestItems", ())) or [asked["TableName"]]
        assert tables == ["ledger" if is_ledger else "t"], "a request reads another table"
        start = asked.get("ExclusiveStartKey")
        if is_ledger:
            assert asked.get("IndexName") in (None, TIME_INDEX)
        elif len(request.segments) > 1:
            partition = asked["ExpressionAttributeValues"][":key"]
            assert start is None or start[schema.partition_key] == partition, "a token leads to another partition"
        if start and not is_ledger:
            assert set(start) == set(schema.keys)
    if len(request.segments) == 1 and body:
        assert document["count"] == len(document["items"]) <= 1_000


def _ledger() -> Table:
    table = Table({"ingestion": "S", "part": "S"}, indexes={TIME_INDEX: {"month": "S", "listed": "S"}})
    for number, ingestion in enumerate(IDS):
        month, listed = listing_key(MODIFIED * 1000 - number, ingestion)
        facts: dict[str, str | int] = {
            "ingestion": ingestion,
            "part": ENTRY,
            "month": month,
            "listed": listed,
            "started": 1,
            "changed": 2,
        }
        facts |= {"bucket": "b", "key": "uploads/a.csv", "spans": 1}
        item = {name: attribute(value) for name, value in facts.items()}
        table.items[table.key_of(item)] = item
    return table
