"""The query function: API Gateway REST proxy request -> table -> JSON."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson

from engine.aws.lane import lane_for
from engine.aws.session import Session
from engine.aws.table import TableReader
from engine.aws.transports import open_transport
from engine.aws.types import QUERY, SCAN
from engine.config import QuerySettings
from engine.errors import BadRequest, MillpondError
from engine.handlers.runtime import Context, Process, deadline_of
from engine.jobs.answer import Query, answer
from engine.logs import log

RESERVE_SECONDS = 2.0
"""Kept back of the function's time: a page that is not full by then is answered as it is."""

ANSWER_SECONDS = 0.5
"""Kept back of that for the answer: a table that has said nothing by then is a fault."""


@asynccontextmanager
async def open_query(env: Mapping[str, str]) -> AsyncIterator[Query]:
    """Read the settings and open the client."""
    settings = QuerySettings.from_env(env)
    session = Session()
    async with open_transport(settings.transport, session) as transport:
        query, scan = (lane_for(operation, transport, session) for operation in (QUERY, SCAN))
        yield Query(settings.schema, TableReader(settings.table, settings.schema, query, scan))


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
