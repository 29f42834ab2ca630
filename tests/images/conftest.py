"""The three images, built once, and functions that run in them as in Lambda: little memory, no rights, read-only."""

from __future__ import annotations

import http.client
import json
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.deployment.base import base_image
from engine.deployment.checkout import CHECKOUT
from engine.deployment.images import Recipe, build_all, own_architecture
from tests.images.engine import Engine, NoEngine, find_engine

EMULATOR = CHECKOUT / ".venv-images" / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{own_architecture()}"
ULIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
HARDENED = (
    "--read-only", "--tmpfs=/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "512m",
    *ULIMITS,
)  # fmt: skip
"""What Lambda allows a function, or less."""


@dataclass
class Images:
    """The built images by function, and what came out about them, for the summary."""

    engine: Engine
    tags: Mapping[str, str]
    figures: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """What builds and runs images on this machine."""
    try:
        return find_engine(tmp_path_factory.mktemp("build"))
    except NoEngine as error:
        pytest.skip(f"no images can be built here: {error}")


@pytest.fixture(scope="session")
def images(engine: Engine) -> Iterator[Images]:
    """Build all three; at the end they are removed and the figures printed."""
    recipe = Recipe(CHECKOUT, own_architecture(), engine.base_image or base_image(CHECKOUT), engine.build_options)
    tags = build_all(engine.builder, recipe, version=f"test-{uuid.uuid4().hex[:8]}")
    built = Images(engine, tags)
    yield built
    engine.output("rmi", "--force", *tags.values())
    print("\n" + "\n".join(built.figures))


class Function:
    """One function in its container, behind AWS's Runtime Interface Emulator."""

    def __init__(self, engine: Engine, name: str, port: int) -> None:
        self._engine, self._name, self._port = engine, name, port

    def invoke(self, event: Any) -> Any:
        """Return what the function answers to an event; the first one starts it, as in Lambda."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", "/2015-03-31/functions/function/invocations", json.dumps(event))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def log(self) -> str:
        """Return what the function and the emulator have written."""
        return self._engine.output("logs", self._name)


@contextmanager
def function(images: Images, kind: str, environment: Mapping[str, str]) -> Iterator[Function]:
    """Run the image of `kind`; the container ends with the context."""
    name = f"millpond-test-{uuid.uuid4().hex[:8]}"
    port, inner = free_port(), free_port()
    own = images.engine.output("image", "inspect", images.tags[kind])
    settings = json.loads(own)[0]["Config"]
    given = [f"--env={key}={value}" for key, value in environment.items()]
    images.engine.output(
        "run", "--detach", "--name", name, "--network", "host", *HARDENED, *given,
        "--volume", f"{EMULATOR}:/emulator:ro", "--entrypoint", "/emulator", images.tags[kind],
        "--runtime-interface-emulator-address", f"127.0.0.1:{port}", "--runtime-api-address", f"127.0.0.1:{inner}",
        *_absolute(settings["Entrypoint"]), *settings["Cmd"],
    )  # fmt: skip
    try:
        _wait_for(port)
        yield Function(images.engine, name, port)
    finally:
        images.engine.output("rm", "--force", "--time", "1", name)


def _absolute(entrypoint: list[str]) -> list[str]:
    # The emulator wants a path; env finds `python` where the image has it.
    return ["/usr/bin/env", *entrypoint]


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError("the emulator does not answer")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the time that building takes."""
    for item in items:
        item.add_marker(pytest.mark.timeout(900))
