"""The servers that fail on purpose, on event loops of their own, so that a whole handler can run against them."""

from collections.abc import Iterator

import pytest

from tests.fakeaws.fault_objects import ObjectServer
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.listener import in_thread


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
