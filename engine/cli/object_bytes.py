"""The bytes of one version of an object, read in ranges."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from botocore.exceptions import ClientError

from engine.cli.errors import CliError
from engine.identity import ObjectVersion

_RANGE_BYTES = 8 << 20
"""S3 closes a connection that is idle while the command waits for rows, so an object is read in several requests."""

_GONE = ("PreconditionFailed", "412", "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed", "404")


async def chunks_of(s3: Any, version: ObjectVersion, size: int) -> AsyncIterator[bytes]:
    """Yield the bytes of this very version, which has `size` of them. Raises `CliError` if it is gone."""
    wanted: dict[str, str] = {"Bucket": version.bucket, "Key": version.key, "IfMatch": f'"{version.etag}"'}
    if version.version:
        wanted["VersionId"] = version.version
    for start in range(0, size, _RANGE_BYTES):
        last = min(start + _RANGE_BYTES, size) - 1
        try:
            reply = await s3.get_object(**wanted, Range=f"bytes={start}-{last}")
        except ClientError as error:
            if error.response["Error"].get("Code") in _GONE:
                raise CliError(
                    f"s3://{version.bucket}/{version.key} is no longer the object that was ingested: it was "
                    "replaced or deleted."
                ) from None
            raise
        yield await reply["Body"].read()
