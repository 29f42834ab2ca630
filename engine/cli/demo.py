"""`millpond demo`: start the whole system, load two files, query the API, and shut everything down."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from engine.cli import api
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.follow import Outcome, Upload
from engine.cli.generate import people
from engine.cli.schema import schema_in_use
from engine.cli.stack_client import StackClient
from engine.cli.words import command_as_called, counted
from engine.deployment import STACK_NAME
from engine.deployment import stack as stacks
from engine.deployment.checkout import CHECKOUT
from engine.local.server import LocalServer, local_credentials
from engine.local.stack import deploy_local

SAMPLE = CHECKOUT / "examples" / "users.csv"
SAMPLE_ROWS = 10
KNOWN_USER = "john@gmail.com"
PAGE = 5


def run_demo(
    display: Display, *, rows: int, seed: int, endpoint_url: str | None, stack_name: str, region: str | None
) -> int:
    """Run the demo, on a local AWS of its own unless `endpoint_url` names one with a deployed stack.

    Returns the exit code: 0 when every row is accounted for, 1 when not.
    """
    if endpoint_url is None and (stack_name != STACK_NAME or region is not None):
        raise CliError("The demo starts a local AWS of its own; --stack and --region need --endpoint-url.")
    if not SAMPLE.is_file():
        raise CliError(f"No {SAMPLE}: the demo runs from a checkout of the project.")
    display.heading("Millpond demo")
    if endpoint_url is not None:
        return asyncio.run(_deployed(display, endpoint_url, stack_name, region, rows=rows, seed=seed))
    with ExitStack() as stack:
        with display.step("starting a local AWS", "local AWS started, with IAM enforced"):
            server = stack.enter_context(LocalServer())
            stack.enter_context(local_credentials())
        return asyncio.run(_local(display, server.endpoint_url, rows=rows, seed=seed))


async def _local(display: Display, endpoint_url: str, *, rows: int, seed: int) -> int:
    with display.step("deploying", "deployed: bucket, queues, functions, table, API"):
        stack = await deploy_local(endpoint_url)
    code = await _show(display, stack, endpoint_url, None, rows=rows, seed=seed)
    again = f"{command_as_called(sys.argv[0])} local"
    display.note(f"All of this is gone now. `{again}` starts one that stays, for files of your own.")
    display.line()
    return code


async def _deployed(
    display: Display, endpoint_url: str, stack_name: str, region: str | None, *, rows: int, seed: int
) -> int:
    stack = await stacks.find(stack_name, endpoint_url=endpoint_url, region=region)
    return await _show(display, stack, endpoint_url, region, rows=rows, seed=seed)


async def _show(
    display: Display, stack: stacks.Stack, endpoint_url: str, region: str | None, *, rows: int, seed: int
) -> int:
    schema = schema_in_use()
    async with StackClient(stack, schema, endpoint_url=endpoint_url, region=region) as client:
        sample = await _sample(display, client)
        if not sample.complete:
            return 1
        generated, valid = await _generated(display, client, rows, seed)
    outcomes = [("users.csv", sample), ("people.csv", generated)]

    display.heading("Results")
    display.summary(outcomes)
    display.line()
    display.reasons(generated.reasons)

    display.heading("Answers of the API")
    url = f"{stack.api_url}/users/{KNOWN_USER}"
    display.line(f"GET {url}")
    display.json(json.dumps(await api.get(url, region=region), indent=2, ensure_ascii=False))
    display.line()
    url = f"{stack.api_url}/users?limit={PAGE}"
    display.line(f"GET {url}")
    page = await api.get(url, region=region)
    display.json(_page_text(page))

    display.heading("Reject files")
    for key in generated.reject_keys:
        display.line(f"s3://{stack.bucket}/{key}", style="cyan")
    display.note("CSV with row, offset, reason and record: correct the records and upload them again.")
    display.line()
    return _verdict(display, outcomes, expected={"users.csv": SAMPLE_ROWS, "people.csv": valid})


async def _sample(display: Display, client: StackClient) -> Outcome:
    upload = await client.upload(SAMPLE, "uploads/users.csv")
    return await _follow(display, client, "users.csv", upload, SAMPLE_ROWS)


async def _generated(display: Display, client: StackClient, rows: int, seed: int) -> tuple[Outcome, int]:
    with tempfile.TemporaryDirectory(prefix="millpond-demo-") as directory:
        path = Path(directory) / "people.csv"
        with display.step(f"generating {rows:,} people", f"people.csv generated: {counted(rows, 'row')}, some invalid"):
            valid = await asyncio.to_thread(_write, path, rows, seed)
        size = path.stat().st_size / 1e6
        with display.step("uploading people.csv", f"people.csv uploaded: {size:,.1f} MB"):
            upload = await client.upload(path, "uploads/people.csv")
        return await _follow(display, client, "people.csv", upload, rows), valid


async def _follow(display: Display, client: StackClient, name: str, upload: Upload, rows: int) -> Outcome:
    with display.progress(rows) as report:
        outcome = await client.follow(upload, rows, report)
    if outcome.complete:
        rejected = f", {outcome.rejected:,} rejected" if outcome.rejected else ""
        display.done(f"{name}: {counted(outcome.written, 'row')} written{rejected}", outcome.seconds)
    else:
        display.missing(name, outcome, None)
    return outcome


def _write(path: Path, rows: int, seed: int) -> int:
    """Write the file piece by piece, in bounded memory; return the number of its valid rows."""
    total = 0
    with path.open("wb") as file:
        for piece, valid in people(rows, seed=seed):
            file.write(piece)
            total += valid
    return total


def _page_text(page: dict[str, object]) -> str:
    """Return a page as JSON with one item a line; the usual indentation would fill the screen."""
    items = page.pop("items")
    assert isinstance(items, list)  # noqa: S101 - the API's contract
    lines = ",\n".join("    " + json.dumps(item, ensure_ascii=False) for item in items)
    rest = "".join(f",\n  {json.dumps(name)}: {json.dumps(value)}" for name, value in page.items())
    return f'{{\n  "items": [\n{lines}\n  ]{rest}\n}}'


def _verdict(display: Display, outcomes: list[tuple[str, Outcome]], expected: dict[str, int]) -> int:
    wrong = [(name, outcome) for name, outcome in outcomes if outcome.written != expected[name]]
    for name, outcome in wrong:
        display.failed(f"{name} has {counted(expected[name], 'valid row')}, but {outcome.written:,} in the table")
    if wrong or not all(outcome.complete for _, outcome in outcomes):
        return 1
    rows = sum(outcome.rows for _, outcome in outcomes)
    written = sum(outcome.written for _, outcome in outcomes)
    rejected = sum(outcome.rejected for _, outcome in outcomes)
    display.done(
        f"{counted(rows, 'row')} read = {written:,} written + {rejected:,} rejected: every row is accounted for"
    )
    display.line()
    return 0
