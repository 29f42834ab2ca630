"""`millpond destroy`: delete a stack from an AWS account, its data only on request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

from engine.cli.account import Target, asked_for, check_is_ours, missing_access, who
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.words import listed
from engine.deployment.stacks import Stacks

QUEUES = {
    "record queue": "QueueUrl",
    "span queue": "SpanQueueUrl",
    "dead-letter queue of spans": "SpanDeadLetterQueueUrl",
    "dead-letter queue": "DeadLetterQueueUrl",
    "failure queue": "FailureQueueUrl",
}
"""Outputs with the URLs of the stack's queues."""

_BUCKET, _TABLE = "Bucket", "Table"
"""The template's logical ids of what holds data."""

_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


def run_destroy(display: Display, target: Target, *, delete_data: bool, agreed: bool) -> int:
    """Delete the stack after asking; return exit code 0."""
    return asyncio.run(_destroy(display, target, delete_data=delete_data, agreed=agreed))


async def _destroy(display: Display, target: Target, *, delete_data: bool, agreed: bool) -> int:
    if missing := missing_access(target):
        raise CliError(listed(missing))
    async with AsyncExitStack() as stack:
        account, region = await who(stack, target)
        stacks = Stacks(await stack.enter_async_context(target.client("cloudformation")), target.poll_seconds)
        there = await check_is_ours(stacks, target)
        if not there:
            raise CliError(f"There is no stack named {target.stack} in account {account}, {region}.")
        for name in there:
            await stacks.deletable(name)
        outputs = await stacks.outputs(target.stack)
        held = await stacks.resources(target.stack) if target.stack in there else {}
        # Only what the stack itself has created; it may fill a table, and read a bucket, that is not its own.
        data = {resource: held[resource] for resource in (_BUCKET, _TABLE) if resource in held}
        others = {outputs[name] for name in ("BucketName", "TableName") if name in outputs} - set(data.values())
        if delete_data:
            await _check_protection(stack, target, data)
        display.heading(f"Deleting {target.stack} from account {account}, {region}")
        fate = "deleted, with their content" if delete_data else "kept"
        waiting = await _waiting(stack, target, outputs)
        display.pairs(
            [("stacks", f"{', '.join(there)}: deleted, with the images")]
            + ([("bucket and table", f"{', '.join(data.values())}: {fate}")] if data else [])
            + ([("not the stack's own", f"{', '.join(sorted(others))}: left as they are")] if others else [])
            + [(f"messages in the {queue}", f"{count:,}: deleted") for queue, count in waiting.items()]
        )
        if not agreed and not asked_for(target.stack):
            display.failed("nothing was deleted")
            return 2
        if delete_data:
            # Before the stack, whose outputs name its data: if this fails, it can be tried again.
            await _delete_data(display, stack, target, data)
        for name in there:
            with display.step(f"deleting {name}", f"{name} is deleted"):
                await stacks.delete(name, display.resource)
    return 0


async def _waiting(stack: AsyncExitStack, target: Target, outputs: Mapping[str, str]) -> dict[str, int]:
    """Return the number of messages in each queue that is not empty: rows and files that are not finished."""
    sqs = await stack.enter_async_context(target.client("sqs"))
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


async def _check_protection(stack: AsyncExitStack, target: Target, data: Mapping[str, str]) -> None:
    """Raise `CliError` if the table is protected against deletion, before anything else is deleted."""
    if table := data.get(_TABLE):
        dynamodb = await stack.enter_async_context(target.client("dynamodb"))
        with suppress(dynamodb.exceptions.ResourceNotFoundException):
            if (await dynamodb.describe_table(TableName=table))["Table"].get("DeletionProtectionEnabled"):
                raise CliError(
                    f"Table {table} is protected against deletion. Turn that off first: "
                    f"millpond deploy --stack {target.stack} --parameter TableDeletionProtection=off"
                )


async def _delete_data(display: Display, stack: AsyncExitStack, target: Target, data: Mapping[str, str]) -> None:
    """Delete table and bucket, if they still exist."""
    if table := data.get(_TABLE):
        dynamodb = await stack.enter_async_context(target.client("dynamodb"))
        gone = suppress(dynamodb.exceptions.ResourceNotFoundException)
        with display.step(f"deleting table {table}", f"table {table} is deleted"), gone:
            if (await dynamodb.describe_table(TableName=table))["Table"]["TableStatus"] != "DELETING":
                await dynamodb.delete_table(TableName=table)
    if bucket := data.get(_BUCKET):
        s3 = await stack.enter_async_context(target.client("s3"))
        gone = suppress(s3.exceptions.NoSuchBucket)
        with display.step(f"emptying bucket {bucket}", f"bucket {bucket} is deleted"), gone:
            await _delete_bucket(s3, bucket)


async def _delete_bucket(s3: Any, bucket: str) -> None:
    # A versioned bucket is empty once all versions and delete markers are deleted.
    async for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
            reply = await s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            if errors := reply.get("Errors"):
                first = errors[0]
                raise CliError(
                    f"{len(errors):,} objects of {bucket} could not be deleted, such as {first['Key']}: "
                    f"{first.get('Message', first.get('Code'))}. The stack still exists: fix that, then try again."
                )
    await s3.delete_bucket(Bucket=bucket)
