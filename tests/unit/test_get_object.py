"""Requests for objects: botocore's own client is the oracle, caught just before it sends."""

import asyncio
import datetime
from typing import Any
from unittest.mock import patch

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.aws.session import Session, SignedRequest
from engine.aws.sign import Credentials
from engine.errors import ServiceError, Verdict

KEYS = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=60)
VERSIONS = st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9-]{1,40}[a-z0-9]", fullmatch=True) | st.sampled_from(["with.dots", "a.b.c"])
REGIONS = st.sampled_from([None, "us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "ap-southeast-5"])
ENDPOINTS = st.sampled_from([None, "http://127.0.0.1:4566", "https://s3.example.org:8443", "https://minio.internal"])
SECRETS = st.builds(Credentials, st.just("AKIDEXAMPLE"), st.just("secret/+="), st.sampled_from([None, "token/+=="]))
MOMENT = datetime.datetime(2026, 4, 4, 0, 0, 1)
# What differs with each request.
PASSING = {"amz-sdk-invocation-id", "user-agent"}


def sent_by_botocore(
    credentials: Credentials, region: str | None, endpoint_url: str | None, arguments: dict[str, str]
) -> Any:
    client: Any = botocore.session.get_session().create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint_url,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
    )
    requests: list[Any] = []

    def keep(request: Any, **_: Any) -> AWSResponse:
        requests.append(request)
        raise StopIteration

    client.meta.events.register("before-send.s3.GetObject", keep)
    with pytest.raises(StopIteration):
        client.get_object(**arguments)
    return requests[0]


def plain(headers: Any) -> dict[str, str]:
    texts = {name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in headers.items()}
    return {name: text for name, text in texts.items() if name not in PASSING}


def written(credentials: Credentials, region: str | None, arguments: dict[str, str]) -> SignedRequest:
    async def give(self: Session, renew: bool = False) -> Credentials:
        return credentials

    with patch.object(Session, "credentials", give):
        return asyncio.run(Session().get_object(arguments, region))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(BUCKETS, KEYS, VERSIONS, st.booleans(), REGIONS, ENDPOINTS, SECRETS)
def test_a_request_is_the_one_that_botocore_sends(
    bucket: str,
    key: str,
    version: str | None,
    resumed: bool,
    region: str | None,
    endpoint_url: str | None,
    credentials: Credentials,
) -> None:
    arguments = {"Bucket": bucket, "Key": key}
    arguments |= {"VersionId": version} if version else {}
    arguments |= {"IfMatch": '"5eb63bbb"', "Range": "bytes=1000-"} if resumed else {}
    with (
        pytest.MonkeyPatch.context() as env,
        patch("botocore.auth.get_current_datetime", lambda: MOMENT),
    ):
        if endpoint_url:
            env.setenv("AWS_ENDPOINT_URL_S3", endpoint_url)
        ours = written(credentials, region, arguments)
        theirs = sent_by_botocore(credentials, region, endpoint_url, arguments)
    assert ours.url == theirs.url
    assert plain(ours.headers) == plain(theirs.headers)
    assert ours.region == (region or "us-east-1")
    assert f"/{ours.region}/s3/aws4_request" in ours.headers["Authorization"]


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
def test_the_settings_of_aws_tools_hold(settings_: dict[str, str], host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name, value in settings_.items():
        monkeypatch.setenv(name, value)
    request = written(Credentials("a", "b"), None, {"Bucket": "bucket", "Key": "a b/c.csv"})
    assert request.url.partition("://")[2] == f"{host}/a%20b/c.csv"


def test_other_credentials_sign_the_next_request() -> None:
    session = Session()
    found = [Credentials("ONE", "1"), Credentials("ONE", "1"), Credentials("TWO", "2", "token")]

    async def give(self: Session, renew: bool = False) -> Credentials:
        return found.pop(0)

    async def run() -> list[SignedRequest]:
        return [await session.get_object({"Bucket": "b", "Key": "k"}) for _ in range(3)]

    with patch.object(Session, "credentials", give):
        one, again, two = asyncio.run(run())
    assert "Credential=ONE/" in one.headers["Authorization"]
    assert "Credential=ONE/" in again.headers["Authorization"]
    assert "Credential=TWO/" in two.headers["Authorization"]
    assert two.headers["X-Amz-Security-Token"] == "token"
    assert "X-Amz-Security-Token" not in one.headers


@pytest.mark.parametrize(
    ("arguments", "credentials", "endpoint", "said"),
    [
        ({"Bucket": "no bucket"}, Credentials("a", "b"), "", "no bucket"),
        ({"Bucket": "files--use1-az4--x-s3"}, Credentials("a", "b"), "", "directory buckets"),
        ({"Bucket": "bucket"}, Credentials("a", "b", "token\r\nX-Evil: 1"), "", "line break"),
        ({"Bucket": "bucket"}, Credentials("a", "b"), "localhost:4566", "Invalid endpoint: localhost:4566"),
    ],
)
def test_what_no_request_can_be_made_of_is_told_in_one_line(
    arguments: dict[str, str], credentials: Credentials, endpoint: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    with pytest.raises(ServiceError, match=f"^GetObject failed: InvalidParameter.*{said}") as caught:
        written(credentials, None, {**arguments, "Key": "k.csv"})
    assert caught.value.verdict is Verdict.FATAL
    assert "Evil" not in str(caught.value)
