"""Put a file into a stack's bucket and follow it until each of its rows is accounted for.

The law it watches: rows of the file = rows in the table + rejected rows. The rows of one object are recognised in the
table by their `createdAt`, whose whole seconds are the object's `LastModified`; its rejects lie under its own key.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.cli.rejects import read_rejects
from engine.deployment import clients
from engine.identity import ObjectVersion
from engine.local.stack import Stack
from engine.reading.block import Reject
from engine.reading.delimited import CsvReader
from engine.schema.model import Schema

_READ_BYTES = 1 << 20

# How long nothing may change before following ends. With messages in flight that is longer than the queue's
# visibility timeout of 360 s: a message whose worker was lost comes back only then.
_PATIENCE_QUIET = 60.0
_PATIENCE_QUIET_LOCAL = 20.0
_PATIENCE_IN_FLIGHT = 420.0

_LOG_LINES = 3
_LAMBDA_LINES = ("START ", "END ", "REPORT ", "INIT_START ")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that has been put into the bucket.

    `began` is the monotonic clock before the upload. Before it, too, the table had `table_count` items (None: this AWS
    counts too rarely to say), and the producer had given up on `failures` files.
    """

    source: ObjectVersion
    began: float
    table_count: int | None
    failures: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where an ingestion is: rows seen in the table (None: this AWS counts too rarely to say), messages waiting.

    `counting` is true while the table itself is being read, to be sure.
    """

    rows: int
    written: int | None
    queued: int
    seconds: float
    counting: bool = False


@dataclass(slots=True)
class Outcome:
    """What became of a file's rows. `seconds` is from before the upload to the last row in the table.

    When rows are missing, `failed_files` and `dead_letters` count the messages in the two queues of last resort, and
    `log_lines` has the latest that the functions had to say.
    """

    upload: Upload
    rows: int
    written: int = 0
    rejects: list[Reject] = field(default_factory=list)
    reject_keys: list[str] = field(default_factory=list)
    seconds: float = 0.0
    failed_files: int = 0
    dead_letters: int = 0
    log_lines: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether each row of the file is in the table or among the rejects."""
        return self.written + len(self.rejects) == self.rows

    @property
    def reasons(self) -> Counter[str]:
        """Rejected rows by reason."""
        return Counter(reject.reason for reject in self.rejects)


def count_rows(path: Path, schema: Schema) -> int:
    """The data rows of a CSV file, by the engine's own reader.

    Raises `BadFile` for what the producer would refuse: no CSV text, or a header that does not suit the schema.
    """
    reader = CsvReader()
    rows = 0
    planned = False
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            rows += sum(len(block.rows) + len(block.rejects) for block in reader.feed(data))
            if reader.header is not None and not planned:
                # A large file should not be read to its end only to be refused for its first line.
                schema.plan(reader.header)
                planned = True
    rows += sum(len(block.rows) + len(block.rejects) for block in reader.finish())
    if not planned:
        schema.plan(reader.header or [])
    return rows


