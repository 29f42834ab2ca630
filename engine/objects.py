"""S3 objects: read in chunks, from any offset, never mixing two versions; and put, for rejects.

A read that breaks in the middle goes on with a ranged GET from the byte reached. `If-Match` on the ETag makes S3 refuse
to go on with another version of the object. Memory: one chunk, whatever the size of the object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from engine.aws import pause, until
from engine.clients import service_errors
from engine.errors import ObjectGone, ObjectSuperseded, ServiceError, Verdict
from engine.retry import NEVER, Backoff, Deadline

CHUNK_BYTES = 262_144
"""Bytes asked for at a time. aiobotocore streams 1,200 MB/s from 256 KiB on, and far less with its default, 1 KiB."""

MAX_RESUMES = 8
"""How often in a row a read may break without yielding a byte before it is given up."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """What an event says of an object; `version` and `etag` may be unknown."""

    bucket: str
    key: str
    version: str | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of one key, as S3 described it when it was opened. `modified`: LastModified, in whole seconds."""

    bucket: str
    key: str
    version: str | None
    etag: str
    modified: int
    size: int


class Objects:
    """Reads and puts objects through one S3 client."""

    def __init__(self, client: Any, backoff: Backoff | None = None) -> None:
        self._client = client
        self.backoff = backoff or Backoff(base=0.1)

    async def open(self, ref: ObjectRef, deadline: Deadline = NEVER) -> OpenObject:
        """Begin to read an object.

        Raises `ObjectGone` if it is not there, `ObjectSuperseded` if it is not the one that `ref` names any more,
        `ServiceError`, and `DeadlineExceeded`.
        """
        reply = await self._get(ref, 0, deadline)
        version_id = reply.get("VersionId") or ref.version
        version = ObjectVersion(
            bucket=ref.bucket,
            key=ref.key,
            version=None if version_id == "null" else version_id,
            etag=reply["ETag"].strip('"'),
            modified=int(reply["LastModified"].timestamp()),
            size=reply["ContentLength"],
        )
        return OpenObject(self, version, reply["Body"])

    async def put(self, bucket: str, key: str, body: bytes, content_type: str, deadline: Deadline = NEVER) -> None:
        """Put a whole small object. Raises `ServiceError` and `DeadlineExceeded`."""
        async with until(deadline, "PutObject"):
            with service_errors("PutObject"):
                await self._client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    async def resume(self, version: ObjectVersion, offset: int, deadline: Deadline = NEVER) -> Any:
        """Return the body of `version` from byte `offset` on. Raises as `open` does."""
        ref = ObjectRef(version.bucket, version.key, version.version, version.etag)
        reply = await self._get(ref, offset, deadline)
        # S3 always heeds a range; some that stand in for it send the whole object again, and rows would come twice.
        if offset and "ContentRange" not in reply:
            await _skip(reply["Body"], offset, deadline)
        return reply["Body"]

    async def _get(self, ref: ObjectRef, offset: int, deadline: Deadline) -> Any:
        arguments: dict[str, Any] = {"Bucket": ref.bucket, "Key": ref.key}
        if ref.version:
            arguments["VersionId"] = ref.version
        if ref.etag:
            arguments["IfMatch"] = f'"{ref.etag}"'
        if offset:
            arguments["Range"] = f"bytes={offset}-"
        try:
            async with until(deadline, "GetObject"):
                with service_errors("GetObject"):
                    return await self._client.get_object(**arguments)
        except ServiceError as error:
            if error.code in ("NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed"):
                raise ObjectGone(f"s3://{ref.bucket}/{ref.key} no longer exists") from error
            if error.status == 412:
                raise ObjectSuperseded(f"s3://{ref.bucket}/{ref.key} was replaced by a newer upload") from error
            raise


async def _read(body: Any, most: int, deadline: Deadline) -> bytes:
    async with until(deadline, "GetObject"):
        with service_errors("GetObject"):
            chunk: bytes = await body.read(most)
    if not chunk:
        raise ServiceError("GetObject", "ConnectionFailed", 0, "the body ended early")
    return chunk


async def _skip(body: Any, count: int, deadline: Deadline) -> None:
    try:
        while count:
            count -= len(await _read(body, min(count, CHUNK_BYTES), deadline))
    except BaseException:
        body.close()
        raise


class OpenObject:
    """An object being read: `version` says which, `chunks` gives its bytes."""

    def __init__(self, objects: Objects, version: ObjectVersion, body: Any) -> None:
        self.version = version
        self._objects, self._body = objects, body

    async def chunks(self, deadline: Deadline = NEVER) -> AsyncIterator[bytes]:
        """Yield the bytes in order, in chunks of up to `CHUNK_BYTES`.

        Raises `ObjectGone` or `ObjectSuperseded` when the object changes underneath, `ServiceError` when S3 cannot be
        read after `MAX_RESUMES` tries in a row, `DeadlineExceeded` when the time is up first.
        """
        offset, failures = 0, 0
        while offset < self.version.size:
            try:
                if self._body is None:
                    self._body = await self._objects.resume(self.version, offset, deadline)
                chunk = await _read(self._body, CHUNK_BYTES, deadline)
            except ServiceError as error:
                failures += 1
                if error.verdict not in (Verdict.RETRY, Verdict.THROTTLE) or failures > MAX_RESUMES:
                    raise
                self.close()
                await pause(self._objects.backoff, failures - 1, deadline, "GetObject")
                continue
            offset, failures = offset + len(chunk), 0
            yield chunk

    def close(self) -> None:
        """Give the connection back, also if the object was not read to its end."""
        if self._body is not None:
            self._body.close()
            self._body = None
