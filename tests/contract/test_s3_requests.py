"""Requests to S3: those of botocore's own client, stopped just before it sends. Nothing is sent over a socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.aws.reject_store import RejectStore
from engine.aws.s3 import S3
from engine.aws.session import Session, SignedRequest
from engine.aws.sign import Credentials
from engine.aws.types import Exchange, Request
from engine.errors import ServiceError, Verdict
from engine.flow.backoff import NEVER
from engine.rejects import RejectFile

KEYS = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=60)
VERSIONS = st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9-]{1,40}[a-z0-9]", fullmatch=True) | st.sampled_from(["with.dots", "a.b.c"])


class Where(NamedTuple):
    """Credentials, region and endpoint; only a few combinations, since making a client is slow."""

    credentials: Credentials
    region: str | None = None
    endpoint_url: str | None = None


LASTING = Credentials("AKIDEXAMPLE", "secret/+=")
PASSING = Credentials("ASIDEXAMPLE", "secret/+=", "token/+==")
PLACES = st.sampled_from(
    [
        Where(LASTING),
        Where(PASSING, "eu-central-1"),
        Where(PASSING, "cn-north-1"),
        Where(PASSING, "us-gov-west-1"),
        Where(LASTING, None, "http://127.0.0.1:4566"),
        Where(PASSING, "ap-southeast-5", "https://s3.example.org:8443"),
        Where(LASTING, "us-east-1", "https://minio.internal"),
    ]
)
SOME = Credentials("a", "b")
UNLIKE = {"amz-sdk-invocation-id", "user-agent"}  # headers that differ between requests


def use(env: pytest.MonkeyPatch, credentials: Credentials) -> None:
    env.setenv("AWS_ACCESS_KEY_ID", credentials.access_key)
    env.setenv("AWS_SECRET_ACCESS_KEY", credentials.secret_key)
    if credentials.token:
        env.setenv("AWS_SESSION_TOKEN", credentials.token)
    else:
        env.delenv("AWS_SESSION_TOKEN", raising=False)


@contextmanager
def environment(credentials: Credentials, endpoint_url: str | None = None) -> Iterator[None]:
    """A process's settings: these credentials, and this endpoint for S3."""
    with pytest.MonkeyPatch.context() as env:
        use(env, credentials)
        if endpoint_url:
            env.setenv("AWS_ENDPOINT_URL_S3", endpoint_url)
        yield


@cache
def client_at(where: Where) -> Any:
    """Botocore's own client."""
    return botocore.session.get_session().create_client("s3", region_name=where.region)


@cache
def session_at(where: Where) -> Session:
    """A session; it reads its settings on first use."""
    return Session()


def sent_by_botocore(where: Where, operation: str, arguments: dict[str, Any]) -> Any:
    client = client_at(where)
    requests: list[Any] = []

    def keep(request: Any, **_: Any) -> AWSResponse:
        requests.append(request)
        raise StopIteration

    client.meta.events.register("before-send.s3", keep)
    try:
        with pytest.raises(StopIteration):
            client.get_object(**arguments) if operation == "GetObject" else client.put_object(**arguments)
    finally:
        client.meta.events.unregister("before-send.s3", keep)
    return requests[0]


def plain(headers: Any) -> dict[str, str]:
    texts = {name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in headers.items()}
    return {name: text for name, text in texts.items() if name not in UNLIKE}


def written(operation: str, region: str | None, arguments: dict[str, Any]) -> SignedRequest:
    return asyncio.run(Session().s3_request(operation, arguments, region))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(PLACES, BUCKETS, KEYS, VERSIONS, st.booleans())
def test_get_request_equals_botocores(where: Where, bucket: str, key: str, version: str | None, resumed: bool) -> None:
    arguments = {"Bucket": bucket, "Key": key}
    arguments |= {"VersionId": version} if version else {}
    arguments |= {"IfMatch": '"5eb63bbb"', "Range": "bytes=1000-"} if resumed else {}
    with environment(where.credentials, where.endpoint_url):
        while True:  # until both are signed for the same second
            ours, used = asyncio.run(session_at(where).s3_request("GetObject", arguments, where.region))
            theirs = sent_by_botocore(where, "GetObject", arguments)
            if ours.headers["X-Amz-Date"] == plain(theirs.headers)["x-amz-date"]:
                break
    assert (ours.method, ours.url, ours.body) == ("GET", theirs.url, b"")
    assert plain(ours.headers) == plain(theirs.headers)
    assert used == (where.region or "us-east-1")
    assert f"/{used}/s3/aws4_request" in ours.headers["Authorization"]


