"""`millpond demo`: start the whole system, load two files, query the API, and shut everything down."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engine.cli import api
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.example import Example, example_of, first_key, item_path
from engine.cli.follow import Outcome, Upload
from engine.cli.generate import people
from engine.cli.made_up import made_up
from engine.cli.schema import schema_of_stack
from engine.cli.stack_client import StackClient
from engine.cli.words import command_as_called, counted
from engine.deployment import STACK_NAME
from engine.deployment import stack as stacks
from engine.deployment.checkout import TEMPLATE
from engine.deployment.schema_file import SchemaFile
from engine.local.server import LocalServer, local_credentials
from engine.local.stack import deploy_local

PAGE = 5


@dataclass(frozen=True, slots=True)
class Show:
    """What the demo loads: the example of the schema if there is one, and a generated file of `rows` rows."""

    schema: SchemaFile
    rows: int
    seed: int

    def generated(self) -> Iterator[tuple[bytes, int]]:
        """Yield the generated file in pieces, each with the number of its valid rows."""
        if self.schema.is_packaged:
            return people(self.rows, seed=self.seed)
        return made_up(self.schema.schema, self.rows, seed=self.seed)

    @property
    def name(self) -> str:
        """The generated file's name."""
        return "people.csv" if self.schema.is_packaged else f"made-up-{self.schema.schema.collection}.csv"


def run_demo(
    display: Display,
    *,
    schema: SchemaFile | None = None,
    rows: int,
    seed: int,
    endpoint_url: str | None,
    stack_name: str,
    region: str | None,
) -> int:
    """Run the demo, on a local AWS of its own unless `endpoint_url` names one with a deployed stack.

    Without a `schema` it is that of the deployed stack, or else the packaged one. Returns the exit code: 0 when every
    row is accounted for, 1 when not.
    """
    if endpoint_url is None and (stack_name != STACK_NAME or region is not None):
        raise CliError("The demo starts a local AWS of its own; --stack and --region need --endpoint-url.")
    if not TEMPLATE.is_file():
        raise CliError(f"No {TEMPLATE}: the demo runs from a checkout of the project.")
    if endpoint_url is not None:
        return asyncio.run(_deployed(display, endpoint_url, stack_name, region, schema, rows=rows, seed=seed))
    show = Show(schema or SchemaFile.packaged(), rows, seed)
    next(show.generated())  # fails at once where no rows can be made
    display.heading("Millpond demo")
    with ExitStack() as stack:
        with display.step("starting a local AWS", "local AWS started, with IAM enforced"):
            server = stack.enter_context(LocalServer())
            stack.enter_context(local_credentials())
        return asyncio.run(_local(display, server, show))


async def _local(display: Display, server: LocalServer, show: Show) -> int:
    with display.step("deploying", "deployed: bucket, queues, functions, table, API"):
        path = server.keep("schema.toml", show.schema.text)
        stack = await deploy_local(server.endpoint_url, schema=path)
    code = await _show(display, stack, server.endpoint_url, None, show)
    again = f"{command_as_called(sys.argv[0])} local"
    display.note(f"All of this is gone now. `{again}` starts one that stays, for files of your own.")
    display.line()
    return code


async def _deployed(
    display: Display,
    endpoint_url: str,
    stack_name: str,
    region: str | None,
    schema: SchemaFile | None,
    *,
    rows: int,
    seed: int,
) -> int:
    stack = await stacks.find(stack_name, endpoint_url=endpoint_url, region=region)
    schema = schema or await schema_of_stack(stack.query, endpoint_url=endpoint_url, region=region)
    display.heading("Millpond demo")
    return await _show(display, stack, endpoint_url, region, Show(schema, rows, seed))


async def _show(display: Display, stack: stacks.Stack, endpoint_url: str, region: str | None, show: Show) -> int:
    schema = show.schema.schema
    example = await example_of(schema)
    outcomes: list[tuple[str, Outcome]] = []
    expected: dict[str, int] = {}
    async with StackClient(stack, endpoint_url=endpoint_url, region=region) as client:
        if example is not None:
            name = example.path.name
            upload = await client.upload(example.path, stack.uploads_prefix + name)
            outcomes.append((name, await _follow(display, client, name, upload, example.rows)))
            expected[name] = example.rows
            if not outcomes[0][1].complete:
                return 1
        generated, made = await _generated(display, client, stack, show)
    outcomes.append((show.name, generated))
    expected[show.name] = made.rows

    display.heading("Results")
    display.summary(outcomes)
    display.line()
    display.reasons(generated.reasons)

    display.heading("Answers of the API")
    url = f"{stack.api_url}/{item_path(schema, example or made)}"
    display.line(f"GET {url}")
    display.json(json.dumps(await api.get(url, region=region), indent=2, ensure_ascii=False))
    display.line()
    url = f"{stack.api_url}/{schema.collection}?limit={PAGE}"
    display.line(f"GET {url}")
    page = await api.get(url, region=region)
    display.json(_page_text(page))

    display.heading("Reject files")
    for key in generated.reject_keys:
        display.line(f"s3://{stack.rejects_bucket}/{key}", style="cyan")
    display.note("CSV with row, offset, reason and record: correct the records and upload them again.")
    display.line()
    return _verdict(display, outcomes, expected)


async def _generated(display: Display, client: StackClient, stack: stacks.Stack, show: Show) -> tuple[Outcome, Example]:
    name, rows = show.name, show.rows
    with tempfile.TemporaryDirectory(prefix="millpond-demo-") as directory:
        path = Path(directory) / name
        with display.step(f"generating {rows:,} rows", f"{name} generated: {counted(rows, 'row')}, some invalid"):
            valid = await asyncio.to_thread(_write, path, show)
            made = Example(path, valid, await first_key(path, show.schema.schema))
        size = path.stat().st_size / 1e6
        with display.step(f"uploading {name}", f"{name} uploaded: {size:,.1f} MB"):
            upload = await client.upload(path, stack.uploads_prefix + name)
        return await _follow(display, client, name, upload, rows), made


async def _follow(display: Display, client: StackClient, name: str, upload: Upload, rows: int) -> Outcome:
    with display.bars() as report:
        outcome = await client.follow(upload, rows, report)
    if outcome.complete:
        rejected = f", {outcome.rejected:,} rejected" if outcome.rejected else ""
        display.done(f"{name}: {counted(outcome.written, 'row')} written{rejected}", outcome.seconds)
    else:
        display.missing(name, outcome, None)
    return outcome


def _write(path: Path, show: Show) -> int:
    """Write the file piece by piece, in bounded memory; return the number of its valid rows."""
    total = 0
    with path.open("wb") as file:
        for piece, valid in show.generated():
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
