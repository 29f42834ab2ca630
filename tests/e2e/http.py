"""Plain HTTP to the query API, as curl would do it."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from tests.e2e.conftest import LocalStack


async def get(stack: LocalStack, path: str, method: str = "GET") -> tuple[int, Mapping[str, str], Any]:
    """Status, headers and JSON document of a request to the API; None without a body."""

    def send() -> tuple[int, Mapping[str, str], Any]:
        request = urllib.request.Request(stack.outputs.api_url + path, method=method)  # noqa: S310 - our own URL
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
                return reply.status, dict(reply.headers), json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), json.loads(error.read() or b"null")

    return await asyncio.to_thread(send)