class Follower:
    """Clients for one stack, and what is done with them. Use as `async with Follower(...)`."""

    def __init__(self, stack: Stack, *, endpoint_url: str | None, region: str | None = None) -> None:
        """Follow `stack`, which lives at `endpoint_url` (None: AWS) in `region` (None: the configured one)."""
        self._stack = stack
        self._endpoint_url = endpoint_url
        self._region = region
        self._clients = AsyncExitStack()
        # A local AWS counts a table's items as they come, AWS itself every six hours.
        self._counts_live = endpoint_url is not None
        self._interval = 0.2 if self._counts_live else 1.0
        self._patience = _PATIENCE_QUIET_LOCAL if self._counts_live else _PATIENCE_QUIET
        self._settle = 0.6 if self._counts_live else 3.0

    async def __aenter__(self) -> Follower:
        """Open the clients."""
        opened = [
            await self._clients.enter_async_context(
                clients.client(service, endpoint_url=self._endpoint_url, region=self._region)
            )
            for service in ("s3", "sqs", "dynamodb", "logs")
        ]
        self._s3, self._sqs, self._dynamodb, self._logs = opened
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Close the clients."""
        await self._clients.aclose()

    async def upload(self, path: Path, key: str) -> Upload:
        """Put the file into the stack's bucket, in parts if it is large; its arrival starts the producer."""
        bucket = self._stack.bucket
        count = await self._live_count()
        failures = await self._messages(self._stack.failure_queue_url)
        began = time.monotonic()
        await self._s3.upload_file(str(path), bucket, key)
        head = await self._s3.head_object(Bucket=bucket, Key=key)
        modified = int(head["LastModified"].timestamp())
        source = ObjectVersion(bucket, key, head.get("VersionId"), head["ETag"].strip('"'), modified)
        return Upload(source, began, count, failures)

    async def follow(self, upload: Upload, rows: int, report: Callable[[Snapshot], None]) -> Outcome:
        """Wait until the `rows` rows of `upload` are accounted for, or nothing has changed for too long.

        `report` gets a snapshot with every look at the queue. Tell by `complete` of the outcome how it ended.
        """
        outcome = Outcome(upload, rows)
        last: tuple[int, int | None] = (0, 0)
        began = changed = time.monotonic()
        checks = 0
        while True:
            now = time.monotonic()
            queued = await self._messages(self._stack.queue_url)
            count = await self._live_count()
            written = None if count is None or upload.table_count is None else count - upload.table_count
            report(Snapshot(rows, written, queued, now - upload.began))
            if (queued, written or 0) != last:
                last, changed, checks = (queued, written or 0), now, 0
            elif not queued and now - changed >= self._settle * 2**checks:
                # Counting reads every item of the table, so it gets rarer the longer nothing happens.
                checks = min(checks + 1, 4)
                report(Snapshot(rows, written, queued, changed - upload.began, counting=bool(written)))
                await self._account(outcome)
                if outcome.complete:
                    # Where nothing was ever seen to change, the end can only be told by having looked.
                    outcome.seconds = (now if changed == began else changed) - upload.began
                    return outcome
            outcome.failed_files = await self._messages(self._stack.failure_queue_url) - upload.failures
            if outcome.failed_files > 0 or now - changed > (_PATIENCE_IN_FLIGHT if queued else self._patience):
                await self._account(outcome)
                outcome.seconds = now - upload.began
                outcome.dead_letters = await self._messages(self._stack.dead_letter_queue_url)
                outcome.log_lines = await self._latest_logs(now - upload.began)
                return outcome
            await asyncio.sleep(self._interval)

    async def _account(self, outcome: Outcome) -> None:
        """Look at the table and the rejects themselves; queue depths and item counts are only estimates."""
        source = outcome.upload.source
        prefix = f"{self._stack.rejects_prefix}{source.key}/{source.ingestion}/"
        outcome.reject_keys, outcome.rejects = await read_rejects(self._s3, source.bucket, prefix)
        outcome.written = await self._rows_of(source)

    async def _rows_of(self, source: ObjectVersion) -> int:
        count = 0
        start: dict[str, Any] = {}
        while True:
            page = await self._dynamodb.scan(
                TableName=self._stack.table,
                Select="COUNT",
                ConsistentRead=True,
                FilterExpression="createdAt >= :first AND createdAt < :behind",
                ExpressionAttributeValues={
                    ":first": {"N": str(source.modified)},
                    ":behind": {"N": str(source.modified + 1)},
                },
                **start,
            )
            count += int(page["Count"])
            if "LastEvaluatedKey" not in page:
                return count
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    async def _live_count(self) -> int | None:
        if not self._counts_live:
            return None
        table = await self._dynamodb.describe_table(TableName=self._stack.table)
        return int(table["Table"]["ItemCount"])

    async def _latest_logs(self, seconds: float) -> list[str]:
        """The last lines that producer and worker wrote within the last `seconds`, other than Lambda's own."""
        lines: list[str] = []
        for function in (self._stack.producer, self._stack.worker):
            since = int((time.time() - seconds) * 1000)
            group = f"/aws/lambda/{function}"
            pages = self._logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
            own = [
                f"{function}: {event['message'].rstrip()}"
                async for page in pages
                for event in page["events"]
                if not event["message"].startswith(_LAMBDA_LINES)
            ]
            lines += own[-_LOG_LINES:]
        return lines

    async def _messages(self, queue_url: str) -> int:
        reply = await self._sqs.get_queue_attributes(
            QueueUrl=queue_url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )
        return sum(int(value) for value in reply["Attributes"].values())
