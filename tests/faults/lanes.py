"""Lanes of the engine to the fault server, with little patience between attempts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.aws.lane import CALL_TIMEOUT, Lane
from engine.aws.session import Session
from engine.aws.sign import Credentials
from engine.aws.transports import open_transport
from engine.aws.types import Operation
from engine.flow.backoff import Backoff
from tests.fakeaws.fault_server import FaultServer

QUICK = Backoff(base=0.001, cap=0.01)


@asynccontextmanager
async def lane_to(
    server: FaultServer, operation: Operation, transport_kind: str = "lean", call_timeout: float = CALL_TIMEOUT
) -> AsyncIterator[Lane]:
    async def credentials(_renew: bool) -> Credentials:
        return Credentials("test", "test")

    async with open_transport(transport_kind, Session()) as transport:
        yield Lane(
            operation,
            transport,
            credentials,
            endpoint_url=server.endpoint,
            region="us-east-1",
            backoff=QUICK,
            call_timeout=call_timeout,
        )
