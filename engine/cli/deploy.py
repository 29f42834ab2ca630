"""`millpond deploy`: build, push and deploy a checkout into an AWS account."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from engine.cli.account import TAGS, Target, asked_for
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.example import example_of
from engine.cli.images import pinned_base
from engine.cli.prepare import Wishes, prepare
from engine.cli.words import command_as_called
from engine.deployment import base, registry
from engine.deployment.checkout import CHECKOUT, TEMPLATE
from engine.deployment.images import FUNCTIONS, Recipe
from engine.deployment.parameters import ARCHITECTURE, IMAGE_PARAMETERS
from engine.deployment.stacks import ChangeSet, Stacks
from engine.deployment.template import read_template, without_tls_policies, write_template
from engine.schema.model import Schema

REPOSITORIES = CHECKOUT / "deploy" / "repositories.yaml"

HOLDERS = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue")
"""Types of resources that hold rows."""

# Placeholder in a plan for an image that is not built yet.
_NO_IMAGE = "not-built-yet@sha256:" + "0" * 64


def run_deploy(display: Display, target: Target, wishes: Wishes, *, plan: bool, agreed: bool) -> int:
    """Deploy, or show the plan: exit code 0."""
    if missing := [path for path in (TEMPLATE, REPOSITORIES) if not path.is_file()]:
        raise CliError(f"Not found: {', '.join(map(str, missing))}. Deploy from a checkout of Millpond.")
    known: dict[str, Any] = read_template(TEMPLATE.read_text())["Parameters"]
    return asyncio.run(_deploy(display, target, wishes, known, plan=plan, agreed=agreed))


async def _deploy(
    display: Display, target: Target, wishes: Wishes, known: Mapping[str, Any], *, plan: bool, agreed: bool
) -> int:
    async with AsyncExitStack() as stack:
        prepared = await prepare(stack, target, wishes, known, plan=plan)
        place, parameters, builder = prepared.place, prepared.parameters, prepared.builder
        display.heading(f"Millpond into account {place.account}, {place.region}")
        stacks, region = place.stacks, place.region
        ecr = await stack.enter_async_context(target.client("ecr"))
        if wishes.base_image:
            base_image = wishes.base_image
        else:
            base_image = base.base_image(CHECKOUT) if builder is None else pinned_base(display, CHECKOUT, builder)
        recipe = Recipe(CHECKOUT, parameters[ARCHITECTURE], base_image, wishes.build_options, prepared.schema)
        if builder is None:
            images = await _images_there(display, ecr, stacks, target, recipe)
        else:
            await _make_repositories(display, stacks, target, wishes)
            targets = registry.repositories(await stacks.outputs(target.images_stack))
            images = await registry.publish(ecr, builder, targets, recipe, display.note)
            display.done(f"{len(images)} images are in the repositories")
        parameters |= {IMAGE_PARAMETERS[function]: uri for function, uri in images.items()}
        tags = {**await stacks.tags(target.stack), **wishes.tags, **TAGS}
        changes = await stacks.plan(target.stack, _template(target), parameters, tags)
        if changes is None:
            display.done(f"{target.stack} is up to date: nothing to do")
        else:
            _show(display, changes)
            try:
                go = not plan and (agreed or _agreed(display, target, changes))
            except BaseException:
                await stacks.drop(changes)
                raise
            if not go:
                await stacks.drop(changes)
                return 0 if plan else 2
            with display.step(f"changing {target.stack}", f"{target.stack} deployed"):
                await stacks.execute(changes, display.resource)
        if not plan:
            await _what_next(display, target, await stacks.outputs(target.stack), region, prepared.schema.schema)
    return 0


def _agreed(display: Display, target: Target, changes: ChangeSet) -> bool:
    """Ask for confirmation before anything that holds rows is replaced or removed."""
    lost = [
        change.resource
        for change in changes.changes
        if change.kind in HOLDERS and (change.action == "Remove" or change.replaced == "True")
    ]
    if not lost:
        return True
    display.note(f"{', '.join(lost)} would be replaced: the old one keeps its content")
    if asked_for(target.stack):
        return True
    display.failed("nothing was changed")
    return False


def _template(target: Target) -> str:
    """Return the template body; without the policies that require TLS if the endpoint speaks plain HTTP."""
    text = TEMPLATE.read_text()
    if target.endpoint_url is None or not target.endpoint_url.lower().startswith("http://"):
        return text
    return write_template(without_tls_policies(read_template(text)))


async def _make_repositories(display: Display, stacks: Stacks, target: Target, wishes: Wishes) -> None:
    tags = {**await stacks.tags(target.images_stack), **wishes.tags, **TAGS}
    parameters = {"Prefix": target.stack.lower()}
    changes = await stacks.plan(target.images_stack, REPOSITORIES.read_text(), parameters, tags)
    if changes is not None:
        with display.step("creating repositories", "repositories ready"):
            await stacks.execute(changes, lambda _name, _status: None)


async def _images_there(display: Display, ecr: Any, stacks: Stacks, target: Target, recipe: Recipe) -> dict[str, str]:
    """Return the images that a deployment would use, for a plan; a placeholder stands for one that is not built yet."""
    outputs = await stacks.outputs(target.images_stack)
    uris = await registry.found(ecr, registry.repositories(outputs), recipe) if outputs else {}
    for function in FUNCTIONS:
        if function not in uris:
            display.note(f"would build {function}")
    return {function: uris.get(function, _NO_IMAGE) for function in FUNCTIONS}


def _show(display: Display, changes: ChangeSet) -> None:
    display.heading("A new stack" if changes.creates else "What changes")
    for change in changes.changes:
        replaced = {"True": "  (replaced)", "Conditional": "  (may be replaced)"}.get(change.replaced, "")
        display.line(f"{change.action.lower():8} {change.resource}  {change.kind}{replaced}")
    display.line()


async def _what_next(display: Display, target: Target, outputs: Mapping[str, str], region: str, schema: Schema) -> None:
    display.heading("Where things are")
    display.pairs(sorted(outputs.items()))
    display.heading("Try")
    options = ["--stack", target.stack, "--region", region]
    if target.endpoint_url:
        options += ["--endpoint-url", target.endpoint_url]
    example = await example_of(schema)
    file = "FILE.csv" if example is None else str(example.path)
    display.line(f"{command_as_called(sys.argv[0])} ingest {shlex.join([file, *options])}", style="cyan")
