"""The command line against a local AWS, with a Docker that only says that it pushed."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from engine.cli.command import main
from engine.deployment import clients

MANIFEST = "{}"
DIGEST = f"sha256:{hashlib.sha256(MANIFEST.encode()).hexdigest()}"
DOCKER = f"""#!{sys.executable}
import os, sys
with open(os.environ["RECORD"], "a") as file:
    file.write(sys.argv[1] + " " + sys.argv[-1] + "\\n")
if sys.argv[1] == os.environ.get("BREAKS"):
    sys.exit(1)
if sys.argv[1] == "push":
    print("digest: {DIGEST}")
"""


class Command:
    """The command line, as a person calls it for a stack of a new name."""

    def __init__(self, endpoint_url: str, record: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.endpoint_url, self.record, self.capsys = endpoint_url, record, capsys
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.names = [f"--parameter={each}={self.name}" for each in ("BucketPrefix", "QueueName", "TableName")]

    def __call__(self, command: str, *options: str) -> tuple[int, str]:
        self.record.write_text("")
        at = ["--endpoint-url", self.endpoint_url, "--region", "us-east-1", "--stack", self.name]
        # Otherwise the first build would look up the base image, and record it in this very checkout.
        base = ["--base-image", f"registry.test/python@{DIGEST}"] if command == "deploy" else []
        code = main([command, *at, *base, *options], poll_seconds=0.1)
        said = self.capsys.readouterr()
        return code, said.out + said.err

    @property
    def docker(self) -> list[str]:
        """What Docker was asked to do since the last command began."""
        return [line.split()[0] for line in self.record.read_text().splitlines()]

    def put_images(self) -> None:
        """Put the images that Docker was asked to push into their repositories."""
        for line in self.record.read_text().splitlines():
            step, image = line.split()
            if step == "push":
                repository, tag = image.partition("/")[2].split(":")
                self.ask("ecr", "put_image", repositoryName=repository, imageTag=tag, imageManifest=MANIFEST)

    def ask(self, service: str, operation: str, **arguments: Any) -> Any:
        async def asked() -> Any:
            async with clients.client(service, endpoint_url=self.endpoint_url) as client:
                return await getattr(client, operation)(**arguments)

        return asyncio.run(asked())
