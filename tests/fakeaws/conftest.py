"""AWS's own client for the stand-in."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.fixtures import fault_server, object_server
from tests.fakeaws.listener import Listener

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_sqs import SQSClient

__all__ = ["fault_server", "object_server"]


def plain_client(server: Listener, service: str) -> Any:
    """AWS's own client, without its own checks and retries, and with little patience."""
    return get_session().create_client(  # type: ignore[call-overload]
        service,
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=AioConfig(retries={"total_max_attempts": 1}, read_timeout=4, parameter_validation=False),
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
