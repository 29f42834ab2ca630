"""Put objects into a stack's bucket, or find them there, and follow them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from engine.cli.errors import CliError
from engine.cli.follow import AWS, LOCAL, Following, Outcome, Snapshot, Upload
from engine.cli.observe import StackView
from engine.deployment import clients
from engine.deployment.stack import Stack
from engine.identity import ObjectVersion
from engine.reading.reader import ObjectReader
from engine.schema.model import ORIGINS, Schema

_FILE_BYTES = 1 << 20

_RANGE_BYTES = 8 << 20
"""An object is read in ranges: S3 closes a connection that is idle while the command waits for rows."""


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


async def chunks_of(path: Path) -> AsyncIterator[bytes]:
    """Yield the bytes of a local file. Raises `CliError` if it can no longer be read."""
    try:
        with path.open("rb") as file:
            while data := await asyncio.to_thread(file.read, _FILE_BYTES):
                yield data
    except OSError as error:
        raise CliError(
            f"{path} can no longer be read ({error.strerror or error}), so its rows cannot be looked up; the ingestion "
            "continues."
        ) from None


class StackClient:
    """Clients for one stack. Use as ``async with StackClient(...)``."""

    def __init__(
        self,
        stack: Stack,
        schema: Schema,
        *,
        endpoint_url: str | None,
        region: str | None = None,
        patience: float | None = None,
    ) -> None:
        """Use `stack`, which is at `endpoint_url` (None: AWS) in `region` (None: the configured one).

        `patience`: seconds without a new row until following ends (None: the default).
        """
        self._stack, self._schema = stack, schema
        self._endpoint_url, self._region = endpoint_url, region
        timing = AWS if endpoint_url is None else LOCAL
        self._timing = replace(timing, patience=patience or timing.patience)
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> StackClient:
        """Open the clients. Raises `CliError` if the table's key is not that of the schema."""
        opened: dict[str, Any] = {}
        for service in ("s3", "sqs", "dynamodb", "logs"):
            client = clients.client(service, endpoint_url=self._endpoint_url, region=self._region)
            opened[service] = await self._exits.enter_async_context(client)
        self._s3 = opened["s3"]
        self._view = StackView(
            self._stack, self._schema, opened, interval=self._timing.interval, patience=self._timing.patience
        )
        try:
            await self._view.check_key()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Close the clients."""
        await self._exits.aclose()

    async def upload(self, path: Path, key: str) -> Upload:
        """Put the file into the stack's bucket, in parts if it is large; its arrival starts the producer."""
        began = asyncio.get_running_loop().time()
        await self._s3.upload_file(str(path), self._stack.bucket, key)
        version, size, _ = await self._version(self._stack.bucket, key)
        if size != (await asyncio.to_thread(path.stat)).st_size:
            raise CliError(f"s3://{version.bucket}/{key} was replaced by someone else right after the upload.")
        return Upload(version, began, version.modified, lambda: chunks_of(path))

    async def existing(self, bucket: str, key: str) -> Upload:
        """Return an object that is in S3 already, to be followed from now on. Raises `CliError` if there is none."""
        try:
            version, size, now = await self._version(bucket, key)
        except ClientError as error:
            if error.response["Error"].get("Code") in ("404", "NoSuchKey", "NoSuchBucket", "NotFound"):
                raise CliError(f"There is no object s3://{bucket}/{key}.") from None
            raise
        return Upload(version, asyncio.get_running_loop().time(), now, lambda: self._chunks(version, size))

    async def follow(self, upload: Upload, rows: int, report: Callable[[Snapshot], None]) -> Outcome:
        """Follow an object with this many data rows; `report` gets a snapshot after each look."""
        return await Following(self._view, self._schema, upload, rows, self._timing).run(report)

    async def _version(self, bucket: str, key: str) -> tuple[ObjectVersion, int, int]:
        """Return the object's version, its size in bytes, and the time by S3's clock."""
        head = await self._s3.head_object(Bucket=bucket, Key=key)
        version = head.get("VersionId")
        modified = int(head["LastModified"].timestamp())
        etag = head["ETag"].strip('"')
        source = ObjectVersion(bucket, key, None if version == "null" else version, etag, modified)
        now = parsedate_to_datetime(head["ResponseMetadata"]["HTTPHeaders"]["date"])
        return source, head["ContentLength"], int(now.timestamp())

    async def _chunks(self, version: ObjectVersion, size: int) -> AsyncIterator[bytes]:
        wanted: dict[str, str] = {"Bucket": version.bucket, "Key": version.key, "IfMatch": f'"{version.etag}"'}
        if version.version:
            wanted["VersionId"] = version.version
        for start in range(0, size, _RANGE_BYTES):
            last = min(start + _RANGE_BYTES, size) - 1
            reply = await self._s3.get_object(**wanted, Range=f"bytes={start}-{last}")
            yield await reply["Body"].read()
