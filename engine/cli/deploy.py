"""`millpond deploy` and `millpond destroy`: from a checkout to a stack in an AWS account, and away again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import NoRegionError

from engine import clients
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.deployment import registry
from engine.deployment.images import FUNCTIONS, Builder
from engine.deployment.stacks import ChangeSet, Stacks
from engine.local.packaging import read_template
from engine.local.server import CHECKOUT

TEMPLATE = CHECKOUT / "deploy" / "template.yaml"
REPOSITORIES = CHECKOUT / "deploy" / "repositories.yaml"

IMAGE_PARAMETERS = {function: f"{function.capitalize()}Image" for function in FUNCTIONS}

# Stands for an image that is not built yet, in plans alone.
_NO_IMAGE = "not-built-yet@sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Target:
    """What is deployed, where and how."""

    stack: str
    region: str | None
    endpoint_url: str | None
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    architecture: str
    builder: str | None = None
    base_image: str | None = None
    build_options: Sequence[str] = ()

    @property
    def images_stack(self) -> str:
        """The stack of the repositories."""
        return f"{self.stack}-images"


def run_deploy(display: Display, target: Target, *, plan: bool) -> int:
    """Deploy, or show the plan: exit code 0."""
    parameters = _parameters(target, TEMPLATE)
    return asyncio.run(_deploy(display, target, parameters, plan=plan))


def run_destroy(display: Display, target: Target, *, delete_data: bool, agreed: bool) -> int:
    """Take the stack away after asking: exit code 0."""
    return asyncio.run(_destroy(display, target, delete_data=delete_data, agreed=agreed))


async def _deploy(display: Display, target: Target, parameters: dict[str, str], *, plan: bool) -> int:
    # Looked for first: without one there is no use in beginning.
    builder = None if plan else Builder.find(target.builder)
    async with AsyncExitStack() as stack:
        account, region = await _who(stack, target)
        display.heading(f"Millpond into account {account}, {region}")
        stacks = Stacks(await stack.enter_async_context(_client(target, "cloudformation")))
        if builder is None:
            images = await _images_there(stacks, target)
        else:
            images = await _publish(display, stack, stacks, target, builder)
        parameters |= {IMAGE_PARAMETERS[function]: uri for function, uri in images.items()}
        tags = {"application": "millpond", **target.tags}
        changes = await stacks.plan(target.stack, TEMPLATE.read_text(), parameters, tags)
        if changes is None:
            display.done(f"{target.stack} is as it should be: nothing to do")
        else:
            _show(display, changes)
            if plan:
                await stacks.drop(changes)
                return 0
            with display.step(f"changing {target.stack}", f"{target.stack} deployed"):
                await stacks.execute(changes, lambda name, status: display.note(f"{status.lower():24} {name}"))
        if not plan:
            _what_next(display, target, await stacks.outputs(target.stack), region)
    return 0


async def _publish(
    display: Display, stack: AsyncExitStack, stacks: Stacks, target: Target, builder: Builder
) -> dict[str, str]:
    """Make the repositories and fill them; return the images by function."""
    changes = await stacks.plan(
        target.images_stack, REPOSITORIES.read_text(), {"Prefix": target.stack.lower()}, dict(target.tags)
    )
    if changes is not None:
        with display.step("making repositories", "repositories ready"):
            await stacks.execute(changes, lambda _name, _status: None)
    ecr = await stack.enter_async_context(_client(target, "ecr"))
    uris = await registry.publish(
        ecr,
        builder,
        registry.repositories(await stacks.outputs(target.images_stack)),
        checkout=CHECKOUT,
        architecture=target.architecture,
        base_image=target.base_image,
        options=target.build_options,
        tell=display.note,
    )
    display.done(f"{len(uris)} images are in their repositories")
    return uris


async def _images_there(stacks: Stacks, target: Target) -> dict[str, str]:
    """The images of the stack as it is, for a plan; whatever is not there yet has a name that says so."""
    known = await stacks.parameters(target.stack)
    return {function: known.get(name, _NO_IMAGE) for function, name in IMAGE_PARAMETERS.items()}


async def _destroy(display: Display, target: Target, *, delete_data: bool, agreed: bool) -> int:
    async with AsyncExitStack() as stack:
        account, region = await _who(stack, target)
        stacks = Stacks(await stack.enter_async_context(_client(target, "cloudformation")))
        outputs = await stacks.outputs(target.stack)
        if await stacks.status(target.stack) is None:
            raise CliError(f"There is no stack named {target.stack} in account {account}, {region}.")
        data: dict[str, str] = {name: outputs[name] for name in ("BucketName", "TableName") if name in outputs}
        display.heading(f"Taking {target.stack} away from account {account}, {region}")
        fate = "deleted, with all that is in them" if delete_data else "kept"
        display.pairs([("bucket and table", f"{', '.join(data.values()) or 'none'}: {fate}")])
        if not agreed and await asyncio.to_thread(_asked) != target.stack:
            display.failed("nothing was done")
            return 2
        with display.step("taking the stack away", f"{target.stack} is gone"):
            await stacks.delete(target.stack, lambda name, status: display.note(f"{status.lower():24} {name}"))
        if await stacks.status(target.images_stack) is not None:
            with display.step("deleting the images", "repositories are gone"):
                await stacks.delete(target.images_stack, lambda _name, _status: None)
        if delete_data:
            await _delete_data(display, stack, target, data)
    return 0


def _asked() -> str:
    try:
        return input("  Type the stack's name to go on: ").strip()
    except EOFError:
        raise CliError("Nobody is there to be asked: say --yes.") from None


async def _delete_data(display: Display, stack: AsyncExitStack, target: Target, data: Mapping[str, str]) -> None:
    if table := data.get("TableName"):
        dynamodb = await stack.enter_async_context(_client(target, "dynamodb"))
        with display.step(f"deleting table {table}", f"table {table} is gone"):
            await dynamodb.delete_table(TableName=table)
    if bucket := data.get("BucketName"):
        s3 = await stack.enter_async_context(_client(target, "s3"))
        with display.step(f"emptying bucket {bucket}", f"bucket {bucket} is gone"):
            # A bucket with versions is empty when each version of each object is gone, and each mark of a deletion.
            async for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                if found:
                    objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
                    await s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            await s3.delete_bucket(Bucket=bucket)


def _parameters(target: Target, template: Path) -> dict[str, str]:
    """Check the person's parameters against the template's, before anything is built. Raises `CliError`."""
    known: dict[str, Any] = read_template(template.read_text())["Parameters"]
    for name, value in target.parameters.items():
        if name not in known or name in IMAGE_PARAMETERS.values() or name == "Architecture":
            others = sorted(set(known) - set(IMAGE_PARAMETERS.values()) - {"Architecture"})
            raise CliError(f"There is no parameter {name} to set. There are: {', '.join(others)}.")
        if (allowed := known[name].get("AllowedValues")) and value not in map(str, allowed):
            raise CliError(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}.")
        if (pattern := known[name].get("AllowedPattern")) and not re.fullmatch(pattern, value):
            raise CliError(f"{name} must match {pattern}, and {value!r} does not.")
        if known[name]["Type"] == "Number" and not _within(value, known[name]):
            low, high = known[name].get("MinValue"), known[name].get("MaxValue")
            raise CliError(f"{name} must be a whole number from {low:,} to {high:,}, not {value!r}.")
    return {**target.parameters, "Architecture": target.architecture}


def _within(value: str, known: Mapping[str, Any]) -> bool:
    if not re.fullmatch(r"-?[0-9]{1,9}", value):
        return False
    low, high = known.get("MinValue", int(value)), known.get("MaxValue", int(value))
    return bool(low <= int(value) <= high)


async def _who(stack: AsyncExitStack, target: Target) -> tuple[str, str]:
    """Whose account it is, and which region: fails at once without credentials or region."""
    sts = await stack.enter_async_context(_client(target, "sts"))
    region = sts.meta.region_name
    if not region:
        raise NoRegionError
    account: str = (await sts.get_caller_identity())["Account"]
    return account, region


def _client(target: Target, service: str) -> Any:
    return clients.client(service, endpoint_url=target.endpoint_url, region=target.region)


def _show(display: Display, changes: ChangeSet) -> None:
    display.heading("A new stack" if changes.creates else "What changes")
    for change in changes.changes:
        replaced = "  (replaced)" if change.replaced else ""
        display.line(f"{change.action.lower():8} {change.resource}  {change.kind}{replaced}")
    display.line()


def _what_next(display: Display, target: Target, outputs: Mapping[str, str], region: str) -> None:
    display.heading("Where things are")
    display.pairs(sorted(outputs.items()))
    display.heading("Try")
    display.line(f"millpond ingest examples/users.csv --stack {target.stack} --region {region}")
