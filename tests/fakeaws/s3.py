"""A model of S3: objects and their versions; GET and HEAD with ranges and conditions, PUT, DELETE, lists. No clock.

    s3 = S3()
    s3.put("bucket", "uploads/users.csv", b"name,mail,phone\\n")
    reply = s3.answer("GET", "/bucket/uploads/users.csv", {"range": "bytes=5-"}, b"", now)

Requests name the bucket in the path.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import parse_qsl, quote_plus, unquote
from xml.sax.saxutils import escape

from tests.fakeaws.errors import Refusal, not_modelled

MODIFIED = 1_775_260_800
"""2026-04-04T00:00:00Z: LastModified of every object that does not say otherwise."""

_RANGE = re.compile(r"bytes=(?:([0-9]+)-([0-9]*)|-([0-9]+))")
# `x-id` is the name of the operation, which some SDKs add.
_PARAMETERS = {"versionId", "x-id"}
_LIST_PARAMETERS = {"list-type", "prefix", "start-after", "max-keys", "encoding-type", "x-id"}
_CONDITIONS = {"if-none-match", "if-modified-since", "if-unmodified-since", "x-amz-copy-source"}


class Content(Protocol):
    """An object as S3 keeps it."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def etag(self) -> str:
        """Its ETag, without quotes."""

    @property
    def modified(self) -> int:
        """LastModified, in seconds since 1970."""

    @property
    def content_type(self) -> str:
        """What the upload said it is."""

    @property
    def version(self) -> str | None:
        """Its version id; None in a bucket without versions."""

    def pieces(self, first: int, behind: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `first` on, before `behind`."""


@dataclass
class Stored:
    """An object that was put."""

    body: bytes
    modified: int = MODIFIED
    content_type: str = "text/csv"
    version: str | None = None
    etag: str = field(init=False)

    def __post_init__(self) -> None:
        """Work out the ETag."""
        self.etag = hashlib.md5(self.body, usedforsecurity=False).hexdigest()

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.body)

    def pieces(self, first: int, behind: int) -> Iterator[memoryview]:
        """Yield the bytes from `first` on, before `behind`, all at once and not copied."""
        yield memoryview(self.body)[first:behind]


@dataclass(frozen=True, slots=True)
class S3Reply:
    """A reply: headers without Content-Length, and which bytes of what follow."""

    status: int
    headers: Mapping[str, str]
    content: Content | None = None
    first: int = 0
    behind: int = 0
    text: bytes = b""
    """The body where it is no object's."""

    @property
    def length(self) -> int:
        """The Content-Length."""
        return self.behind - self.first if self.content is not None else len(self.text)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Yield the body."""
        return iter([self.text]) if self.content is None else self.content.pieces(self.first, self.behind)

    def body(self) -> bytes:
        """Return the body in one."""
        return b"".join(self.pieces())


def error_reply(refusal: Refusal) -> S3Reply:
    """Return an error in S3's own format."""
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{refusal.code}</Code>'
        f"<Message>{escape(refusal.message)}</Message><RequestId>0</RequestId></Error>"
    )
    return S3Reply(refusal.status, {"Content-Type": "application/xml"}, text=text.encode())


