"""`millpond local`: a local AWS with the whole system in it, for as long as one wants."""

from __future__ import annotations

import asyncio
import signal
from contextlib import ExitStack

from engine.cli.display import Display
from engine.local import stack as stacks
from engine.local.server import CREDENTIALS, LocalServer, local_credentials


def run_local(display: Display, *, port: int | None) -> int:
    """Start, deploy, print what can be done, and wait for Ctrl-C, which is the way to end it: exit code 0."""
    display.heading("Millpond on this machine")
    with ExitStack() as stack:
        with display.step("starting a local AWS", "local AWS started, with IAM enforced"):
            server = stack.enter_context(LocalServer(port=port))
            stack.enter_context(local_credentials())
        with display.step("deploying", "deployed: bucket, queues, functions, table and API"):
            deployed = asyncio.run(stacks.deploy_local(server.endpoint_url))
        _instructions(display, deployed, server.endpoint_url)
        try:
            while True:
                signal.pause()
        except KeyboardInterrupt:
            display.line()
    display.done("stopped, nothing left behind")
    return 0


def _instructions(display: Display, stack: stacks.Stack, endpoint_url: str) -> None:
    display.heading("Where things are")
    display.pairs(
        [
            ("endpoint", endpoint_url),
            ("API", stack.api_url),
            ("uploads", f"s3://{stack.bucket}/uploads/"),
            ("rejects", f"s3://{stack.bucket}/{stack.rejects_prefix}"),
            ("queue", stack.queue_url),
            ("table", stack.table),
        ]
    )
    display.heading("Try, in another terminal")
    credentials = " ".join(f"{name}={value}" for name, value in CREDENTIALS.items())
    for command in (
        f"export {credentials} AWS_ENDPOINT_URL={endpoint_url}",
        f"millpond ingest examples/users.csv --endpoint-url {endpoint_url}",
        f"curl {stack.api_url}/users/john@gmail.com",
        f"curl '{stack.api_url}/users?limit=5'",
        f"aws s3 cp examples/users.csv s3://{stack.bucket}/uploads/",
        f"aws s3 ls --recursive s3://{stack.bucket}/{stack.rejects_prefix}",
        f"aws dynamodb scan --table-name {stack.table} --select COUNT",
        f"aws logs tail /aws/lambda/{stack.producer}",
    ):
        display.line(command, style="cyan")
    display.line()
    display.line("Ctrl-C stops it and removes everything.", style="dim")
