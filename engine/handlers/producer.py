"""The producer: opens clients and ingests the objects of each event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from engine.aws.lane import lane_for
from engine.aws.objects import Objects
from engine.aws.queues import QueueSender
from engine.aws.reject_store import RejectStore
from engine.aws.s3 import S3
from engine.aws.session import Session
from engine.aws.transports import open_fetch, open_transport
from engine.aws.types import SEND_MESSAGE_BATCH
from engine.config import ProducerSettings
from engine.handlers.accounting import accounting_of
from engine.handlers.runtime import Context, Process, deadline_of
from engine.jobs.ingest import produce
from engine.jobs.producer import Producer

RESERVE_SECONDS = 5.0
"""Kept back of the function's time, in which what was read is sent and the rest is handed on."""

ANSWER_SECONDS = 1.0
"""Kept back of that, for the answer."""


@asynccontextmanager
async def open_producer(env: Mapping[str, str]) -> AsyncIterator[Producer]:
    """Read the settings and open the clients."""
    settings = ProducerSettings.from_env(env)
    async with AsyncExitStack() as stack:
        session = Session()
        transport = await stack.enter_async_context(open_transport(settings.transport, session))
        lane = lane_for(SEND_MESSAGE_BATCH, transport, session)
        sender = QueueSender(settings.queue_url, lane, max_batch_bytes=settings.max_batch_bytes)
        spans = (
            QueueSender(settings.span_queue_url, lane, max_batch_bytes=settings.max_batch_bytes)
            if settings.span_queue_url
            else None
        )
        s3 = S3(session, await stack.enter_async_context(open_fetch(settings.transport, session)))
        accounting = accounting_of(settings.ledger, transport, session)
        yield Producer(settings, Objects(s3), sender, RejectStore(s3), accounting, spans)


process = Process(open_producer)


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Lambda entry point; see `produce` for what it answers."""

    async def work(producer: Producer) -> dict[str, Any]:
        return await produce(
            producer, event, deadline_of(context, RESERVE_SECONDS, 3), deadline_of(context, ANSWER_SECONDS, 10)
        )

    return process.run(work)
