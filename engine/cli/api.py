"""Signed requests to the query API, which requires IAM authorization by default."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import NoCredentialsError

from engine.cli.errors import CliError

_TIMEOUT_SECONDS = 30
"""API Gateway itself gives up after 29."""


async def get(url: str, *, region: str | None = None) -> Any:
    """Return the JSON answer to a GET of `url`. Raises `CliError` if there is no answer, or its status is not 200."""
    session = botocore.session.Session()
    credentials = await asyncio.to_thread(session.get_credentials)
    if credentials is None:
        raise NoCredentialsError
    request = AWSRequest("GET", url)
    SigV4Auth(credentials, "execute-api", region or session.get_config_variable("region")).add_auth(request)
    status, text = await asyncio.to_thread(_fetch, url, dict(request.headers))
    if status != 200:
        raise CliError(f"GET {url} answered {status}: {text[:200]}")
    return json.loads(text)


def _fetch(url: str, headers: Mapping[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - the stack's own URL
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as reply:  # noqa: S310 - the same
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode("utf-8", "replace")
    except OSError as error:
        raise CliError(f"GET {url} was not answered: {error}") from error
