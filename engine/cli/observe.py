"""What a stack shows of an ingestion: items, reject files, queue depths and the functions' logs. AWS calls only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from engine import rejects
from engine.cli.errors import CliError
from engine.cli.expected import Key, proof_attribute, wire_key
from engine.deployment.stack import Stack
from engine.identity import ObjectVersion
from engine.reading.block import Reject
from engine.schema.model import Schema

_READS_AT_ONCE = 8

_THROTTLED = ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")
_NO_LOGS = ("ResourceNotFoundException", "AccessDeniedException")
"""A function that never ran has no log group; and reading logs is optional, so it may be denied."""

_LOG_LINES = 3
_MAX_LOG_EVENTS = 1_000

_MAX_PATTERN = 1_000
"""CloudWatch Logs quota: a filter pattern has at most 1,024 characters."""


class Said(NamedTuple):
    """What the producer logged about an object; `status` as in docs/failures.md."""

    status: str
    reason: str
    messages: int


class StackView:
    """Reads from one stack with clients that the caller opens and closes."""

    def __init__(
        self, stack: Stack, schema: Schema, clients: Mapping[str, Any], *, interval: float, patience: float
    ) -> None:
        """Use the clients of `s3`, `sqs`, `dynamodb` and `logs`.

        Reads that the table throttles are repeated every `interval` seconds, for `patience` seconds at most.
        """
        self._stack, self._schema = stack, schema
        self._s3, self._sqs, self._dynamodb, self._logs = (clients[name] for name in ("s3", "sqs", "dynamodb", "logs"))
        self._interval, self._patience = interval, patience
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)

    async def check_key(self) -> None:
        """Raise `CliError` if the table's key is not that of the schema."""
        await self.items([("0",) * len(self._schema.keys)])  # text and number alike

    async def items(self, keys: list[Key]) -> list[dict[str, Any]]:
        """Return the items with these keys, at most 100 of them: their keys and the proof attribute alone.

        Raises `CliError` if the table's key is not that of the schema, or reads are throttled without end.
        """
        wanted = dict.fromkeys(filter(None, (*self._schema.keys, proof_attribute(self._schema))))
        names = {f"#{i}": name for i, name in enumerate(wanted)}
        request: dict[str, Any] = {
            "Keys": [wire_key(key, self._schema) for key in keys],
            "ConsistentRead": True,
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }
        found: list[dict[str, Any]] = []
        began = asyncio.get_running_loop().time()
        async with self._reads:
            while request["Keys"]:
                reply = await self._batch(request)
                found += reply["Responses"].get(self._stack.table, [])
                request = reply.get("UnprocessedKeys", {}).get(self._stack.table, {"Keys": []})
                if request["Keys"]:
                    if asyncio.get_running_loop().time() - began > self._patience:
                        raise CliError(
                            f"Table {self._stack.table} has throttled reads for {self._patience:,.0f} s, so rows "
                            "cannot be looked up. Raise its read capacity; the ingestion itself continues."
                        )
                    await asyncio.sleep(self._interval)
        return found

    async def _batch(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = await self._dynamodb.batch_get_item(RequestItems={self._stack.table: request})
        except ClientError as error:
            code = error.response["Error"].get("Code")
            if code in _THROTTLED:
                return {"Responses": {}, "UnprocessedKeys": {self._stack.table: request}}
            if code == "ValidationException":
                raise CliError(
                    f"The key of table {self._stack.table} is not that of schema {self._schema.source} "
                    f"({', '.join(self._schema.keys)}): name the stack's own schema file with --schema."
                ) from None
            raise
        return reply

    async def reject_files(self, source: ObjectVersion, since: int) -> dict[str, str]:
        """Return the reject files of an object, written at `since` (Unix time) or later: key -> ETag, by key."""
        folder = rejects.folder_of(self._stack.rejects_prefix, source)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._stack.rejects_bucket, Prefix=folder)
        return {
            entry["Key"]: entry["ETag"]
            async for page in pages
            for entry in page.get("Contents", [])
            if entry["Key"].endswith(".csv") and int(entry["LastModified"].timestamp()) >= since
        }

    async def rejects(self, key: str) -> list[Reject]:
        """Return the rejects in one file. Raises `BadFile` if it is not one that the functions wrote."""
        reply = await self._s3.get_object(Bucket=self._stack.rejects_bucket, Key=key)
        return rejects.read_rejects(await reply["Body"].read())

    async def queued(self) -> int:
        """Return how many messages are in the record queue, those of other files included."""
        return await self._depth(self._stack.queue_url)

    async def failed(self) -> tuple[int, int]:
        """Return how many messages are in the dead-letter queue and in the failure queue, from any ingestion."""
        return await self._depth(self._stack.dead_letter_queue_url), await self._depth(self._stack.failure_queue_url)

    async def producer_said(self, source: ObjectVersion) -> Said | None:
        """Return the producer's last log entry about an object; None if there is none or it cannot be read.

        Before it has opened the object the producer does not know the ingestion, only the key.
        """
        said = None
        for line in await self._lines(self._stack.producer, source.modified, _pattern(source)):
            _, brace, rest = line.partition("{")
            try:
                entry = json.loads(brace + rest)
            except ValueError:
                continue
            if (
                isinstance(entry, dict)
                and (entry.get("event"), entry.get("bucket"), entry.get("key")) == ("object", source.bucket, source.key)
                and entry.get("ingestion") in (None, source.ingestion)
            ):
                said = Said(str(entry.get("status")), str(entry.get("reason")), entry.get("messagesSent") or 0)
        return said

    async def errors(self, source: ObjectVersion) -> list[str]:
        """Return the last errors that producer and worker logged since the object arrived, about any file."""
        return [
            f"{function}: {line}"
            for function in (self._stack.producer, self._stack.worker)
            for line in (await self._lines(function, source.modified, '"ERROR"'))[-_LOG_LINES:]
        ]

    async def _lines(self, function: str, since: int, pattern: str) -> list[str]:
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{function}",
            startTime=since * 1000,
            filterPattern=pattern,
            PaginationConfig={"MaxItems": _MAX_LOG_EVENTS},
        )
        try:
            return [event["message"].rstrip() async for page in pages for event in page["events"]]
        except ClientError as error:
            if error.response["Error"].get("Code") in _NO_LOGS:
                return []
            raise

    async def _depth(self, queue_url: str) -> int:
        reply = await self._sqs.get_queue_attributes(
            QueueUrl=queue_url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            ],
        )
        return sum(int(value) for value in reply["Attributes"].values())


def _pattern(source: ObjectVersion) -> str:
    """Return a filter pattern for lines with the object's key; a quote in it could not be written in a pattern."""
    is_plain = source.key.isprintable() and not {'"', "\\"} & set(source.key) and len(source.key) < _MAX_PATTERN
    return f'"{source.key if is_plain else source.ingestion}"'
