"""`millpond local` as a process of its own: what its banner prints works, and its log has a line for each file."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import jmespath
import pytest

from engine.cli.command import main
from engine.deployment import clients
from engine.deployment.checkout import CHECKOUT
from engine.local.server import local_credentials
from tests.e2e.table import eventually

LOG_COMMAND = re.compile(r"^ *aws logs filter-log-events .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Running:
    """A running `millpond local`: what it printed, and its endpoint and bucket."""

    banner: str
    endpoint_url: str
    bucket: str

    def client(self, service: str) -> AbstractAsyncContextManager[Any]:
        return clients.client(service, endpoint_url=self.endpoint_url)

    async def log_lines(self) -> list[str]:
        """What the banner's log command prints: the AWS CLI's own steps, since not every machine has it."""
        (command,) = LOG_COMMAND.findall(self.banner)
        words = shlex.split(command)
        options = dict(zip(words[3::2], words[4::2], strict=True))
        assert set(options) == {"--log-group-name", "--query", "--output"}
        assert options["--output"] == "text"
        async with self.client("logs") as logs:
            reply = await logs.filter_log_events(logGroupName=options["--log-group-name"])
        # As text, each inner list is a line.
        return ["\t".join(row) for row in jmespath.search(options["--query"], reply)]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    command = [sys.executable, "-c", "from engine.cli.command import main; raise SystemExit(main(['local']))"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    try:
        banner = ""
        assert process.stdout is not None
        for line in process.stdout:
            banner += line
            if "Ctrl-C stops it" in line:
                break
        endpoint, bucket = re.search(r"endpoint +(\S+)", banner), re.search(r"uploads +s3://([^/]+)/", banner)
        assert endpoint is not None, banner
        assert bucket is not None, banner
        with local_credentials():
            yield Running(banner, endpoint[1], bucket[1])
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
        assert "nothing left behind" in rest
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        ("uploads/clean.csv", b"name,mail\nA,a@clean.test\n", "complete"),
        ("uploads/rejects.csv", b"name,mail\n,a@rejects.test\nB,b@rejects.test\nC,c@rejects.test\n", "complete"),
        ("uploads/refused.csv", b"a,b\n1,2\n", "failed"),
        ("uploads/damaged.csv.gz", b"\x1f\x8b", "failed"),
        ("uploads/users.jsonl", b'{"name": "J", "mail": "j@lines.test"}', "complete"),
        ("uploads/users.csv.xz", b"", "skipped"),
    ],
)
def test_each_upload_leaves_one_line_in_the_log(running: Running, key: str, body: bytes, status: str) -> None:
    async def uploaded_and_logged() -> list[dict[str, Any]]:
        async with running.client("s3") as s3:
            await s3.put_object(Bucket=running.bucket, Key=key, Body=body)
        found: list[dict[str, Any]] = []

        async def logged() -> bool:
            lines = await running.log_lines()
            assert not any(line.startswith(("START", "END", "REPORT")) for line in lines)
            parsed = [json.loads(line) for line in lines]
            assert not any("_aws" in line for line in parsed)  # lines of metrics would be half of the output
            found[:] = [line for line in parsed if line.get("event") == "object" and line["key"] == key]
            return bool(found)

        await eventually(logged, f"a log line of {key}")
        return found

    (line,) = asyncio.run(uploaded_and_logged())
    assert line["status"] == status


@pytest.mark.parametrize("command", [["deploy"], ["deploy", "--plan"], ["destroy", "--yes"]], ids=" ".join)
def test_local_stack_is_refused_and_named(
    running: Running, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert main([*command, "--endpoint-url", running.endpoint_url, "--region", "us-east-1"]) == 2
    told = capsys.readouterr().err
    assert "The stack millpond was made by `millpond local`" in told
    assert "start `millpond local` again" in told
    assert "did not create" not in told
