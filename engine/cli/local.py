"""`millpond local`: run the whole system on a local AWS until Ctrl-C."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from engine.cli.display import Display
from engine.cli.example import example_of, item_path
from engine.cli.words import command_as_called
from engine.deployment import stack as stacks
from engine.deployment.schema_file import SchemaFile
from engine.local.server import CREDENTIALS, LocalServer, local_credentials
from engine.local.stack import deploy_local
from engine.schema.model import Schema


def run_local(display: Display, *, port: int | None, schema: SchemaFile) -> int:
    """Start, deploy, print commands to try, and wait for Ctrl-C, the regular way to stop it: exit code 0."""
    display.heading("Millpond on this machine")
    with ExitStack() as stack:
        with display.step("starting a local AWS", "local AWS started, with IAM enforced"):
            server = stack.enter_context(LocalServer(port=port))
            stack.enter_context(local_credentials())
        with display.step("deploying", "deployed: bucket, queues, functions, table, API"):
            # A copy: the functions must not change when somebody edits the file.
            path = server.keep("schema.toml", schema.text)
            deployed = asyncio.run(deploy_local(server.endpoint_url, schema=path))
        _instructions(display, deployed, server.endpoint_url, schema.schema)
        try:
            while True:
                signal.pause()
        except KeyboardInterrupt:
            display.line()
    display.done("stopped, nothing left behind")
    return 0


def _instructions(display: Display, stack: stacks.Stack, endpoint_url: str, schema: Schema) -> None:
    display.heading("Where things are")
    display.pairs(
        [
            ("endpoint", endpoint_url),
            ("API", stack.api_url),
            ("uploads", stack.uploads_url),
            ("rejects", stack.rejects_url),
            ("queue", stack.queue_url),
            ("table", stack.table),
        ]
    )
    display.heading("Try, in another terminal")
    credentials = " ".join(f"{name}={value}" for name, value in CREDENTIALS.items())
    example = asyncio.run(example_of(schema))
    file = "FILE.csv" if example is None else shlex.quote(str(_from_here(example.path)))
    for command in (
        f"export {credentials} AWS_ENDPOINT_URL={endpoint_url}",
        f"{command_as_called(sys.argv[0])} ingest {file} --endpoint-url {endpoint_url}",
        f"curl {stack.api_url}/{item_path(schema, example)}",
        f"curl '{stack.api_url}/{schema.collection}?limit=5'",
        f"aws s3 cp {file} {stack.uploads_url}",
        f"aws s3 ls --recursive {stack.rejects_url}",
        f"aws dynamodb scan --table-name {stack.table} --select COUNT",
        # `aws logs tail` is shorter, but only the second version of the AWS CLI has it. Lambda's own lines (START, END,
        # REPORT) and lines of metrics are left out; the nested list makes text output print one event a line.
        f"aws logs filter-log-events --log-group-name /aws/lambda/{stack.producer}"
        """ --query 'events[?!contains(message, `"RequestId: "`) && !starts_with(message, `"{\\"_aws\\""`)]"""
        ".[message]' --output text",
    ):
        display.line(command, style="cyan")
    display.line()
    display.note("Ctrl-C stops it and removes everything.")


def _from_here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
