"""Answer an API request from the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.aws.table import TableReader
from engine.errors import BadRequest
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.queries import History, Latest, Lister, Listing, encode_cursor, parse_request, to_json
from engine.schema.model import Schema

MAX_SCAN_ITEMS = 1_000
"""Items asked of one Scan; DynamoDB itself stops at 1 MB."""


@dataclass(frozen=True, slots=True)
class Query:
    """What an invocation works with: the schema and an open reader."""

    schema: Schema
    reader: TableReader


async def answer(query: Query, event: dict[str, Any], deadline: Deadline, last: Deadline) -> dict[str, Any]:
    """Return the JSON document for a request; begin no further page after `deadline`, and wait for none after `last`.

    Raises `BadRequest`, `ServiceError` and `DeadlineExceeded`.
    """
    match parse_request(event, query.schema):
        case Latest() as request:
            return await _latest(query, request, last)
        case History() as request:
            return await _history(query, request, last)
        case Listing() as request:
            return await _listing(query, request, deadline, last)


async def _latest(query: Query, request: Latest, last: Deadline) -> dict[str, Any]:
    page = await query.reader.query(request.partition, last, newest_first=True, limit=1)
    if not page.items:
        raise BadRequest(404, f"no such {query.schema.partition_key}")
    return to_json(page.items[0], query.schema)


async def _history(query: Query, request: History, last: Deadline) -> dict[str, Any]:
    page = await query.reader.query(
        request.partition, last, newest_first=True, limit=request.limit, start_key=request.start
    )
    if not page.items and request.start is None:
        raise BadRequest(404, f"no such {query.schema.partition_key}")
    return _page(query, page.items, encode_cursor(page.last_key) if page.last_key else None)


async def _listing(query: Query, request: Listing, deadline: Deadline, last: Deadline) -> dict[str, Any]:
    lister = Lister(request, query.schema)
    start = request.start
    while True:
        # One more than is missing: the newest version of the last one is known when the next one begins.
        missing = request.limit - len(lister.items) + 1
        page = await query.reader.scan(last, limit=min(max(missing, 2), MAX_SCAN_ITEMS), start_key=start)
        start = page.last_key
        if lister.feed(page.items, at_end=start is None):
            break
        if deadline.passed(now()) and lister.stop():
            break
    return _page(query, lister.items, lister.cursor)


def _page(query: Query, items: list[dict[str, Any]], token: str | None) -> dict[str, Any]:
    return {"items": [to_json(item, query.schema) for item in items], "count": len(items), "nextToken": token}
