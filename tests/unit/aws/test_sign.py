"""Signatures: botocore's own are the oracle."""

import datetime
import string
from unittest.mock import patch

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.aws.sign import Credentials, Signer

PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
ACCESS_KEYS = st.text(string.ascii_uppercase + string.digits, min_size=16, max_size=16).map("AKIA".__add__)
CREDENTIALS = st.builds(Credentials, ACCESS_KEYS, PRINTABLE, st.none() | PRINTABLE)
HOSTS = st.sampled_from(["dynamodb.eu-west-1.amazonaws.com", "sqs.us-gov-west-1.amazonaws.com", "127.0.0.1:4566"])
SERVICES = st.sampled_from(["dynamodb", "sqs"])
REGIONS = st.sampled_from(["us-east-1", "eu-central-1", "ap-southeast-4", "cn-north-1"])
MOMENTS = st.datetimes(datetime.datetime(2020, 1, 1), datetime.datetime(2099, 12, 31)) | st.sampled_from(
    [datetime.datetime(2026, 12, 31, 23, 59, 59), datetime.datetime(2027, 1, 1)]
)
CONTENT_TYPE, TARGET = "application/x-amz-json-1.0", "DynamoDB_20120810.BatchWriteItem"


def signed_by_botocore(
    service: str, region: str, host: str, body: bytes, credentials: Credentials, moment: datetime.datetime
) -> dict[str, str]:
    request = AWSRequest(
        method="POST",
        url=f"https://{host}/",
        headers={"Content-Type": CONTENT_TYPE, "X-Amz-Target": TARGET},
        data=body,
    )
    auth = botocore.auth.SigV4Auth(BotoCredentials(*credentials), service, region)
    with patch.object(botocore.auth, "get_current_datetime", lambda: moment):
        auth.add_auth(request)
    return {name.lower(): str(value) for name, value in request.headers.items()}


def amz_date(moment: datetime.datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%SZ")


@settings(max_examples=60)
@given(SERVICES, REGIONS, HOSTS, st.binary(max_size=200), CREDENTIALS, MOMENTS)
def test_signatures_equal_botocores(
    service: str, region: str, host: str, body: bytes, credentials: Credentials, moment: datetime.datetime
) -> None:
    signer = Signer(service, region, host, CONTENT_TYPE, TARGET)
    headers = signer.headers(body, credentials, amz_date(moment))
    assert {name.lower(): value for name, value in headers.items()} == signed_by_botocore(
        service, region, host, body, credentials, moment
    )


@given(st.lists(st.tuples(st.binary(max_size=20), CREDENTIALS, MOMENTS), min_size=2, max_size=6))
def test_one_signer_signs_for_any_day_and_credentials(
    calls: list[tuple[bytes, Credentials, datetime.datetime]],
) -> None:
    signer = Signer("dynamodb", "us-east-1", "h:1", CONTENT_TYPE, TARGET)
    for body, credentials, moment in [*calls, *calls[::-1]]:
        fresh = Signer("dynamodb", "us-east-1", "h:1", CONTENT_TYPE, TARGET)
        expected = fresh.headers(body, credentials, amz_date(moment))
        assert signer.headers(body, credentials, amz_date(moment)) == expected


@pytest.mark.parametrize("change", ["secret_key", "token", "access_key"])
def test_new_credentials_on_the_same_day_change_the_signature(change: str) -> None:
    signer = Signer("sqs", "us-east-1", "h", CONTENT_TYPE, TARGET)
    old = Credentials("AKIA", "secret", "token")
    new = old._replace(**{change: "other"})
    moment = datetime.datetime(2026, 4, 4)
    signer.headers(b"x", old, amz_date(moment))
    headers = signer.headers(b"x", new, amz_date(moment))
    assert headers["Authorization"] == signed_by_botocore("sqs", "us-east-1", "h", b"x", new, moment)["authorization"]
