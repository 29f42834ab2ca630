"""The query function: API Gateway REST proxy request -> table -> JSON."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from engine import aws
from engine.config import QuerySettings
from engine.errors import BadRequest, MillpondError
from engine.handlers.process import Context, Process, deadline_of, log
from engine.queries import History, Latest, Lister, Listing, encode_cursor, parse_request, to_json
from engine.retry import Deadline
from engine.schema import Schema
from engine.session import Session
from engine.table import TableReader

RESERVE_SECONDS = 2.0
"""Kept back of the function's time: a page that is not full by then is answered as it is."""

ANSWER_SECONDS = 0.5
"""Kept back of that for the answer: a table that has said nothing by then is a fault."""

MAX_SCAN_ITEMS = 1_000
"""Items asked of one Scan; DynamoDB itself stops at 1 MB."""


@dataclass(frozen=True, slots=True)
class Query:
    """What an invocation works with: the schema and an open reader."""

    schema: Schema
    reader: TableReader


@asynccontextmanager
async def open_query(env: Mapping[str, str]) -> AsyncIterator[Query]:
    """Read the settings and open the client."""
    settings = QuerySettings.from_env(env)
    session = Session()
    async with aws.transport(settings.transport, session) as transport:
        query, scan = (aws.lane(operation, transport, session) for operation in (aws.QUERY, aws.SCAN))
        yield Query(settings.schema, TableReader(settings.table, settings.schema, query, scan))


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
        if deadline.passed(aws.now()) and lister.stop():
            break
    return _page(query, lister.items, lister.cursor)


def _page(query: Query, items: list[dict[str, Any]], token: str | None) -> dict[str, Any]:
    return {"items": [to_json(item, query.schema) for item in items], "count": len(items), "nextToken": token}


def _response(status: int, document: dict[str, Any], **headers: str) -> dict[str, Any]:
    return {
        "statusCode": status,
        # What is in a table of people must not stay behind in a cache on the way.
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", **headers},
        "body": orjson.dumps(document).decode(),
        "isBase64Encoded": False,
    }


_process = Process(open_query)


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Lambda entry point behind API Gateway; every outcome is an HTTP response."""

    async def work(query: Query) -> dict[str, Any]:
        deadline, last = deadline_of(context, RESERVE_SECONDS), deadline_of(context, ANSWER_SECONDS)
        return await answer(query, event, deadline, last)

    try:
        return _response(200, _process.run(work))
    except BadRequest as error:
        allow = {"Allow": error.allow} if error.allow else {}
        return _response(error.status, {"error": str(error)}, **allow)
    except Exception as error:
        # Its text may hold anything: the client gets the request's id, the log what kind of fault it was and where.
        _log_fault(error, context.aws_request_id)
        return _response(500, {"error": "internal error", "requestId": context.aws_request_id})


def _log_fault(error: Exception, request_id: str) -> None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace is not None else "unknown"
    reason = str(error) if isinstance(error, MillpondError) else type(error).__name__
    log(logging.ERROR, "fault", requestId=request_id, reason=reason, where=where)
