"""Lanes of the engine to the fault server, with little patience between attempts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine import aws
from engine.retry import Backoff
from engine.session import Session
from engine.sign import Credentials
from tests.faults.server import FaultServer

QUICK = Backoff(base=0.001, cap=0.01)


@asynccontextmanager
async def lane_to(
    server: FaultServer, operation: aws.Operation, transport_kind: str = "lean"
) -> AsyncIterator[aws.Lane]:
    async def credentials(_renew: bool) -> Credentials:
        return Credentials("test", "test")

    async with aws.transport(transport_kind, Session()) as transport:
        yield aws.Lane(
            operation, transport, credentials, endpoint_url=server.endpoint, region="us-east-1", backoff=QUICK
        )
