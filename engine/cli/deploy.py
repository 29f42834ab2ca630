"""`millpond deploy`: from a checkout to a stack in an AWS account."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from engine.cli.account import TAGS, Target, asked_for, check_is_ours, who
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.words import command_as_called
from engine.deployment import registry
from engine.deployment.images import FUNCTIONS, Builder, Recipe, own_architecture
from engine.deployment.stacks import ChangeSet, Stacks
from engine.local.packaging import read_template
from engine.local.server import CHECKOUT
from engine.local.stack import TEMPLATE

REPOSITORIES = CHECKOUT / "deploy" / "repositories.yaml"

IMAGE_PARAMETERS = {function: f"{function.capitalize()}Image" for function in FUNCTIONS}

HOLDERS = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue")
"""Kinds of resources that hold rows."""

# Stands for an image that is not built yet, in plans alone.
_NO_IMAGE = "not-built-yet@sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person says of a deployment; what they leave out stays as it is, or else has its default."""

    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    architecture: str | None
    builder: str | None
    base_image: str | None
    build_options: Sequence[str]


def run_deploy(display: Display, target: Target, wishes: Wishes, *, plan: bool, agreed: bool) -> int:
    """Deploy, or show the plan: exit code 0."""
    if missing := [path for path in (TEMPLATE, REPOSITORIES) if not path.is_file()]:
        raise CliError(f"{missing[0]} is not there: deploy from a checkout of Millpond.")
    known: dict[str, Any] = read_template(TEMPLATE.read_text())["Parameters"]
    _check(wishes.parameters, known)
    if taken := TAGS.keys() & wishes.tags.keys():
        raise CliError(f"The tag {', '.join(taken)} tells Millpond's stacks from others: choose another.")
    return asyncio.run(_deploy(display, target, wishes, known, plan=plan, agreed=agreed))


async def _deploy(
    display: Display, target: Target, wishes: Wishes, known: Mapping[str, Any], *, plan: bool, agreed: bool
) -> int:
    # Looked for first: without one there is no use in beginning.
    builder = None if plan else Builder.find(wishes.builder)
    async with AsyncExitStack() as stack:
        account, region = await who(stack, target)
        display.heading(f"Millpond into account {account}, {region}")
        stacks = Stacks(await stack.enter_async_context(target.client("cloudformation")))
        ecr = await stack.enter_async_context(target.client("ecr"))
        for name in await check_is_ours(stacks, target):
            await stacks.changeable(name)
        # A table's name, say, must not go back to its default by being left out.
        before = await stacks.parameters(target.stack)
        architecture = wishes.architecture or before.get("Architecture") or own_architecture()
        parameters = {name: value for name, value in before.items() if name in known}
        parameters |= {**wishes.parameters, "Architecture": architecture}
        _check_together(parameters, known)
        if not before:
            await _check_names(stack, target, {**_defaults(known), **parameters}, f"{account}-{region}")
        recipe = Recipe(CHECKOUT, architecture, wishes.base_image, wishes.build_options)
        if builder is None:
            images = await _images_there(display, ecr, stacks, target, recipe)
        else:
            await _make_repositories(display, stacks, target, wishes)
            targets = registry.repositories(await stacks.outputs(target.images_stack))
            images = await registry.publish(ecr, builder, targets, recipe, display.note)
            display.done(f"{len(images)} images are in their repositories")
        parameters |= {IMAGE_PARAMETERS[function]: uri for function, uri in images.items()}
        tags = {**await stacks.tags(target.stack), **wishes.tags, **TAGS}
        changes = await stacks.plan(target.stack, TEMPLATE.read_text(), parameters, tags)
        if changes is None:
            display.done(f"{target.stack} is as it should be: nothing to do")
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
            _what_next(display, target, await stacks.outputs(target.stack), region)
    return 0


def _agreed(display: Display, target: Target, changes: ChangeSet) -> bool:
    """Ask before anything that holds rows is replaced or given up."""
    lost = [
        change.resource
        for change in changes.changes
        if change.kind in HOLDERS and (change.action == "Remove" or change.replaced == "True")
    ]
    if not lost:
        return True
    display.note(f"{', '.join(lost)} would be replaced: what is in the old one stays there")
    if asked_for(target.stack):
        return True
    display.failed("nothing was done")
    return False


async def _make_repositories(display: Display, stacks: Stacks, target: Target, wishes: Wishes) -> None:
    tags = {**await stacks.tags(target.images_stack), **wishes.tags, **TAGS}
    parameters = {"Prefix": target.stack.lower()}
    changes = await stacks.plan(target.images_stack, REPOSITORIES.read_text(), parameters, tags)
    if changes is not None:
        with display.step("making repositories", "repositories ready"):
            await stacks.execute(changes, lambda _name, _status: None)