class S3:
    """Objects by bucket and key. In `versioned` buckets those that were replaced can still be read by their version.

    `generated` names objects that were never put, by bucket and key. Any bucket exists, unless `buckets` are given.
    """

    def __init__(
        self,
        *,
        versioned: Iterable[str] = (),
        generated: Callable[[str, str], Content | None] | None = None,
        buckets: set[str] | None = None,
    ) -> None:
        self.objects: dict[tuple[str, str], Stored] = {}
        self.replaced: dict[tuple[str, str, str], Stored] = {}
        self.versioned, self._generated = set(versioned), generated
        self.buckets = buckets
        self._markers: set[tuple[str, str, str]] = set()
        self._versions = 0

    def put(
        self, bucket: str, key: str, body: bytes, *, modified: int = MODIFIED, content_type: str = "text/csv"
    ) -> Stored:
        """Put an object past the protocol."""
        self._set_aside(bucket, key)
        stored = self.objects[bucket, key] = Stored(body, modified, content_type, self._new_version(bucket))
        return stored

    def delete(self, bucket: str, key: str, version: str | None = None) -> str | None:
        """Delete an object or one of its versions; returns the version id of what was deleted or of the marker."""
        if version is not None:
            if (found := self.objects.get((bucket, key))) is not None and found.version == version:
                del self.objects[bucket, key]
            self.replaced.pop((bucket, key, version), None)
            return version
        self._set_aside(bucket, key)
        self.objects.pop((bucket, key), None)
        marker = self._new_version(bucket)
        if marker is not None:
            self._markers.add((bucket, key, marker))
        return marker

    def _set_aside(self, bucket: str, key: str) -> None:
        """Keep the current object under its version, if it has one."""
        old = self.objects.get((bucket, key))
        if old is not None and old.version is not None:
            self.replaced[bucket, key, old.version] = old

    def _new_version(self, bucket: str) -> str | None:
        self._versions += 1
        return f"version-{self._versions}" if bucket in self.versioned else None

    def find(self, bucket: str, key: str, version: str | None = None) -> Content:
        """Return an object. Raises `Refusal`."""
        found: Content | None = self.objects.get((bucket, key))
        if found is None and self._generated is not None:
            found = self._generated(bucket, key)
        if version is not None and (bucket, key, version) in self._markers:
            raise Refusal("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
        if version is not None and (found is None or found.version != version):
            found = self.replaced.get((bucket, key, version))
            if found is None:
                raise Refusal("NoSuchVersion", "The specified version does not exist.", 404)
        if found is None:
            raise Refusal("NoSuchKey", "The specified key does not exist.", 404)
        return found

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes, now: float) -> S3Reply:
        """Answer a request: `target` is path and query as sent, names of headers are in lower case."""
        try:
            return self._answer(method, target, headers, body, now)
        except Refusal as refusal:
            reply = error_reply(refusal)
            return S3Reply(reply.status, reply.headers) if method == "HEAD" else reply

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes, now: float) -> S3Reply:
        path, _, query = target.partition("?")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        bucket, _, key = unquote(path).removeprefix("/").partition("/")
        known = _PARAMETERS if key else _LIST_PARAMETERS
        if unknown := sorted((set(parameters) - known) | (set(headers) & _CONDITIONS)):
            raise not_modelled(f"{unknown[0]} in requests to S3")
        if self.buckets is not None and bucket not in self.buckets:
            raise Refusal("NoSuchBucket", "The specified bucket does not exist", 404)
        if method == "GET" and parameters.get("list-type") == "2" and not key:
            return self._list(bucket, parameters)
        if not key:
            raise not_modelled(f"{method} of a bucket in S3")
        if method in ("GET", "HEAD"):
            return _get(self.find(bucket, key, parameters.get("versionId")), headers)
        if method == "PUT":
            return self._put(bucket, key, headers, body, now)
        if method == "DELETE":
            deleted = self.delete(bucket, key, parameters.get("versionId"))
            return S3Reply(204, {"x-amz-version-id": deleted} if deleted else {})
        raise not_modelled(f"{method} in S3")

    def _list(self, bucket: str, parameters: Mapping[str, str]) -> S3Reply:
        """Answer ListObjectsV2: keys in the order of their bytes."""
        if parameters.get("encoding-type") != "url":
            raise not_modelled("a list of keys that are not encoded like URLs")
        prefix, after = parameters.get("prefix", ""), parameters.get("start-after", "")
        keys = sorted((key for of, key in self.objects if of == bucket), key=str.encode)
        found = [key for key in keys if key.startswith(prefix) and key.encode() > after.encode()]
        most = min(int(parameters.get("max-keys", "1000")), 1000)
        each = (self.objects[bucket, key] for key in found)
        contents = "".join(
            f"<Contents><Key>{quote_plus(key, safe='/')}</Key>"
            f"<LastModified>{datetime.fromtimestamp(stored.modified, UTC):%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
            f"<ETag>&quot;{stored.etag}&quot;</ETag><Size>{stored.size}</Size></Contents>"
            for key, stored in list(zip(found, each, strict=True))[:most]
        )
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket}</Name>'
            f"<IsTruncated>{str(len(found) > most).lower()}</IsTruncated>{contents}</ListBucketResult>"
        )
        return S3Reply(200, {"Content-Type": "application/xml"}, text=text.encode())

    def _put(self, bucket: str, key: str, headers: Mapping[str, str], body: bytes, now: float) -> S3Reply:
        if "aws-chunked" in headers.get("content-encoding", "") or "transfer-encoding" in headers:
            body = unchunked(body)
        _check_digests(headers, body)
        kind = headers.get("content-type", "binary/octet-stream")
        stored = self.put(bucket, key, body, modified=int(now), content_type=kind)
        version = {"x-amz-version-id": stored.version} if stored.version else {}
        return S3Reply(200, {"ETag": f'"{stored.etag}"', **version})


def _get(found: Content, headers: Mapping[str, str]) -> S3Reply:
    if headers.get("if-match", "*").strip('"') not in ("*", found.etag):
        raise Refusal("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
    said = {
        "ETag": f'"{found.etag}"',
        "Content-Type": found.content_type,
        "Accept-Ranges": "bytes",
        "Last-Modified": datetime.fromtimestamp(found.modified, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
    }
    if found.version:
        said["x-amz-version-id"] = found.version
    first, behind, status = 0, found.size, 200
    if asked := _RANGE.fullmatch(headers.get("range", "")):  # S3 heeds no range that it does not understand
        first, behind = _span(asked, found.size)
        status = 206
        said["Content-Range"] = f"bytes {first}-{behind - 1}/{found.size}"
    return S3Reply(status, said, found, first, behind)


def _span(asked: re.Match[str], size: int) -> tuple[int, int]:
    if asked[3] is not None:
        first, behind = max(0, size - int(asked[3])), size
    else:
        first, behind = int(asked[1]), min(size, int(asked[2]) + 1) if asked[2] else size
    if first >= behind:
        raise Refusal("InvalidRange", "The requested range is not satisfiable", 416)
    return first, behind


def _check_digests(headers: Mapping[str, str], body: bytes) -> None:
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    if headers.get("content-md5", md5) != md5:
        raise Refusal("BadDigest", "The Content-MD5 you specified did not match what we received.")
    crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    if headers.get("x-amz-checksum-crc32", crc32) != crc32:
        raise Refusal("BadDigest", "The CRC32 you specified did not match the calculated checksum.")


def unchunked(body: bytes) -> bytes:
    """Return what a chunked body carries, by HTTP's framing or by ``aws-chunked``; its trailers are dropped."""
    parts: list[bytes] = []
    at = 0
    while (end := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:end].partition(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    raise Refusal("IncompleteBody", "The request body terminated unexpectedly")
