"""Put objects into a stack's bucket, or find them there, and follow them."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from engine.cli.errors import CliError
from engine.cli.follow import AWS, LOCAL, Outcome, Report, Upload, follow
from engine.cli.ledger import open_ledger
from engine.cli.observe import StackView
from engine.deployment import clients
from engine.deployment.stack import Stack
from engine.identity import ObjectVersion
from engine.reading.reader import ObjectReader
from engine.schema.model import ORIGINS, Schema

_FILE_BYTES = 1 << 20


def count_rows(path: Path, schema: Schema) -> int:
    """Return the data rows of a file, counted by the engine's own reader.

    Raises `BadFile` for a file that the producer would refuse: not CSV text, or a header that does not fit the schema.
    """
    reader = ObjectReader(schema.format, schema.wanted)
    rows = 0
    planned = False
    with path.open("rb") as file:
        while data := file.read(_FILE_BYTES):
            rows += sum(len(block.rows) + len(block.rejects) for block in reader.feed(data))
            if reader.header is not None and not planned:
                # A large file should not be read to its end only to be refused for its first line.
                _check_header(reader, schema)
                planned = True
    rows += sum(len(block.rows) + len(block.rejects) for block in reader.finish())
    if not planned:
        _check_header(reader, schema)
    return rows


def _check_header(reader: ObjectReader, schema: Schema) -> None:
    schema.plan(reader.header or [], ORIGINS[reader.type])


class StackClient:
    """Clients for one stack. Use as ``async with StackClient(...)``."""

    def __init__(
        self,
        stack: Stack,
        *,
        endpoint_url: str | None,
        region: str | None = None,
        patience: float | None = None,
    ) -> None:
        """Use `stack`, which is at `endpoint_url` (None: AWS) in `region` (None: the configured one).

        `patience`: seconds without any change until following ends (None: the default).
        """
        self._stack = stack
        self._endpoint_url, self._region = endpoint_url, region
        timing = AWS if endpoint_url is None else LOCAL
        self._timing = replace(timing, patience=patience or timing.patience)

    async def __aenter__(self) -> StackClient:
        """Open the clients. Raises `CliError` if the stack has no ledger."""
        url, region = self._endpoint_url, self._region
        async with AsyncExitStack() as exits:
            opened = open_ledger(self._stack, endpoint_url=url, region=region)
            self._ledger = ledger = await exits.enter_async_context(opened)
            self._s3, logs = [
                await exits.enter_async_context(clients.client(name, endpoint_url=url, region=region))
                for name in ("s3", "logs")
            ]
            self._view = StackView(self._stack, ledger, self._s3, logs)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Close the clients."""
        await self._exits.aclose()

    async def upload(self, path: Path, key: str, corrects: str | None = None) -> Upload:
        """Put the file into the stack's bucket, in parts if it is large; its arrival starts the producer.

        `corrects`: the ingestion of which it holds corrected rows.
        """
        about = {"ExtraArgs": {"Metadata": {"corrects": corrects}}} if corrects else {}
        began, began_at = asyncio.get_running_loop().time(), time.time()
        await self._s3.upload_file(str(path), self._stack.bucket, key, **about)
        version, size, _ = await self._version(self._stack.bucket, key)
        if size != (await asyncio.to_thread(path.stat)).st_size:
            raise CliError(f"s3://{version.bucket}/{key} was replaced by someone else right after the upload.")
        return Upload(version, began, began_at, version.modified)

    async def ingestion(self, name: str) -> str:
        """Return the id of an ingestion; `name` is its id, or the key of its object. Raises `CliError` without one."""
        return str((await self._ledger.find(name)).entry["ingestion"])

    async def existing(self, bucket: str, key: str) -> Upload:
        """Return an object that is in S3 already, to be followed from now on. Raises `CliError` if there is none."""
        try:
            version, _, now = await self._version(bucket, key)
        except ClientError as error:
            if error.response["Error"].get("Code") in ("404", "NoSuchKey", "NoSuchBucket", "NotFound"):
                raise CliError(f"There is no object s3://{bucket}/{key}.") from None
            raise
        return Upload(version, asyncio.get_running_loop().time(), time.time(), now)

    async def follow(self, upload: Upload, rows: int, report: Report) -> Outcome:
        """Follow an object with this many data rows; `report` gets what the ledger knows after each look."""
        return await follow(self._view, upload, rows, self._timing, report)

    async def _version(self, bucket: str, key: str) -> tuple[ObjectVersion, int, int]:
        """Return the object's version, its size in bytes, and the time by S3's clock."""
        head = await self._s3.head_object(Bucket=bucket, Key=key)
        version = head.get("VersionId")
        modified = int(head["LastModified"].timestamp())
        etag = head["ETag"].strip('"')
        source = ObjectVersion(bucket, key, None if version == "null" else version, etag, modified)
        now = parsedate_to_datetime(head["ResponseMetadata"]["HTTPHeaders"]["date"])
        return source, head["ContentLength"], int(now.timestamp())
