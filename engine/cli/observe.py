"""What a stack shows of an ingestion: ledger, reject files, queue depths, and the functions' logs. Calls only."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from engine import rejects
from engine.accounts import arrival_id
from engine.cli.ledger import LedgerView
from engine.cli.queues import Queues
from engine.deployment.stack import Stack
from engine.identity import ObjectVersion
from engine.reading.block import Reject

_NO_LOGS = ("ResourceNotFoundException", "AccessDeniedException")
"""A function that never ran has no log group; and reading logs is optional, so it may be denied."""

_LOG_LINES = 3
_MAX_LOG_EVENTS = 1_000


class RejectsView:
    """Reads the reject files of a stack with a client of S3 that the caller opens and closes."""

    def __init__(self, stack: Stack, s3: Any) -> None:
        self._stack, self._s3 = stack, s3

    async def reject_files(self, source: ObjectVersion, since: int) -> list[str]:
        """Return the keys of the reject files of an object, written at `since` (Unix time) or later."""
        folder = rejects.folder_of(self._stack.rejects_prefix, source)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._stack.rejects_bucket, Prefix=folder)
        return [
            entry["Key"]
            async for page in pages
            for entry in page.get("Contents", [])
            if entry["Key"].endswith(".csv") and int(entry["LastModified"].timestamp()) >= since
        ]

    async def rejects(self, key: str) -> list[Reject]:
        """Return the rejects in one file. Raises `BadFile` if it is not one that the functions wrote."""
        reply = await self._s3.get_object(Bucket=self._stack.rejects_bucket, Key=key)
        return rejects.read_rejects(await reply["Body"].read())


class StackView(RejectsView):
    """Reads from one stack with clients that the caller opens and closes."""

    def __init__(self, stack: Stack, ledger: LedgerView, s3: Any, logs: Any) -> None:
        super().__init__(stack, s3)
        self._ledger, self._logs = ledger, logs

    async def document(self, source: ObjectVersion, since: int) -> dict[str, Any] | None:
        """Return what the ledger knows of an object, noted at `since` (Unix time) or later; None if nothing yet.

        An object that was never opened has an entry of its own.
        """
        for ingestion in (source.ingestion, arrival_id(source.ref)):
            account = await self._ledger.account(ingestion)
            # `since` has whole seconds, of another clock.
            if account and account.changed >= (since - 1) * 1000:
                return self._ledger.document(account)
        return None

    async def queues(self) -> Queues:
        """Return how many messages are in the stack's queues, from any ingestion."""
        return await self._ledger.queues()

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
