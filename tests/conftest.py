"""No test sees a person's AWS account or reaches past this machine; property tests try the same examples each time."""

import asyncio
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import uvloop
from botocore.loaders import JSONFileLoader
from hypothesis import settings

# No outcome may depend on chance or on how busy the machine is; HYPOTHESIS_PROFILE=thorough looks further.
settings.register_profile("steady", max_examples=40, derandomize=True, deadline=None, database=None)
settings.register_profile("thorough", max_examples=5_000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class ReachedOutError(Exception):
    """A test tried to reach another machine. Not an OSError: code that retries those must not swallow it."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine, without asking anybody."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def stay_here(event: str, args: tuple[object, ...]) -> None:
    """Stop a connection or a look-up that would leave this machine.

    An audit hook rather than a patched socket class, because it also sees the sockets of C extensions that use
    Python's own, and uvloop's.
    """
    if event in ("socket.connect", "socket.sendto"):
        at, address = args
        if isinstance(at, socket.socket) and at.family == socket.AF_UNIX:
            return
        host = address[0] if isinstance(address, tuple) else address
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else host
    if name and not is_loopback(str(name)):
        raise ReachedOutError(f"{event}: {name}")


sys.addaudithook(stay_here)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests on the event loop that the functions run on: its transports differ from asyncio's own."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Be nobody in particular: made-up credentials, no settings from files or from the outer environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        # Whoever clears the variables above still finds no ~/.aws.
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session", autouse=True)
def service_models() -> Iterator[None]:
    """Keep AWS's service models at hand: otherwise every client of every test unpacks and parses megabytes anew."""
    read_file = JSONFileLoader.load_file
    read: dict[str, bytes] = {}

    def load_file(self: JSONFileLoader, file_path: str) -> Any:
        if file_path not in read:
            read[file_path] = orjson.dumps(read_file(self, file_path))
        return orjson.loads(read[file_path])  # a copy for each: moto changes the models that it loads

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", load_file)
        yield
