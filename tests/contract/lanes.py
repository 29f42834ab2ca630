"""The engine's own lanes to a cloud, signed with the test's credentials."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine import aws
from engine.session import Session
from engine.sign import Credentials
from tests.contract.clouds import Cloud

ROOT = Credentials("test", "test")


@asynccontextmanager
async def lane_to(cloud: Cloud, operation: aws.Operation, credentials: Credentials = ROOT) -> AsyncIterator[aws.Lane]:
    """Open a lane; the credentials are always these."""

    async def give(_renew: bool) -> Credentials:
        return credentials

    async with aws.transport("lean", Session()) as transport:
        yield aws.Lane(operation, transport, give, endpoint_url=cloud.endpoint, region="us-east-1")
