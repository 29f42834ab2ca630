"""S3 objects, read in chunks, from any offset, never mixing two versions.

A read that breaks in the middle goes on with a ranged GET from the byte reached. `If-Match` on the ETag makes S3 refuse
to go on with another version of the object. Memory: two chunks, whatever the size of the object.
"""

from __future__ import annotations

import base64
import html
import re
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from engine.aws.session import Session
from engine.aws.types import Download, Fetch, Headers
from engine.errors import ObjectGone, ObjectSuperseded, ServiceError, Verdict
from engine.flow.attempts import Attempts, pause, until
from engine.flow.backoff import NEVER, Backoff, Deadline
from engine.identity import ObjectRef, ObjectVersion

CHUNK_BYTES = 262_144
"""Bytes asked for at a time. Smaller chunks cost the processor more; larger ones gain nothing."""

MAX_FAILURES = 9
"""How often in a row S3 may fail without yielding a byte before it is given up."""

PATIENCE = 30.0
"""Seconds that the head of a reply may take, and each chunk. S3 answers in tens of milliseconds: past this it hangs."""

MAX_ERROR_BYTES = 65_536

MAX_REGIONS = 1_000
"""Buckets whose region is remembered."""

_CODE = re.compile(r"<Code>([\w.]{1,64})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_REGION = re.compile(r"<Region>([^<]*)</Region>")
_NAME_OF_REGION = re.compile(r"[a-z0-9-]{1,40}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_GONE = ("NoSuchKey", "NoSuchVersion", "MethodNotAllowed")  # the last: the version that a deletion leaves


class Objects:
    """Reads objects: `session` addresses and signs the requests, `fetch` sends them."""

    def __init__(
        self, session: Session, fetch: Fetch, *, backoff: Backoff | None = None, patience: float = PATIENCE
    ) -> None:
        self._session, self._fetch = session, fetch
        self._backoff, self._patience = backoff or Backoff(base=0.1), patience
        self._regions: dict[str, str] = {}  # of buckets that are not in the session's

    async def open(self, ref: ObjectRef, deadline: Deadline = NEVER) -> OpenObject:
        """Begin to read an object.

        Raises `ObjectGone` if it is not there, `ObjectSuperseded` if it is not the one that `ref` names any more,
        `ServiceError` when S3 cannot be read after `MAX_FAILURES` tries, and `DeadlineExceeded`.
        """
        attempts = self.attempts(deadline)
        while True:
            try:
                reply = await self._get(ref, 0, deadline)
            except ServiceError as error:
                attempts.failed(error)
                await attempts.wait()
                continue
            try:
                version, size = _version_of(ref, reply)
                return OpenObject(self, version, size, reply)
            except BaseException:
                reply.close()
                raise

    async def resume(self, version: ObjectVersion, size: int, offset: int, deadline: Deadline = NEVER) -> Download:
        """Return the body of `version`, which has `size` bytes, from byte `offset` on.

        Raises as `open` does, but tries once.
        """
        reply = await self._get(version.ref, offset, deadline)
        try:
            _same(version, size, offset, reply)
            # S3 heeds a range; some that stand in for it send the whole object again, and rows would come twice.
            await _skip(reply, offset if reply.status == 200 else 0, deadline)
        except BaseException:
            reply.close()
            raise
        return reply

    def attempts(self, deadline: Deadline) -> Attempts:
        """Return the attempts at reading one thing."""

        async def wait(attempt: int, deadline: Deadline) -> None:
            await pause(self._backoff, attempt, deadline, "GetObject")

        return Attempts(wait, deadline, MAX_FAILURES)

    async def _get(self, ref: ObjectRef, offset: int, deadline: Deadline) -> Download:
        """Send one GET, or two where the bucket turns out to be in another region; the reply is a good one."""
        arguments = {"Bucket": ref.bucket, "Key": ref.key}
        if ref.version:
            arguments["VersionId"] = ref.version
        if ref.etag:
            arguments["IfMatch"] = f'"{ref.etag}"'
        if offset:
            arguments["Range"] = f"bytes={offset}-"
        try:
            async with until(deadline, "GetObject"):
                try:
                    return await self._ask(arguments, self._regions.get(ref.bucket))
                except _Elsewhere as error:
                    reply = await self._ask(arguments, error.region)
                    if len(self._regions) < MAX_REGIONS:
                        self._regions[ref.bucket] = error.region
                    return reply
        except ServiceError as error:
            if error.verdict is Verdict.EXPIRED:
                async with until(deadline, "renewing credentials"):
                    await self._session.credentials(renew=True)
            if error.status == 412:
                raise ObjectSuperseded(f"s3://{ref.bucket}/{ref.key} was replaced by a newer upload") from error
            if error.code in _GONE:
                raise ObjectGone(f"s3://{ref.bucket}/{ref.key} no longer exists") from error
            raise

    async def _ask(self, arguments: Mapping[str, str], region: str | None) -> Download:
        """Send one GET and return a good reply. Raises `ServiceError`, `_Elsewhere` where another region is named."""
        request = await self._session.get_object(arguments, region)
        with _broken():
            reply = await self._fetch(request.url, request.headers, self._patience)
            if reply.status in (200, 206):
                return reply
            try:
                body = await _text_of(reply)
            finally:
                reply.close()
        named = reply.headers.get("x-amz-bucket-region") or _first(_REGION, body)
        if reply.status in (301, 307, 400) and named != request.region and _NAME_OF_REGION.fullmatch(named):
            raise _Elsewhere(named, *_error_of(reply.status, body))
        raise ServiceError("GetObject", *_error_of(reply.status, body))


class _Elsewhere(ServiceError):
    """The bucket is in another region."""

    def __init__(self, region: str, code: str, status: int, detail: str) -> None:
        super().__init__("GetObject", code, status, detail)
        self.region = region


class OpenObject:
    """An object being read: `version` says which, `size` how many bytes, `chunks` gives them."""

    def __init__(self, objects: Objects, version: ObjectVersion, size: int, reply: Download) -> None:
        self.version, self.size = version, size
        self._objects, self._body = objects, reply
        self._open = True
        self._checksum = _checksum_of(reply.headers)

    async def chunks(self, deadline: Deadline = NEVER) -> AsyncIterator[bytes]:
        """Yield the bytes in order, in chunks of up to `CHUNK_BYTES`.

        Raises `ObjectGone` or `ObjectSuperseded` when the object changes underneath, `ServiceError` when S3 cannot be
        read after `MAX_FAILURES` tries in a row or the bytes do not have the checksum that S3 has of them,
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


@contextmanager
def _broken() -> Iterator[None]:
    """Turn what a download raises into `ServiceError`."""
    try:
        yield
    except TimeoutError as error:
        raise ServiceError("GetObject", "CallTimedOut", 0, "no answer in time") from error
    except ConnectionError as error:
        raise ServiceError("GetObject", "ConnectionFailed", 0, str(error)) from error


async def _read(body: Download, most: int, deadline: Deadline) -> bytes:
    async with until(deadline, "GetObject"):
        with _broken():
            chunk = await body.read(most)
    if not chunk:
        raise ServiceError("GetObject", "ConnectionFailed", 0, "the body ended early")
    return chunk


async def _skip(body: Download, count: int, deadline: Deadline) -> None:
    while count:
        count -= len(await _read(body, min(count, CHUNK_BYTES), deadline))


def _unreadable(why: str) -> ServiceError:
    return ServiceError("GetObject", "UnreadableReply", 0, why)


def _version_of(ref: ObjectRef, reply: Download) -> tuple[ObjectVersion, int]:
    """Return which version of the object a reply to a request for all of it holds, and its size in bytes."""
    get = reply.headers.get
    version = get("x-amz-version-id") or ref.version
    etag = (get("etag") or "").strip('"')
    try:
        modified = int(parsedate_to_datetime(get("last-modified") or "").timestamp())
        size = int(get("content-length") or "")
    except (ValueError, TypeError, OverflowError) as error:  # a proxy's page, perhaps
        raise _unreadable("no length, or no date of change") from error
    if reply.status != 200 or not etag:
        raise _unreadable("part of an object, or one without ETag")
    return ObjectVersion(ref.bucket, ref.key, None if version == "null" else version, etag, modified), size


def _same(version: ObjectVersion, size: int, offset: int, reply: Download) -> None:
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


async def _text_of(reply: Download) -> str:
    """Return the body of an error."""
    body = b""
    while len(body) < MAX_ERROR_BYTES and (piece := await reply.read(MAX_ERROR_BYTES)):
        body += piece
    return body.decode("utf-8", "replace")


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _error_of(status: int, body: str) -> tuple[str, int, str]:
    """Return code, status and message of an error in S3's XML; of a proxy's HTML the status is all there is."""
    code = _first(_CODE, body)
    said = " ".join(html.unescape(_first(_MESSAGE, body)).split())[:300] if code else ""
    return code or f"HTTP{status}", status, said
