"""The object of an ingestion and its reject files, read from S3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from botocore.exceptions import ClientError

from engine import rejects
from engine.cli.errors import CliError
from engine.deployment.stack import Stack
from engine.identity import ObjectVersion
from engine.reading.block import Reject

_RANGE_BYTES = 8 << 20
"""An object is read in ranges: S3 closes a connection that is idle while its rows are looked up."""

_GONE = ("PreconditionFailed", "412", "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed", "404")


class Source:
    """Reads with a client that the caller opens and closes."""

    def __init__(self, s3: Any, stack: Stack, version: ObjectVersion, size: int) -> None:
        self._s3, self._stack, self._version, self._size = s3, stack, version, size

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of this very version of the object. Raises `CliError` if it is gone."""
        version = self._version
        wanted: dict[str, str] = {"Bucket": version.bucket, "Key": version.key, "IfMatch": f'"{version.etag}"'}
        if version.version:
            wanted["VersionId"] = version.version
        for start in range(0, self._size, _RANGE_BYTES):
            last = min(start + _RANGE_BYTES, self._size) - 1
            try:
                reply = await self._s3.get_object(**wanted, Range=f"bytes={start}-{last}")
            except ClientError as error:
                if error.response["Error"].get("Code") in _GONE:
                    raise CliError(
                        f"s3://{version.bucket}/{version.key} is no longer the object that was ingested: it was "
                        "replaced or deleted."
                    ) from None
                raise
            yield await reply["Body"].read()

    async def reject_files(self) -> list[str]:
        """Return the keys of the object's reject files."""
        folder = rejects.folder_of(self._stack.rejects_prefix, self._version)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._stack.rejects_bucket, Prefix=folder)
        return [entry["Key"] async for page in pages for entry in page.get("Contents", []) if _is_csv(entry["Key"])]

    async def rejects(self, key: str) -> list[Reject]:
        """Return the rejects in one file. Raises `BadFile` if it is not one that the functions wrote."""
        reply = await self._s3.get_object(Bucket=self._stack.rejects_bucket, Key=key)
        return rejects.read_rejects(await reply["Body"].read())


def _is_csv(key: str) -> bool:
    return key.endswith(".csv")
