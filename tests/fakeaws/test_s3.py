"""The model of S3: ranges, conditions, versions, digests."""

import base64
import hashlib
import zlib

import pytest

from tests.fakeaws.s3 import MODIFIED, S3, S3Reply, unchunked

BODY = b"0123456789"
PATH = "/bucket/a%20b/%C3%BC%2B.csv"
KEY = "a b/ü+.csv"


def get(s3: S3, target: str = PATH, method: str = "GET", **headers: str) -> S3Reply:
    return s3.answer(method, target, {name.replace("_", "-"): value for name, value in headers.items()}, b"", 0.0)


def put(s3: S3, body: bytes = BODY, target: str = PATH, now: float = MODIFIED, **headers: str) -> S3Reply:
    return s3.answer("PUT", target, {name.replace("_", "-"): value for name, value in headers.items()}, body, now)


def code_of(reply: S3Reply) -> str:
    return reply.body().partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


def test_what_was_put_is_read_back() -> None:
    s3 = S3()
    etag = put(s3, content_type="text/csv; charset=utf-8").headers["ETag"]
    reply = get(s3)
    assert (reply.status, reply.body(), reply.length) == (200, BODY, 10)
    assert reply.headers["ETag"] == etag == f'"{hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"'
    assert reply.headers["Last-Modified"] == "Sat, 04 Apr 2026 00:00:00 GMT"
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "x-amz-version-id" not in reply.headers
    assert s3.objects["bucket", KEY].body == BODY
    assert get(s3, method="HEAD").length == 10


@pytest.mark.parametrize(
    ("asked", "span", "body"),
    [
        ("bytes=0-", "bytes 0-9/10", BODY),
        ("bytes=3-", "bytes 3-9/10", BODY[3:]),
        ("bytes=3-5", "bytes 3-5/10", BODY[3:6]),
        ("bytes=3-99", "bytes 3-9/10", BODY[3:]),
        ("bytes=-4", "bytes 6-9/10", BODY[6:]),
    ],
)
def test_ranges(asked: str, span: str, body: bytes) -> None:
    s3 = S3()
    put(s3)
    reply = get(s3, range=asked)
    assert (reply.status, reply.headers["Content-Range"], reply.body()) == (206, span, body)


@pytest.mark.parametrize("asked", ["bytes=a-b", "lines=1-2", "bytes=1-2,4-5"])
def test_range_that_is_not_understood_is_not_heeded(asked: str) -> None:
    s3 = S3()
    put(s3)
    assert (get(s3, range=asked).status, get(s3, range=asked).body()) == (200, BODY)


@pytest.mark.parametrize(
    ("target", "headers", "status", "code"),
    [
        ("/bucket/nothing", {}, 404, "NoSuchKey"),
        (PATH, {"range": "bytes=10-"}, 416, "InvalidRange"),
        (PATH, {"if_match": '"other"'}, 412, "PreconditionFailed"),
        (f"{PATH}?versionId=none", {}, 404, "NoSuchVersion"),
        (f"{PATH}?tagging", {}, 400, "NotModelled"),
        ("/bucket/?list-type=2", {}, 400, "NotModelled"),
        (PATH, {"if_none_match": "*"}, 400, "NotModelled"),
    ],
)
def test_requests_that_are_refused(target: str, headers: dict[str, str], status: int, code: str) -> None:
    s3 = S3()
    put(s3)
    reply = get(s3, target, **headers)
    assert (reply.status, code_of(reply)) == (status, code)
    assert get(s3, target, "HEAD", **headers).body() == b""


def test_a_condition_that_holds() -> None:
    s3 = S3()
    etag = put(s3).headers["ETag"]
    assert [get(s3, if_match=each).status for each in (etag, "*", etag.strip('"'))] == [200, 200, 200]


def test_versions_stay_readable() -> None:
    s3 = S3(versioned=["bucket"])
    first, second = put(s3, b"old").headers["x-amz-version-id"], put(s3, b"new").headers["x-amz-version-id"]
    assert [get(s3, f"{PATH}?versionId={version}").body() for version in (first, second)] == [b"old", b"new"]
    assert get(s3).headers["x-amz-version-id"] == second


def test_deleted_objects_are_gone_and_their_versions_stay() -> None:
    s3 = S3(versioned=["bucket"])
    version = put(s3).headers["x-amz-version-id"]
    marker = s3.answer("DELETE", PATH, {}, b"", 0.0).headers["x-amz-version-id"]
    assert code_of(get(s3)) == "NoSuchKey"
    assert get(s3, f"{PATH}?versionId={version}").body() == BODY
    assert code_of(get(s3, f"{PATH}?versionId={marker}")) == "MethodNotAllowed"
    assert s3.answer("DELETE", f"{PATH}?versionId={version}", {}, b"", 0.0).status == 204
    assert code_of(get(s3, f"{PATH}?versionId={version}")) == "NoSuchVersion"


def test_buckets_are_all_there_or_those_that_are_named() -> None:
    s3 = S3(buckets={"other"})
    assert code_of(put(s3)) == "NoSuchBucket"
    assert put(s3, target="/other/k").status == 200


def test_digests_are_held_against_the_body() -> None:
    s3 = S3()
    crc32 = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
    assert put(s3, x_amz_checksum_crc32=crc32).status == 200
    assert code_of(put(s3, BODY + b"!", x_amz_checksum_crc32=crc32)) == "BadDigest"
    md5 = base64.b64encode(hashlib.md5(BODY, usedforsecurity=False).digest()).decode()
    assert put(s3, content_md5=md5).status == 200
    assert code_of(put(s3, b"", content_md5=md5)) == "BadDigest"


def test_chunked_bodies_are_put_without_their_framing() -> None:
    chunked = b"5\r\n01234\r\n5;chunk-signature=0\r\n56789\r\n0\r\nx-amz-checksum-crc32:abc\r\n\r\n"
    assert unchunked(chunked) == BODY
    s3 = S3()
    put(s3, chunked, content_encoding="aws-chunked")
    put(s3, chunked, "/bucket/other", transfer_encoding="chunked")
    assert [stored.body for stored in s3.objects.values()] == [BODY, BODY]
    assert code_of(put(s3, chunked[:20], content_encoding="aws-chunked")) == "IncompleteBody"
