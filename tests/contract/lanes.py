"""The engine's own lanes to a cloud, signed with the test's credentials."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.aws.lane import Lane
from engine.aws.session import Session
from engine.aws.sign import Credentials
from engine.aws.transports import open_transport
from engine.aws.types import Operation
from tests.contract.clouds import Cloud

ROOT = Credentials("test", "test")


@asynccontextmanager
async def lane_to(cloud: Cloud, operation: Operation, credentials: Credentials = ROOT) -> AsyncIterator[Lane]:
    """Open a lane; the credentials are always these."""

    async def give(_renew: bool) -> Credentials:
        return credentials

    async with open_transport("lean", Session()) as transport:
        yield Lane(operation, transport, give, endpoint_url=cloud.endpoint, region="us-east-1")
