"""Is a request signed as AWS demands it? botocore's own signer decides.

The canonical request is built anew from what came over the wire, so nothing of the client's code is trusted.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS_KEY = "bench"
"""Access keys that begin so are known, and all have the same secret; what follows tells workers apart."""
SECRET_KEY = "bench-secret"
REGION = "us-east-1"

MAX_SKEW = 900
"""Seconds by which the date of a request may differ from now."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8})/([a-z0-9-]+)/([a-z0-9]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_UNHASHED = ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
_STAMP = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_CREDENTIAL = re.compile(rb"Credential=([^/]+)/")


def access_key_of(head: bytes) -> str:
    """Return the access key that a request names, unchecked; empty if it names none."""
    found = _CREDENTIAL.search(head)
    return found[1].decode() if found else ""


def fault_of(head: bytes, body: bytes, scheme: str, now: float) -> str | None:
    """Return what is wrong with the signature of a request, given as its head and body; None if it is right."""
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = request_line.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None:
        return "there is no Authorization of AWS4-HMAC-SHA256"
    access_key, day, region, service, names, signature = found.groups()
    if not access_key.startswith(ACCESS_KEY):
        return f"the access key {access_key!r} is unknown"
    stamp = headers.get("x-amz-date", "")
    sent = _time_of(stamp)
    if sent is None:
        return "X-Amz-Date is missing or wrong"
    if stamp[:8] != day or abs(now - sent) > MAX_SKEW:
        return "the date of the signature is not that of now"
    signed = names.split(";")
    required = {"host", "x-amz-date"} | {name for name in headers if name.startswith("x-amz-")} - {"x-amz-user-agent"}
    if missing := sorted(required - set(signed)):
        return f"the header {missing[0]} is not signed"
    if absent := [name for name in signed if name not in headers]:
        return f"the header {absent[0]} is signed but not sent"
    declared = headers.get("x-amz-content-sha256", "")
    unhashed = service == "s3" and declared in _UNHASHED and method in ("GET", "PUT")
    if declared and not unhashed and declared != hashlib.sha256(body).hexdigest():
        return "X-Amz-Content-SHA256 is not the hash of the body"
    wanted = _signature(method, target, {name: headers[name] for name in signed}, body, scheme, region, service)
    return None if wanted == signature else "the signature does not match"


def _time_of(stamp: str) -> float | None:
    """Return the seconds since 1970 of a date such as 20260404T000000Z; None if it is none."""
    found = _STAMP.fullmatch(stamp)  # strptime takes ten times as long
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None


class _Headers(dict[str, str]):
    """As much of an `HTTPMessage` as botocore's signer asks for; making one takes longer than signing."""

    def get_all(self, name: str) -> list[str]:
        return [self[name]]


class _Declared:
    """Signs the headers that the client says it signed, where botocore would choose them."""

    def headers_to_sign(self, request: AWSRequest) -> Any:
        return _Headers({name.lower(): value for name, value in request.headers.items()})


class _Auth(_Declared, SigV4Auth):
    pass


class _S3Auth(_Declared, S3SigV4Auth):
    pass


def _signature(
    method: str, target: str, headers: dict[str, str], body: bytes, scheme: str, region: str, service: str
) -> str:
    path, _, query = target.partition("?")
    kind = _S3Auth if service == "s3" else _Auth
    auth = kind(Credentials(ACCESS_KEY, SECRET_KEY), service, region)
    request = AWSRequest(
        method=method,
        url=f"{scheme}://{headers['host']}{path}",
        params=dict(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        data=body,
    )
    request.context["timestamp"] = headers["x-amz-date"]
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    signature: str = auth.signature(to_sign, request)
    return signature
