"""The services that the I/O rooms are held against, over real sockets."""

import urllib.request
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from engine.local.server import LocalServer


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The endpoint URL of a moto server for all tests; use `endpoint`, which also empties it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def endpoint(moto_server: str) -> str:
    """The endpoint URL of a moto server with nothing in it."""
    request = urllib.request.Request(f"{moto_server}/moto-api/reset", method="POST")  # noqa: S310 - our own URL
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        return moto_server


@pytest.fixture(scope="session")
def ministack_server() -> Iterator[LocalServer]:
    """The local AWS, for what moto gets wrong. Never emptied: a test uses names of its own."""
    with LocalServer() as server:
        yield server
