"""S3 objects, read in chunks, from any offset, never mixing two versions.

A read that breaks off is continued by a ranged GET from the byte reached. `If-Match` on the ETag makes S3 refuse to
continue with another version of the object. Memory: two chunks, whatever the size of the object.

S3's checksum is that of the whole object, so only what is read from the first byte to the last can be compared with it.
For other reads TLS keeps the bytes from being changed on their way, and `If-Match` keeps them those of one version.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

from engine.aws.s3 import S3, connection_errors
from engine.aws.types import Exchange, Headers
from engine.errors import ObjectGone, ObjectSuperseded, ServiceError
from engine.flow.attempts import Attempts, until
from engine.flow.backoff import NEVER, Deadline
from engine.identity import ObjectRef, ObjectVersion

CHUNK_BYTES = 262_144
"""Bytes per read. Smaller chunks cost more CPU; larger ones gain nothing."""

# At most 18 digits: no object is larger, and Python refuses to convert thousands of digits.
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")
_INGESTION = re.compile(r"[0-9a-f]{20}")
_GONE = ("NoSuchKey", "NoSuchVersion", "MethodNotAllowed")  # the last one: the version is a delete marker


class Objects:
    """Reads objects."""

    def __init__(self, s3: S3) -> None:
        self._s3 = s3

    async def open(self, ref: ObjectRef, deadline: Deadline = NEVER) -> OpenObject:
        """Open an object for reading.

        Raises `ObjectGone` if it does not exist, `ObjectSuperseded` if it is no longer the one that `ref` names,
        `ServiceError` if every attempt failed, and `DeadlineExceeded`.
        """
        with _refusals(ref):
            reply = await self._s3.call_with_retries("GetObject", _arguments(ref, 0), deadline)
        try:
            version, size = _version_of(ref, reply)
            return OpenObject(self, version, size, reply)
        except BaseException:
            reply.close()
            raise

    async def resume(self, version: ObjectVersion, size: int, offset: int, deadline: Deadline = NEVER) -> Exchange:
        """Return the body of `version`, which has `size` bytes, from byte `offset` on.

        Tries once; raises what `open` raises.
        """
        with _refusals(version.ref):
            reply = await self._s3.call("GetObject", _arguments(version.ref, offset), deadline)
        try:
            _same(version, size, offset, reply)
            # S3 honours ranges. Some emulators send the whole object instead, which would repeat rows.
            await _skip(reply, offset if reply.status == 200 else 0, deadline)
        except BaseException:
            reply.close()
            raise
        return reply

    def attempts(self, deadline: Deadline) -> Attempts:
        """Return the attempts at reading one object."""
        return self._s3.attempts("GetObject", deadline)


class OpenObject:
    """An object being read: its `version`, its `size` in bytes, and its `chunks`, to the end or before byte `stop`.

    `corrects`: the ingestion of which it holds corrected rows, as its metadata says.
    """

    def __init__(self, objects: Objects, version: ObjectVersion, size: int, reply: Exchange) -> None:
        self.version, self.size = version, size
        self._stop = size
        self._objects, self._body = objects, reply
        self._open = True
        self.corrects = _corrects_of(reply.headers)
        self._checksum = _checksum_of(reply.headers)
        self._offset = 0
        self._summed = 0

    async def chunks(self, deadline: Deadline = NEVER) -> AsyncGenerator[bytes, None]:
        """Yield the bytes in order, in chunks of up to `CHUNK_BYTES`.

        Raises `ObjectGone` or `ObjectSuperseded` if the object is deleted or replaced meanwhile, `ServiceError` if too
        many attempts in a row fail or the bytes do not match S3's checksum, and `DeadlineExceeded`. Where one call
        stopped early, the next one goes on.
        """
        attempts = self._objects.attempts(deadline)
        while self._offset < self._stop:
            try:
                if not self._open:
                    self._body = await self._objects.resume(self.version, self.size, self._offset, deadline)
                    self._open = True
                chunk = await _read(self._body, min(CHUNK_BYTES, self._stop - self._offset), deadline)
            except ServiceError as error:
                attempts.failed(error)
                self.close()
                await attempts.wait()
                continue
            attempts.progressed()
            self._offset += len(chunk)
            if self._checksum is not None:
                self._summed = zlib.crc32(chunk, self._summed)
            yield chunk
        if self._checksum not in (None, self._summed):
            raise ServiceError("GetObject", "CRC32CheckFailed", 0, "the object was damaged on its way")

    def seek(self, offset: int) -> None:
        """Go on at byte `offset`, where the next chunk begins; the bytes are compared with no checksum then."""
        self.close()
        self._offset, self._checksum = offset, None

    def end_before(self, stop: int) -> None:
        """Let the chunks end before byte `stop`; the bytes are compared with no checksum then."""
        self._stop, self._checksum = stop, None

    def close(self) -> None:
        """Close the connection, even if the object was not read to its end."""
        if self._open:
            self._open = False
            self._body.close()


def _arguments(ref: ObjectRef, offset: int) -> dict[str, Any]:
    """Return GetObject's arguments for this object from byte `offset` on."""
    arguments = {"Bucket": ref.bucket, "Key": ref.key}
    if ref.version:
        arguments["VersionId"] = ref.version
    if ref.etag:
        arguments["IfMatch"] = f'"{ref.etag}"'
    if offset:
        arguments["Range"] = f"bytes={offset}-"
    return arguments


