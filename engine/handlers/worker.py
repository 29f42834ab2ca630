"""The worker: opens clients and writes the rows of each batch of messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any

from engine.aws.lane import lane_for
from engine.aws.newest_writer import NewestWriter
from engine.aws.queues import QueueSender
from engine.aws.reject_store import RejectStore
from engine.aws.s3 import S3
from engine.aws.session import Session
from engine.aws.table_writer import TableWriter
from engine.aws.transports import open_fetch, open_transport
from engine.aws.types import BATCH_WRITE_ITEM, DESCRIBE_TABLE, PUT_ITEM, SEND_MESSAGE_BATCH, UPDATE_ITEM
from engine.aws.write_rate import WriteRate
from engine.config import SQS_MAX_BYTES, WorkerSettings
from engine.handlers.accounting import accounting_of
from engine.handlers.runtime import Context, Process, deadline_of
from engine.jobs.write import Worker, work

RESERVE_SECONDS = 3.0
"""Kept back of the function's time, for handing on, recording rejects and the answer."""

ANSWER_SECONDS = 0.5
"""Kept back of that for the answer: rejects that are not recorded by then bring their message back."""


@asynccontextmanager
async def open_worker(env: Mapping[str, str]) -> AsyncIterator[Worker]:
    """Read the settings and open the clients."""
    settings = WorkerSettings.from_env(env)
    async with AsyncExitStack() as stack:
        session = Session()
        transport = await stack.enter_async_context(open_transport(settings.transport, session))
        describe = lane_for(DESCRIBE_TABLE, transport, session)
        s3 = S3(session, await stack.enter_async_context(open_fetch(settings.transport, session)))

        @cache
        def queue() -> QueueSender:
            """Open the queue when it is first needed: reading the model of SQS slows cold starts."""
            lane = lane_for(SEND_MESSAGE_BATCH, transport, session)
            return QueueSender(settings.queue_url or "", lane, max_batch_bytes=SQS_MAX_BYTES)

        writer_of, operation = (
            (NewestWriter, PUT_ITEM) if settings.schema.conflict == "newest" else (TableWriter, BATCH_WRITE_ITEM)
        )
        rate = None
        if settings.write_rate and settings.ledger:
            update = lane_for(UPDATE_ITEM, transport, session)
            rate = WriteRate(settings.ledger.table, settings.write_rate, update)
        write = lane_for(operation, transport, session)
        writer = writer_of(settings.table, settings.schema, write, describe, rate=rate)
        accounting = accounting_of(settings.ledger, transport, session)
        yield Worker(settings, writer, RejectStore(s3), queue if settings.queue_url else None, accounting)


process = Process(open_worker)


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Lambda entry point for an SQS event source with ``ReportBatchItemFailures``; see `work`."""

    async def run(worker: Worker) -> dict[str, Any]:
        deadline, last = deadline_of(context, RESERVE_SECONDS), deadline_of(context, ANSWER_SECONDS)
        return await work(worker, event, deadline, last)

    return process.run(run)
