"""`millpond deploy` and `millpond destroy`: from a checkout to a stack in an AWS account, and away again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
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

QUEUES = {
    "queue of records": "QueueUrl",
    "dead-letter queue": "DeadLetterQueueUrl",
    "queue of failed files": "FailureQueueUrl",
}
"""The stack's queues, by the outputs that name them."""

_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")

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
    known: dict[str, Any] = read_template(TEMPLATE.read_text())["Parameters"]
    _check(target.parameters, known)
    return asyncio.run(_deploy(display, target, known, plan=plan))


def run_destroy(display: Display, target: Target, *, delete_data: bool, agreed: bool) -> int:
    """Take the stack away after asking: exit code 0."""
    return asyncio.run(_destroy(display, target, delete_data=delete_data, agreed=agreed))


async def _deploy(display: Display, target: Target, known: Mapping[str, Any], *, plan: bool) -> int:
    # Looked for first: without one there is no use in beginning.
    builder = None if plan else Builder.find(target.builder)
    async with AsyncExitStack() as stack:
        account, region = await _who(stack, target)
        display.heading(f"Millpond into account {account}, {region}")
        stacks = Stacks(await stack.enter_async_context(_client(target, "cloudformation")))
        # What is not said stays as it was: a table's name, say, must not go back to its default by being left out.
        before = await stacks.parameters(target.stack)
        parameters = {name: value for name, value in before.items() if name in known}
        parameters |= {**target.parameters, "Architecture": target.architecture}
        _check_together(parameters, known)
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
        waiting = await _waiting(stack, target, outputs)
        display.pairs(
            [("bucket and table", f"{', '.join(data.values()) or 'none'}: {fate}")]
            + [(f"messages in the {queue}", f"{count:,}: deleted") for queue, count in waiting.items()]
        )
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


async def _waiting(stack: AsyncExitStack, target: Target, outputs: Mapping[str, str]) -> dict[str, int]:
    """Return how many messages lie in each queue that has any: rows and files that have not found their end."""
    sqs = await stack.enter_async_context(_client(target, "sqs"))
    waiting: dict[str, int] = {}
    for queue, output in QUEUES.items():
        if output in outputs:
            try:
                reply = await sqs.get_queue_attributes(QueueUrl=outputs[output], AttributeNames=list(_COUNTS))
            except sqs.exceptions.QueueDoesNotExist:
                continue
            count = sum(int(reply["Attributes"][name]) for name in _COUNTS)
            waiting |= {queue: count} if count else {}
    return waiting


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


def _check(parameters: Mapping[str, str], known: Mapping[str, Any]) -> None:
    """Check the person's parameters against the template's, before anything is built. Raises `CliError`."""
    for name, value in parameters.items():
        if name not in known or name in IMAGE_PARAMETERS.values() or name == "Architecture":
            others = sorted(set(known) - set(IMAGE_PARAMETERS.values()) - {"Architecture"})
            raise CliError(f"There is no parameter {name} to set. There are: {', '.join(others)}.")
        if (allowed := known[name].get("AllowedValues")) and value not in map(str, allowed):
            raise CliError(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}.")
        if (pattern := known[name].get("AllowedPattern")) and not re.fullmatch(pattern, value):
            raise CliError(f"{name} must match {pattern}, and {value!r} does not.")
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


def _within(value: str, known: Mapping[str, Any]) -> bool:
    if not re.fullmatch(r"-?[0-9]{1,9}", value):
        return False
    return bool(known["MinValue"] <= int(value) <= known["MaxValue"])


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
