"""The server that goes wrong on purpose, on an event loop of its own, so that a whole handler can run against it."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from tests.faults.server import FaultServer, in_thread

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_sqs import SQSClient


@pytest.fixture
def fault_server() -> Iterator[FaultServer]:
    """A server with the users table and queue; all goes well until the test sets `fault_server.plan`."""
    with in_thread(FaultServer()) as server:
        yield server


def plain_client(server: FaultServer, service: str) -> Any:
    """AWS's own client, without its own checks and retries, and with little patience."""
    return get_session().create_client(  # type: ignore[call-overload]
        service,
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=AioConfig(retries={"total_max_attempts": 1}, read_timeout=1, parameter_validation=False),
    )


@pytest.fixture
async def dynamodb(fault_server: FaultServer) -> "AsyncIterator[DynamoDBClient]":
    """AWS's client for the fault server's tables."""
    async with plain_client(fault_server, "dynamodb") as client:
        yield client


@pytest.fixture
async def sqs(fault_server: FaultServer) -> "AsyncIterator[SQSClient]":
    """AWS's client for the fault server's queues."""
    async with plain_client(fault_server, "sqs") as client:
        yield client
