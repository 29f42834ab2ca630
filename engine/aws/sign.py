"""AWS Signature Version 4 for the hot calls: POST to the root path, no query string, always the same few headers.

Pure: time and credentials are arguments. The signing key, costly to derive and valid for a day, is cached.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple


class Credentials(NamedTuple):
    """Keys that sign a request; `token` is the session token of temporary credentials."""

    access_key: str
    secret_key: str
    token: str | None = None


class Signer:
    """Signs POST requests to the root of one host, for one service in one region."""

    def __init__(self, service: str, region: str, host: str, content_type: str, target: str) -> None:
        self._service, self._region = service, region
        self._headers = {"Content-Type": content_type, "X-Amz-Target": target}
        # Canonical headers are sorted by name: content-type, host, x-amz-date, x-amz-security-token, x-amz-target.
        self._before_date = f"POST\n/\n\ncontent-type:{content_type}\nhost:{host}\nx-amz-date:"
        self._target_line = f"x-amz-target:{target}\n\n"
        self._key_of: tuple[str, str] | None = None
        self._key = b""
        self._scope = ""

    def headers(self, body: bytes, credentials: Credentials, amz_date: str) -> dict[str, str]:
        """Return the headers, signature included, for sending `body` at `amz_date` (UTC, ``20260404T000001Z``)."""
        access_key, secret_key, token = credentials
        self._use_key(secret_key, amz_date[:8])
        if token:
            signed = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
            middle = f"{amz_date}\nx-amz-security-token:{token}\n{self._target_line}"
        else:
            signed = "content-type;host;x-amz-date;x-amz-target"
            middle = f"{amz_date}\n{self._target_line}"
        payload_hash = hashlib.sha256(body).hexdigest()
        canonical = f"{self._before_date}{middle}{signed}\n{payload_hash}"
        canonical_hash = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{amz_date}\n{self._scope}\n{canonical_hash}"
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        headers = {
            **self._headers,
            "X-Amz-Date": amz_date,
            "Authorization": (
                f"AWS4-HMAC-SHA256 Credential={access_key}/{self._scope}, SignedHeaders={signed}, Signature={signature}"
            ),
        }
        if token:
            headers["X-Amz-Security-Token"] = token
        return headers

    def _use_key(self, secret_key: str, day: str) -> None:
        if self._key_of == (secret_key, day):
            return
        key = b"AWS4" + secret_key.encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key, self._key_of = key, (secret_key, day)
        self._scope = f"{day}/{self._region}/{self._service}/aws4_request"