async def _images_there(display: Display, ecr: Any, stacks: Stacks, target: Target, recipe: Recipe) -> dict[str, str]:
    """The images that a deployment would use, for a plan; whatever is not built yet has a name that says so."""
    outputs = await stacks.outputs(target.images_stack)
    uris = await registry.found(ecr, registry.repositories(outputs), recipe) if outputs else {}
    for function in FUNCTIONS:
        if function not in uris:
            display.note(f"would build {function}")
    return {function: uris.get(function, _NO_IMAGE) for function in FUNCTIONS}


def _check(parameters: Mapping[str, str], known: Mapping[str, Any]) -> None:
    """Check the person's parameters against the template's, before anything is built. Raises `CliError`."""
    for name, value in parameters.items():
        if name == "Architecture":
            raise CliError(f"Say --architecture {value}: the images are built for it, too.")
        if name not in known or name in IMAGE_PARAMETERS.values():
            others = sorted(set(known) - set(IMAGE_PARAMETERS.values()) - {"Architecture"})
            raise CliError(f"There is no parameter {name} to set. There are: {', '.join(others)}.")
        if (allowed := known[name].get("AllowedValues")) and value not in map(str, allowed):
            raise CliError(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}.")
        if (pattern := known[name].get("AllowedPattern")) and not re.fullmatch(pattern, value):
            raise CliError(f"{name} cannot be {value!r}. {known[name]['Description']}")
        if known[name]["Type"] == "Number" and not allowed and not _within(value, known[name]):
            low, high = known[name]["MinValue"], known[name]["MaxValue"]
            raise CliError(f"{name} must be a whole number from {low:,} to {high:,}, not {value!r}.")


def _check_together(parameters: Mapping[str, str], known: Mapping[str, Any]) -> None:
    """Check what CloudFormation has no words for: parameters that depend on each other. Raises `CliError`."""

    def number(name: str) -> int:
        return int(parameters.get(name, known[name]["Default"]))

    least = 6 * number("WorkerTimeout")
    if number("QueueVisibilityTimeout") < least:
        raise CliError(
            "QueueVisibilityTimeout must be at least six times WorkerTimeout: "
            f"--parameter QueueVisibilityTimeout={least}."
        )
    if number("WorkerBatchSize") > 10 and not number("WorkerBatchWindow"):  # Lambda asks for it
        raise CliError("A WorkerBatchSize of more than 10 needs a WorkerBatchWindow: --parameter WorkerBatchWindow=1.")
    if number("TableMaxWriteUnits") == 0:
        raise CliError("TableMaxWriteUnits must be -1, which is no maximum, or at least 1.")


def _defaults(known: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(each["Default"]) for name, each in known.items() if "Default" in each}


async def _check_names(stack: AsyncExitStack, target: Target, parameters: Mapping[str, str], where: str) -> None:
    """Check that what a new stack makes by name is not there yet: kept when one was destroyed, or another stack's.

    Who may not look is let through: CloudFormation looks as well, if only when images are built. Raises `CliError`.
    """
    s3, dynamodb, sqs = [
        await stack.enter_async_context(target.client(service)) for service in ("s3", "dynamodb", "sqs")
    ]
    bucket, table, queue = f"{parameters['BucketPrefix']}-{where}", parameters["TableName"], parameters["QueueName"]
    taken = []
    for parameter, what, look, name in (
        ("BucketPrefix", f"a bucket named {bucket}", s3.head_bucket, {"Bucket": bucket}),
        ("TableName", f"a table named {table}", dynamodb.describe_table, {"TableName": table}),
        ("QueueName", f"a queue named {queue}", sqs.get_queue_url, {"QueueName": queue}),
    ):
        with suppress(ClientError):
            await look(**name)
            taken.append(f"{what} (--parameter {parameter}=…)")
    if taken:
        raise CliError(f"There is already: {'; '.join(taken)}. Choose other names for a new stack, or delete them.")


def _within(value: str, known: Mapping[str, Any]) -> bool:
    if not re.fullmatch(r"-?[0-9]{1,9}", value):
        return False
    return bool(known["MinValue"] <= int(value) <= known["MaxValue"])


def _show(display: Display, changes: ChangeSet) -> None:
    display.heading("A new stack" if changes.creates else "What changes")
    for change in changes.changes:
        replaced = {"True": "  (replaced)", "Conditional": "  (may be replaced)"}.get(change.replaced, "")
        display.line(f"{change.action.lower():8} {change.resource}  {change.kind}{replaced}")
    display.line()


def _what_next(display: Display, target: Target, outputs: Mapping[str, str], region: str) -> None:
    display.heading("Where things are")
    display.pairs(sorted(outputs.items()))
    display.heading("Try")
    options = ["--stack", target.stack, "--region", region]
    if target.endpoint_url:
        options += ["--endpoint-url", target.endpoint_url]
    sample = CHECKOUT / "examples" / "users.csv"
    display.line(f"{command_as_called(sys.argv[0])} ingest {shlex.join([str(sample), *options])}", style="cyan")
