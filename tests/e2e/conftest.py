"""The whole system on a local AWS with IAM enforced: started once for all tests here, and shut down after them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.deployment import clients
from engine.deployment.stack import Stack
from engine.local.server import LocalServer, local_credentials
from engine.local.stack import deploy_local
from tests.builders.invocations import Json
from tests.e2e.command import DOCKER, Command

# Messages that come back do so after this many seconds, where production waits for six times the worker's timeout.
VISIBILITY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A deployed stack: its parts by name, and clients for them with the root user's rights."""

    server: LocalServer
    outputs: Stack

    @property
    def endpoint_url(self) -> str:
        return self.server.endpoint_url

    def client(self, service: str) -> AbstractAsyncContextManager[Any]:
        """An aiobotocore client, to be entered in the test: a client belongs to the event loop it was made in."""
        return clients.client(service, endpoint_url=self.endpoint_url)


@pytest.fixture(scope="session")
def local_stack() -> Iterator[LocalStack]:
    """One stack for the whole session; tests keep apart by the keys and addresses they use."""
    with LocalServer() as server, local_credentials():
        parameters = {"QueueVisibilityTimeout": str(VISIBILITY_SECONDS), "MaxReceiveCount": "3"}
        outputs = asyncio.run(deploy_local(server.endpoint_url, parameters=parameters))
        yield LocalStack(server, outputs)


@pytest.fixture(scope="module")
def no_notification(local_stack: LocalStack) -> Iterator[None]:
    """Take the bucket's notification away, so that only a test's own events make the producer read what it uploads."""

    async def put(configuration: Json | None) -> Json:
        async with local_stack.client("s3") as s3:
            bucket = local_stack.outputs.bucket
            before: Json = await s3.get_bucket_notification_configuration(Bucket=bucket)
            await s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration or {})
        return {name: value for name, value in before.items() if name != "ResponseMetadata"}

    before = asyncio.run(put(None))
    assert before["LambdaFunctionConfigurations"]
    yield
    asyncio.run(put(before))


@pytest.fixture(scope="module")
def empty_aws() -> Iterator[LocalServer]:
    """A local AWS without a stack, one for each file of tests that make and remove stacks."""
    with LocalServer() as server, local_credentials():
        yield server


@pytest.fixture
def millpond(
    empty_aws: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    return Command(empty_aws.endpoint_url, tmp_path / "record", capsys)