def put_by_store(where: Where, bucket: str, key: str, body: bytes) -> Request:
    """The request that puts a reject file, in the session's region."""
    sent: list[Request] = []

    class Stored:
        status = 200
        headers: Any = MappingProxyType({"etag": '"e"'})

        async def read(self, most: int) -> bytes:
            return b""

        def close(self) -> None:
            pass

    async def fetch(request: Request, seconds: float) -> Exchange:
        sent.append(request)
        return Stored()

    asyncio.run(RejectStore(S3(session_at(where), fetch)).put([RejectFile(key, body)], bucket, NEVER))
    (request,) = sent
    return request


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(PLACES, BUCKETS, KEYS, st.binary(max_size=200))
def test_put_request_is_complete_signed_and_has_checksum(where: Where, bucket: str, key: str, body: bytes) -> None:
    where = where._replace(region=None)
    checksum = base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()
    arguments = {"Bucket": bucket, "Key": key, "Body": body, "ContentType": "text/csv; charset=utf-8"}
    with environment(where.credentials, where.endpoint_url):
        while True:
            ours = put_by_store(where, bucket, key, body)
            with_checksum = {**arguments, "ChecksumAlgorithm": "CRC32", "ChecksumCRC32": checksum}
            theirs = sent_by_botocore(where, "PutObject", with_checksum)
            by_default = sent_by_botocore(where, "PutObject", arguments)
            if len({plain(sent.headers)["x-amz-date"] for sent in (ours, theirs, by_default)}) == 1:
                break
    assert (ours.method, ours.url, ours.body) == ("PUT", theirs.url, body)
    # The body is sent at once, without waiting for 100 Continue. The Expect header is not signed.
    assert plain(ours.headers) == {name: text for name, text in plain(theirs.headers).items() if name != "expect"}
    assert ours.headers["x-amz-checksum-crc32"] == checksum
    assert ours.headers["Content-Length"] == str(len(body))
    assert ours.headers["X-Amz-Content-SHA256"] == hashlib.sha256(body).hexdigest()
    assert not {"transfer-encoding", "content-encoding", "x-amz-trailer"} & set(plain(ours.headers))
    if ours.url.startswith("http:"):
        # Without TLS, botocore's default is the same request: no trailing checksum.
        assert plain(by_default.headers)["authorization"] == ours.headers["Authorization"]


@pytest.mark.parametrize(
    ("settings_", "host"),
    [
        ({}, "bucket.s3.eu-west-1.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "bucket.s3.dualstack.eu-west-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:99"}, "127.0.0.1:99/bucket"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:99", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:98"},
            "127.0.0.1:98/bucket",
        ),
    ],
)
def test_settings_of_aws_tools_apply(settings_: dict[str, str], host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SOME)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name, value in settings_.items():
        monkeypatch.setenv(name, value)
    for operation in ("GetObject", "PutObject"):
        request, _ = written(operation, None, {"Bucket": "bucket", "Key": "a b/c.csv"})
        assert request.url.partition("://")[2] == f"{host}/a%20b/c.csv"


def test_changed_credentials_sign_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> list[Request]:
        session, requests = Session(), []
        for credentials in (Credentials("ONE", "1"), Credentials("ONE", "1"), Credentials("TWO", "2", "token")):
            use(monkeypatch, credentials)
            await session.credentials(renew=True)
            requests.append((await session.s3_request("GetObject", {"Bucket": "b", "Key": "k"})).request)
        return requests

    one, again, two = asyncio.run(run())
    assert "Credential=ONE/" in one.headers["Authorization"]
    assert "Credential=ONE/" in again.headers["Authorization"]
    assert "Credential=TWO/" in two.headers["Authorization"]
    assert two.headers["X-Amz-Security-Token"] == "token"
    assert "X-Amz-Security-Token" not in one.headers


@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
@pytest.mark.parametrize(
    ("arguments", "credentials", "endpoint", "said"),
    [
        ({"Bucket": "no bucket"}, SOME, "", "no bucket"),
        ({"Bucket": "files--use1-az4--x-s3"}, SOME, "", "directory buckets"),
        ({"Bucket": "bucket"}, Credentials("a", "b", "token\r\nX-Evil: 1"), "", "line break"),
        ({"Bucket": "bucket"}, SOME, "localhost:4566", "Invalid endpoint: localhost:4566"),
    ],
)
def test_invalid_setting_or_name_is_a_one_line_error(
    operation: str, arguments: dict[str, str], credentials: Credentials, endpoint: str, said: str
) -> None:
    with (
        environment(credentials, endpoint),
        pytest.raises(ServiceError, match=f"^{operation} failed: InvalidParameter.*{said}") as caught,
    ):
        written(operation, None, {**arguments, "Key": "k.csv"})
    assert caught.value.verdict is Verdict.FATAL
    assert "Evil" not in str(caught.value)
