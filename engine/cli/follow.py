"""Put a file into a stack's bucket and follow it until each of its rows is accounted for.

Rows of the file = rows in the table + rejected rows. Each row is looked up by its own key, so that neither other files
nor the size of the table matter; its rejects are stored under its own key and ingestion.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.cli.expected import Expected, expected, take_found, version_attribute, wire_key
from engine.cli.rejects import read_rejects
from engine.deployment import clients
from engine.deployment.stack import Stack
from engine.identity import ObjectVersion
from engine.reading.block import Reject
from engine.reading.delimited import CsvReader
from engine.schema.model import Schema

_READ_BYTES = 1 << 20

PATIENCE, PATIENCE_LOCAL = 60.0, 20.0
"""Seconds without any change before following ends: of this file's rows, or of the queue as a whole."""

_MOST_WAITING = 40
"""Groups of rows that are looked for at a time: some 20,000 rows, which bounds memory and the reads of a round."""

_MOST_KEYS = 100
"""BatchGetItem quota: at most 100 keys in one call."""

_READS_AT_ONCE = 8

_LOG_LINES = 3
_LAMBDA_LINES = ("START ", "END ", "REPORT ", "INIT_START ")
_ENDED = ("failed", "skipped", "superseded", "gone")
"""Statuses with which the producer ends an ingestion whose rows are not all sent."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An object that is followed: `began` is the monotonic clock before it came, `since` the time in milliseconds."""

    source: ObjectVersion
    began: float
    since: int
    chunks: Callable[[], AsyncIterator[bytes]]
    """Reads the object's bytes."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where an ingestion is: rows seen in the table, rows rejected, messages in the queue, of all files."""

    rows: int
    written: int
    rejected: int
    queued: int
    seconds: float


@dataclass(slots=True)
class Outcome:
    """What became of a file's rows. `seconds` is from before the upload to the last row in the table.

    When rows are missing, `ended` is what the producer said if it gave up, the other numbers count messages of all
    files in the three queues, and `log_lines` has the latest that the functions wrote.
    """

    upload: Upload
    rows: int
    written: int = 0
    rejects: list[Reject] = field(default_factory=list)
    reject_keys: list[str] = field(default_factory=list)
    seconds: float = 0.0
    certain: bool = True
    """Whether an item that was found tells that its row was written, and not only that its key is there."""
    ended: str = ""
    queued: int = 0
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


async def chunks_of(path: Path) -> AsyncIterator[bytes]:
    """Yield the bytes of a file of this machine."""
    with path.open("rb") as file:
        while data := await asyncio.to_thread(file.read, _READ_BYTES):
            yield data


class _Missing:
    """The rows of an object that were not found yet, in groups, read ahead as far as memory allows."""

    def __init__(self, source: AsyncIterator[Expected]) -> None:
        self._source = source
        self._ended = False
        self.groups: list[Expected] = []

    @property
    def at_end(self) -> bool:
        """Whether all rows were looked for and found."""
        return self._ended and not self.groups

    async def read_ahead(self) -> None:
        """Read more rows in the place of those that were found."""
        self.groups = [group for group in self.groups if group.rows]
        while not self._ended and len(self.groups) < _MOST_WAITING:
            group = await anext(self._source, None)
            if group is None:
                self._ended = True
            else:
                self.groups.append(group)

    def forget(self, rejected: set[int]) -> None:
        """Look no longer for rows that were rejected."""
        for group in self.groups:
            for row in rejected & group.rows.keys():
                del group.rows[row]
        self.groups = [group for group in self.groups if group.rows]

    async def rest(self) -> AsyncIterator[Expected]:
        """Yield all groups that are left, to the end of the object."""
        for group in self.groups:
            yield group
        async for group in self._source:
            yield group


