"""S3 objects, read in chunks, from any offset, never mixing two versions.

A read that breaks in the middle goes on with a ranged GET from the byte reached. `If-Match` on the ETag makes S3 refuse
to go on with another version of the object. Memory: two chunks, whatever the size of the object.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import AsyncIterator, Iterator
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
"""Bytes asked for at a time. Smaller chunks cost the processor more; larger ones gain nothing."""

# At most 18 digits: no object is that large, and Python refuses to convert thousands of them.
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")
_GONE = ("NoSuchKey", "NoSuchVersion", "MethodNotAllowed")  # the last: the version that a deletion leaves


class Objects:
    """Reads objects."""

    def __init__(self, s3: S3) -> None:
        self._s3 = s3

    async def open(self, ref: ObjectRef, deadline: Deadline = NEVER) -> OpenObject:
        """Begin to read an object.

        Raises `ObjectGone` if it is not there, `ObjectSuperseded` if it is not the one that `ref` names any more,
        `ServiceError` when S3 cannot be read after several tries, and `DeadlineExceeded`.
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

        Raises as `open` does, but tries once.
        """
        with _refusals(version.ref):
            reply = await self._s3.call("GetObject", _arguments(version.ref, offset), deadline)
        try:
            _same(version, size, offset, reply)
            # S3 heeds a range; some that stand in for it send the whole object again, and rows would come twice.
            await _skip(reply, offset if reply.status == 200 else 0, deadline)
        except BaseException:
            reply.close()
            raise
        return reply

    def attempts(self, deadline: Deadline) -> Attempts:
        """Return the attempts at reading one object."""
        return self._s3.attempts("GetObject", deadline)


class OpenObject:
    """An object being read: `version` says which, `size` how many bytes, `chunks` gives them."""

    def __init__(self, objects: Objects, version: ObjectVersion, size: int, reply: Exchange) -> None:
        self.version, self.size = version, size
        self._objects, self._body = objects, reply
        self._open = True
        self._checksum = _checksum_of(reply.headers)

    async def chunks(self, deadline: Deadline = NEVER) -> AsyncIterator[bytes]:
        """Yield the bytes in order, in chunks of up to `CHUNK_BYTES`.

        Raises `ObjectGone` or `ObjectSuperseded` when the object changes underneath, `ServiceError` when S3 cannot be
        read after several tries in a row or the bytes do not have the checksum that S3 has of them,
        `DeadlineExceeded` when the time is up first.
        """
        offset, checksum = 0, 0
        attempts = self._objects.attempts(deadline)
        while offset < self.size:
            try:
                if not self._open:
                    self._body = await self._objects.resume(self.version, self.size, offset, deadline)
                    self._open = True
                chunk = await _read(self._body, min(CHUNK_BYTES, self.size - offset), deadline)
            except ServiceError as error:
                attempts.failed(error)
                self.close()
                await attempts.wait()
                continue
            attempts.progressed()
            offset += len(chunk)
            if self._checksum is not None:
                checksum = zlib.crc32(chunk, checksum)
            yield chunk
        if self._checksum not in (None, checksum):
            raise ServiceError("GetObject", "CRC32CheckFailed", 0, "the object was damaged on its way")

    def close(self) -> None:
        """Give the connection up, also if the object was not read to its end."""
        if self._open:
            self._open = False
            self._body.close()


def _arguments(ref: ObjectRef, offset: int) -> dict[str, Any]:
    """Return what GetObject is asked for: this object, from byte `offset` on."""
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
    """Turn an error of S3 that speaks of the object itself into `ObjectGone` or `ObjectSuperseded`."""
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
    """Return which version of the object a reply to a request for all of it holds, and its size in bytes."""
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
    """Return the seconds since 1970 of a date in a header, or None if it is not a date with its time zone."""
    try:
        moment = parsedate_to_datetime(date)
        seconds = int(moment.timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if moment.tzinfo is not None and seconds >= 0 else None


def _same(version: ObjectVersion, size: int, offset: int, reply: Exchange) -> None:
    """Raise unless the reply goes on with that version at `offset`, or begins it again."""
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


def _checksum_of(headers: Headers) -> int | None:
    """Return the CRC-32 of the whole object, if S3 has one: uploads in parts may have one of the parts' checksums."""
    encoded = headers.get("x-amz-checksum-crc32")
    if encoded is None or headers.get("x-amz-checksum-type") == "COMPOSITE":
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    return int.from_bytes(decoded) if len(decoded) == 4 else None
