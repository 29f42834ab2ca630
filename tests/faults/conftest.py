"""The functions' environment, where all services are the servers that fail on purpose."""

from collections.abc import Iterator

import pytest

from tests.builders.invocations import fresh_processes
from tests.fakeaws.fault_objects import ObjectServer
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.fixtures import fault_server, object_server

__all__ = ["fault_server", "object_server"]


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