class Follower:
    """Clients for one stack, and what is done with them. Use as `async with Follower(...)`."""

    def __init__(
        self,
        stack: Stack,
        schema: Schema,
        *,
        endpoint_url: str | None,
        region: str | None = None,
        patience: float | None = None,
    ) -> None:
        """Follow files of `stack`, which is at `endpoint_url` (None: AWS) in `region` (None: the configured one)."""
        self._stack, self._schema = stack, schema
        self._endpoint_url, self._region = endpoint_url, region
        self._clients = AsyncExitStack()
        local = endpoint_url is not None
        self._interval = 0.2 if local else 1.0
        self._patience = patience or (PATIENCE_LOCAL if local else PATIENCE)
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)

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
        began, since = time.monotonic(), int(time.time() * 1000)
        await self._s3.upload_file(str(path), bucket, key)
        return Upload(await self._version(bucket, key), began, since, lambda: chunks_of(path))

    async def existing(self, bucket: str, key: str) -> Upload:
        """Return an object that is in S3 already, to be followed from now on."""
        version = await self._version(bucket, key)
        return Upload(version, time.monotonic(), int(time.time() * 1000), lambda: self._chunks(version))

    async def _version(self, bucket: str, key: str) -> ObjectVersion:
        head = await self._s3.head_object(Bucket=bucket, Key=key)
        version = head.get("VersionId")
        modified = int(head["LastModified"].timestamp())
        return ObjectVersion(bucket, key, None if version == "null" else version, head["ETag"].strip('"'), modified)

    async def _chunks(self, version: ObjectVersion) -> AsyncIterator[bytes]:
        more = {"VersionId": version.version} if version.version else {}
        reply = await self._s3.get_object(Bucket=version.bucket, Key=version.key, IfMatch=f'"{version.etag}"', **more)
        async for chunk in reply["Body"].iter_chunks(_READ_BYTES):
            yield chunk

    async def follow(self, upload: Upload, rows: int, report: Callable[[Snapshot], None]) -> Outcome:
        """Wait until the `rows` rows of `upload` are accounted for, the producer gave up, or nothing changes any more.

        `report` gets a snapshot of each round. See `complete` of the outcome for how it ended.
        """
        outcome = Outcome(upload, rows, certain=version_attribute(self._schema) is not None)
        missing = _Missing(expected(upload.chunks(), upload.source, self._schema))
        last = (0, 0, 0)
        changed = time.monotonic()
        while True:
            await missing.read_ahead()
            outcome.written += await self._look(missing.groups)
            outcome.queued = await self._messages(self._stack.queue_url)
            now = time.monotonic()
            quiet = now - changed
            if missing.at_end or quiet > 4 * self._interval:
                await self._read_rejects(outcome)
                missing.forget({reject.row for reject in outcome.rejects})
            report(Snapshot(rows, outcome.written, len(outcome.rejects), outcome.queued, now - upload.began))
            state = (outcome.written, len(outcome.rejects), outcome.queued)
            if state != last:
                last, changed, quiet = state, now, 0.0
            if outcome.complete:
                outcome.seconds = changed - upload.began
                return outcome
            if quiet > self._patience or (quiet > 1.0 and await self._has_ended(outcome)):
                outcome.seconds = now - upload.began
                await self._explain(outcome, missing)
                return outcome
            # Ever more rarely while nothing happens: each look at a row that is missing is paid for.
            await asyncio.sleep(min(max(self._interval, quiet / 8), 5.0))

    async def _look(self, groups: Sequence[Expected]) -> int:
        """Look for one row of each group, and for the others of those that have it; return how many were found."""
        last = Expected({i: group.rows[max(group.rows)] for i, group in enumerate(groups) if group.rows})
        take_found(last, await self._get(list(last.rows.values())), self._schema)
        there = [group for i, group in enumerate(groups) if group.rows and i not in last.rows]
        return sum(await asyncio.gather(*map(self._look_for_all, there)))

    async def _look_for_all(self, group: Expected) -> int:
        return take_found(group, await self._get(list(group.rows.values())), self._schema)

    async def _get(self, keys: list[tuple[str, ...]]) -> list[dict[str, Any]]:
        """Return the items with these keys that are there: their keys and versions alone."""
        unique = list(dict.fromkeys(keys))
        parts = [unique[start : start + _MOST_KEYS] for start in range(0, len(unique), _MOST_KEYS)]
        return [item for found in await asyncio.gather(*map(self._get_part, parts)) for item in found]

    async def _get_part(self, keys: list[tuple[str, ...]]) -> list[dict[str, Any]]:
        table = self._stack.table
        wanted = dict.fromkeys((*self._schema.keys, version_attribute(self._schema) or self._schema.partition_key))
        names = {f"#{i}": name for i, name in enumerate(wanted)}
        request: dict[str, Any] | None = {
            "Keys": [wire_key(key, self._schema) for key in keys],
            "ConsistentRead": True,
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }
        found: list[dict[str, Any]] = []
        async with self._reads:
            while request:
                reply = await self._dynamodb.batch_get_item(RequestItems={table: request})
                found += reply["Responses"].get(table, [])
                # What a table with little read capacity leaves over.
                request = (reply.get("UnprocessedKeys") or {}).get(table)
                if request:
                    await asyncio.sleep(self._interval)
        return found

    async def _read_rejects(self, outcome: Outcome) -> None:
        source = outcome.upload.source
        prefix = f"{self._stack.rejects_prefix}{source.key}/{source.ingestion}/"
        outcome.reject_keys, rejects = await read_rejects(self._s3, source.bucket, prefix)
        # A message that is delivered twice may leave a row in two files.
        outcome.rejects = list({reject.row: reject for reject in rejects}.values())

    async def _has_ended(self, outcome: Outcome) -> bool:
        """Return whether the producer has given up on the file, and keep what it said."""
        source = outcome.upload.source
        for line in await self._lines(self._stack.producer, outcome.upload.since):
            _, brace, rest = line.partition("{")
            try:
                said = json.loads(brace + rest)
            except ValueError:
                continue
            if not isinstance(said, dict) or said.get("event") != "object" or said.get("key") != source.key:
                continue
            if said.get("status") in _ENDED and said.get("ingestion") in (None, source.ingestion):
                outcome.ended = f"{said['status']}: {said.get('reason') or 'no reason given'}"
        return bool(outcome.ended)

    async def _explain(self, outcome: Outcome, missing: _Missing) -> None:
        """Find out what can be said about missing rows: first how many they really are."""
        async for group in missing.rest():
            outcome.written += await self._look_for_all(group)
        outcome.failed_files = await self._messages(self._stack.failure_queue_url)
        outcome.dead_letters = await self._messages(self._stack.dead_letter_queue_url)
        for function in (self._stack.producer, self._stack.worker):
            own = [line for line in await self._lines(function, outcome.upload.since) if '"_aws"' not in line]
            outcome.log_lines += [f"{function}: {line}" for line in own[-_LOG_LINES:]]

    async def _lines(self, function: str, since: int) -> list[str]:
        """Return what a function has logged since then (in milliseconds), apart from Lambda's own lines."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{function}", startTime=since
        )
        return [
            event["message"].rstrip()
            async for page in pages
            for event in page["events"]
            if not event["message"].startswith(_LAMBDA_LINES)
        ]

    async def _messages(self, queue_url: str) -> int:
        reply = await self._sqs.get_queue_attributes(
            QueueUrl=queue_url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            ],
        )
        return sum(int(value) for value in reply["Attributes"].values())
