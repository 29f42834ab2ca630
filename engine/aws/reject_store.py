"""Puts reject files into S3. They are small and few, and work that is repeated puts the same files again."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable

from engine.aws.s3 import S3
from engine.flow.backoff import Deadline
from engine.rejects import RejectFile


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
