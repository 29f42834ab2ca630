"""Puts reject files into S3, and reads them. They are small and few, and work that is repeated puts the same again."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from engine.aws.s3 import S3, connection_errors
from engine.aws.types import Exchange
from engine.errors import ServiceError
from engine.flow.attempts import until
from engine.flow.backoff import Deadline
from engine.rejects import RejectFile

LISTED_TOGETHER = 100

MAX_BYTES = 16 * 1_048_576
"""Of a reject file: four times what a file of the producer has, and more than a message of 1 MiB can become."""

# Botocore asks for keys in the form of URLs, so none has a character that XML would escape.
_OBJECT = re.compile(r"<Contents>(.*?)</Contents>", re.DOTALL)
_KEY = re.compile(r"<Key>([^<]*)</Key>")
_MODIFIED = re.compile(r"<LastModified>([^<]*)</LastModified>")
_TRUNCATED, _END = "<IsTruncated>true</IsTruncated>", "</ListBucketResult>"


class RejectStore:
    """Puts reject files."""

    def __init__(self, s3: S3) -> None:
        self._s3 = s3

    async def put(self, files: Iterable[RejectFile], bucket: str, deadline: Deadline) -> None:
        """Put each file. Raises `ServiceError` and `DeadlineExceeded`."""
        for file in files:
            # Given a checksum, botocore sends the body as it is instead of in chunks with a trailing checksum.
            checksum = base64.b64encode(zlib.crc32(file.body).to_bytes(4)).decode()
            arguments = {
                "Bucket": bucket,
                "Key": file.key,
                "Body": file.body,
                "ContentType": "text/csv; charset=utf-8",
                "ChecksumAlgorithm": "CRC32",
                "ChecksumCRC32": checksum,
            }
            reply = await self._s3.call_with_retries("PutObject", arguments, deadline)
            reply.close()


class StoredFile(NamedTuple):
    """A file in S3: its name in the folder, and LastModified in whole seconds."""

    name: str
    modified: int


class RejectReader:
    """Reads the reject files of one bucket."""

    def __init__(self, s3: S3, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    async def listed(self, folder: str, after: str, deadline: Deadline) -> tuple[list[StoredFile], bool]:
        """Return some files of a folder, in the order of their names after `after`, and whether these are all.

        Raises `ServiceError` and `DeadlineExceeded`.
        """
        arguments: dict[str, Any] = {"Bucket": self._bucket, "Prefix": folder, "MaxKeys": LISTED_TOGETHER}
        if after:
            arguments["StartAfter"] = folder + after
        text = (await self._body("ListObjectsV2", arguments, deadline)).decode("utf-8", "replace")
        try:
            if _END not in text:
                raise ValueError("not a list")  # a proxy's page, perhaps
            files = [_stored(said, folder) for said in _OBJECT.findall(text)]
        except ValueError:
            raise ServiceError("ListObjectsV2", "UnreadableReply", 0) from None
        return files, _TRUNCATED not in text

    async def read(self, key: str, deadline: Deadline) -> bytes:
        """Return a file. Raises `ServiceError` and `DeadlineExceeded`."""
        return await self._body("GetObject", {"Bucket": self._bucket, "Key": key}, deadline)

    async def _body(self, operation: str, arguments: Mapping[str, Any], deadline: Deadline) -> bytes:
        attempts = self._s3.attempts(operation, deadline)
        while True:
            try:
                reply = await self._s3.call(operation, arguments, deadline)
                try:
                    return await _whole(reply, operation, deadline)
                finally:
                    reply.close()
            except ServiceError as error:
                attempts.failed(error)
            await attempts.wait()


def _stored(said: str, folder: str) -> StoredFile:
    key, modified = _KEY.search(said), _MODIFIED.search(said)
    if key is None or modified is None:
        raise ValueError("an object without a key or a date")
    return StoredFile(unquote_plus(key[1]).removeprefix(folder), int(datetime.fromisoformat(modified[1]).timestamp()))


async def _whole(reply: Exchange, operation: str, deadline: Deadline) -> bytes:
    """Return the body of a reply. Raises `ServiceError`."""
    pieces: list[bytes] = []
    size = 0
    while True:
        async with until(deadline, operation):
            with connection_errors(operation):
                piece = await reply.read(MAX_BYTES)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BYTES:
            raise ServiceError(operation, "EntityTooLarge", 400, f"more than {MAX_BYTES:,} bytes")
