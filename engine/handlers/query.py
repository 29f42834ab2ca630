"""The query function: HTTP request -> table -> JSON."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import orjson

from engine.aws.lane import lane_for
from engine.aws.ledger_list import LedgerList
from engine.aws.session import Session
from engine.aws.table_reader import TableReader
from engine.aws.transports import open_fetch, open_transport
from engine.aws.types import BATCH_GET_ITEM, QUERY, SCAN
from engine.config import QuerySettings
from engine.errors import BadRequest, MillpondError
from engine.handlers.runtime import Context, Process, deadline_of
from engine.http_events import front_end_of, method_of, read_request
from engine.jobs.answer import Query, answer
from engine.logs import log
from engine.queries import ALLOW, SCHEMA_EVENT

if TYPE_CHECKING:
    from engine.jobs.answer_rejects import RejectFolders

RESERVE_SECONDS = 2.0
"""Reserved of the function's time: a page that is not full by then is answered as it is."""

ANSWER_SECONDS = 0.5
"""Reserved of that for the response: a table that has not replied by then is a fault."""


@asynccontextmanager
async def open_query(env: Mapping[str, str]) -> AsyncIterator[Query]:
    """Read the settings and open the client."""
    settings = QuerySettings.from_env(env)
    session = Session()
    async with (
        open_transport(settings.transport, session) as transport,
        open_fetch(settings.transport, session) as fetch,
    ):

        @cache
        def reject_folders() -> RejectFolders:
            """Open S3 when rejects are first asked for: importing all that it takes slows cold starts."""
            from engine.aws.reject_store import RejectReader
            from engine.aws.s3 import S3
            from engine.jobs.answer_rejects import RejectFolders

            s3 = S3(session, fetch)
            return RejectFolders(settings.rejects_prefix, settings.rejects_bucket, partial(RejectReader, s3))

        query, scan = (lane_for(operation, transport, session) for operation in (QUERY, SCAN))
        reader = TableReader(settings.table, settings.schema, query, scan)
        ledger = settings.ledger
        yield Query(
            settings.schema,
            settings.schema_text,
            reader,
            # A lane of its own: what a throttled table teaches does not concern the ledger.
            LedgerList(ledger.table, *(lane_for(each, transport, session) for each in (QUERY, BATCH_GET_ITEM)))
            if ledger
            else None,
            ledger.patience if ledger else 0,
            reject_folders,
        )


process = Process(open_query)


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Lambda entry point behind API Gateway, a function URL or a load balancer; every outcome is an HTTP response.

    Only `SCHEMA_EVENT` is answered otherwise, for the command line.
    """
    if event == SCHEMA_EVENT:
        return process.run(_tell_schema)
    status, body, headers = _answered(event, context)
    # The table holds data about people: no cache on the way may keep it.
    headers["Cache-Control"] = "no-store"
    if body:
        headers["Content-Type"] = "application/json"
    if method_of(event) == "HEAD":
        body = b""
    return front_end_of(event).response(status, headers, body.decode())


async def _tell_schema(query: Query) -> dict[str, Any]:
    return {"schema": query.schema_text}


def _answered(event: Any, context: Context) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body, and the headers that not every response has."""

    async def work(query: Query) -> bytes:
        deadline, last = deadline_of(context, RESERVE_SECONDS), deadline_of(context, ANSWER_SECONDS)
        return await answer(query, request, int(time.time()), deadline, last)

    try:
        request = read_request(event)
        body = process.run(work)
    except BadRequest as error:
        return error.status, orjson.dumps({"error": str(error)}), {"Allow": error.allow} if error.allow else {}
    except Exception as error:
        # Its text may hold anything: the client gets the request's id, the log what kind of fault it was and where.
        _log_fault(error, context.aws_request_id)
        return 500, orjson.dumps({"error": "internal error", "requestId": context.aws_request_id}), {}
    return (200, body, {}) if body else (204, body, {"Allow": ALLOW})


def _log_fault(error: Exception, request_id: str) -> None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace is not None else "unknown"
    reason = str(error) if isinstance(error, MillpondError) else type(error).__name__
    log(logging.ERROR, "fault", requestId=request_id, reason=reason, where=where)
