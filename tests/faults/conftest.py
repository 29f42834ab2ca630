"""The servers that go wrong on purpose, on event loops of their own, so that a whole handler can run against them."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from tests.faults.listener import Listener, in_thread
from tests.faults.objects import ObjectServer
from tests.faults.server import FaultServer
from tests.functions import fresh_processes

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_sqs import SQSClient


@pytest.fixture
def fault_server() -> Iterator[FaultServer]:
    """A server with the users table and queue; all goes well until the test sets `fault_server.plan`."""
    with in_thread(FaultServer()) as server:
        yield server


@pytest.fixture
def object_server() -> Iterator[ObjectServer]:
    """A server with no objects in it; all goes well until the test sets `object_server.plan`."""
    with in_thread(ObjectServer()) as server:
        yield server


@pytest.fixture
def env(
    fault_server: FaultServer, object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    """The functions' environment: all services are the two servers. What the handlers open is closed after the test."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", fault_server.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", object_server.endpoint)
    monkeypatch.setenv("QUEUE_URL", fault_server.queue_url())
    with fresh_processes():
        yield monkeypatch


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