@contextmanager
def _refusals(ref: ObjectRef) -> Iterator[None]:
    """Turn errors about the object itself into `ObjectGone` or `ObjectSuperseded`."""
    try:
        yield
    except ServiceError as error:
        if error.status == 412:
            raise ObjectSuperseded(f"s3://{ref.bucket}/{ref.key} was replaced by a newer upload") from error
        if error.code in _GONE:
            raise ObjectGone(f"s3://{ref.bucket}/{ref.key} no longer exists") from error
        raise


async def _read(body: Exchange, most: int, deadline: Deadline) -> bytes:
    async with until(deadline, "GetObject"):
        with connection_errors("GetObject"):
            chunk = await body.read(most)
    if not chunk:
        raise ServiceError("GetObject", "ConnectionFailed", 0, "the body ended early")
    return chunk


async def _skip(body: Exchange, count: int, deadline: Deadline) -> None:
    while count:
        count -= len(await _read(body, min(count, CHUNK_BYTES), deadline))


def _unreadable(why: str) -> ServiceError:
    return ServiceError("GetObject", "UnreadableReply", 0, why)


def _version_of(ref: ObjectRef, reply: Exchange) -> tuple[ObjectVersion, int]:
    """Return the version and the size in bytes of an object from the reply to a request for the whole of it."""
    get = reply.headers.get
    version = get("x-amz-version-id") or ref.version
    etag = (get("etag") or "").strip('"')
    size = _LENGTH.fullmatch(get("content-length") or "")
    modified = _seconds_of(get("last-modified") or "")
    if size is None or modified is None:  # a proxy's page, perhaps
        raise _unreadable("no length, or no date of change")
    if reply.status != 200 or not etag:
        raise _unreadable("part of an object, or one without ETag")
    return ObjectVersion(ref.bucket, ref.key, None if version == "null" else version, etag, modified), int(size[0])


def _seconds_of(date: str) -> int | None:
    """Return the seconds since 1970 of a date in a header, or None unless it is a valid date with a time zone."""
    try:
        moment = parsedate_to_datetime(date)
        seconds = int(moment.timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if moment.tzinfo is not None and seconds >= 0 else None


def _same(version: ObjectVersion, size: int, offset: int, reply: Exchange) -> None:
    """Raise unless the reply continues that version at `offset`, or restarts it."""
    get = reply.headers.get
    if (get("etag") or "").strip('"') != version.etag:
        raise ObjectSuperseded(f"s3://{version.bucket}/{version.key} was replaced by a newer upload")
    if reply.status == 200:
        good = get("content-length") == str(size)
    else:
        span = _CONTENT_RANGE.fullmatch(get("content-range") or "")
        good = span is not None and (int(span[1]), int(span[2])) == (offset, size)
    if not good:
        raise _unreadable("not the bytes that were asked for")


def _corrects_of(headers: Headers) -> str | None:
    """Return the ingestion in the metadata `corrects`; anything else that somebody has put there is ignored."""
    said = headers.get("x-amz-meta-corrects") or ""
    return said if _INGESTION.fullmatch(said) else None


def _checksum_of(headers: Headers) -> int | None:
    """Return the CRC-32 of the whole object if S3 sent it; multipart uploads may have only a checksum of checksums."""
    encoded = headers.get("x-amz-checksum-crc32")
    if encoded is None or headers.get("x-amz-checksum-type") == "COMPOSITE":
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    return int.from_bytes(decoded) if len(decoded) == 4 else None
