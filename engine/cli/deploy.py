"""`millpond deploy`: build, push and deploy a checkout into an AWS account."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from engine.cli.account import TAGS, Target, asked_for, check_is_ours, missing_access, who
from engine.cli.display import Display
from engine.cli.errors import EXPECTED, CliError, explain
from engine.cli.images import pinned_base
from engine.cli.words import command_as_called, listed
from engine.deployment import base, registry
from engine.deployment.checkout import CHECKOUT, TEMPLATE
from engine.deployment.images import FUNCTIONS, Builder, ImageError, Recipe, own_architecture
from engine.deployment.parameters import ARCHITECTURE, IMAGE_PARAMETERS, conflicts, defaults, invalid, unknown
from engine.deployment.stacks import ChangeSet, Stacks
from engine.deployment.template import read_template, without_tls_policies, write_template

REPOSITORIES = CHECKOUT / "deploy" / "repositories.yaml"

HOLDERS = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue")
"""Types of resources that hold rows."""

# Placeholder in a plan for an image that is not built yet.
_NO_IMAGE = "not-built-yet@sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Wishes:
    """Options of a deployment; what is left out keeps its value in the stack, or else has its default."""

    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    architecture: str | None
    builder: str | None
    base_image: str | None
    build_options: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a deployment goes."""

    account: str
    region: str
    stacks: Stacks


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
        place, parameters, builder = await _prepared(stack, target, wishes, known, plan=plan)
        display.heading(f"Millpond into account {place.account}, {place.region}")
        stacks, region = place.stacks, place.region
        ecr = await stack.enter_async_context(target.client("ecr"))
        if wishes.base_image:
            base_image = wishes.base_image
        else:
            base_image = base.base_image(CHECKOUT) if builder is None else pinned_base(display, CHECKOUT, builder)
        recipe = Recipe(CHECKOUT, parameters[ARCHITECTURE], base_image, wishes.build_options)
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
            _what_next(display, target, await stacks.outputs(target.stack), region)
    return 0


async def _prepared(
    stack: AsyncExitStack, target: Target, wishes: Wishes, known: Mapping[str, Any], *, plan: bool
) -> tuple[_Place, dict[str, str], Builder | None]:
    """Return where to deploy, with which parameters, and the builder (None for a plan). Changes nothing.

    Raises `CliError` that names everything that is missing or wrong, not only the first thing.
    """
    problems = [*unknown(wishes.parameters, known), *invalid(wishes.parameters, known)]
    if taken := TAGS.keys() & wishes.tags.keys():
        problems.append(f"The tag {', '.join(taken)} marks Millpond's stacks: choose another.")
    builder: Builder | None = None
    if not plan:
        try:
            builder = Builder.find(wishes.builder)
        except ImageError as error:
            problems.append(str(error))
    place: _Place | None = None
    before: dict[str, str] = {}
    missing = missing_access(target)
    problems += missing
    if not missing:
        try:
            account, region = await who(stack, target)
            stacks = Stacks(await stack.enter_async_context(target.client("cloudformation")), target.poll_seconds)
            for name in await check_is_ours(stacks, target):
                await stacks.changeable(name)
            # Parameters that are left out keep their values: a table must not return to its default name.
            before = await stacks.parameters(target.stack)
            place = _Place(account, region, stacks)
        except EXPECTED as error:
            problems.append(explain(error))
    architecture = wishes.architecture or before.get(ARCHITECTURE) or own_architecture()
    kept = {name: value for name, value in before.items() if name in known and name not in wishes.parameters}
    problems += invalid(kept, known)
    parameters = {**kept, **wishes.parameters, ARCHITECTURE: architecture}
    problems += conflicts(parameters, known)
    if place is not None and not before:
        chosen = {**defaults(known), **parameters}
        valid = {name: value for name, value in chosen.items() if not invalid({name: value}, known)}
        problems += await _names_taken(stack, target, valid, place)
    if problems or place is None:
        raise CliError(listed(problems))
    return place, parameters, builder


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


async def _names_taken(
    stack: AsyncExitStack, target: Target, parameters: Mapping[str, str], place: _Place
) -> list[str]:
    """Return which names of a new stack are taken, by another stack or by what a destroyed stack has left.

    Names that the credentials may not look up are skipped: CloudFormation checks them later, after the build.
    """
    s3, dynamodb, sqs = [
        await stack.enter_async_context(target.client(service)) for service in ("s3", "dynamodb", "sqs")
    ]
    in_account = f"-{place.account}-{place.region}"
    taken = []
    for parameter, suffix, what, look, argument in (
        ("BucketPrefix", in_account, "bucket", s3.head_bucket, "Bucket"),
        ("TableName", "", "table", dynamodb.describe_table, "TableName"),
        ("QueueName", "", "queue", sqs.get_queue_url, "QueueName"),
    ):
        if parameter not in parameters:
            continue
        name = parameters[parameter] + suffix
        with suppress(ClientError):
            await look(**{argument: name})
            taken.append(f"a {what} named {name} (--parameter {parameter}=…)")
    if not taken:
        return []
    return [f"Already taken: {'; '.join(taken)}. Choose other names for the new stack, or delete what has them."]


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
