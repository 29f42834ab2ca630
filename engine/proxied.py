"""The general transport, by aiohttp: it costs more than the lean one and knows proxies (``HTTPS_PROXY``)."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from engine.aws import MAX_CONNECTIONS, Reply, Transport


@asynccontextmanager
async def transport(tls: ssl.SSLContext) -> AsyncIterator[Transport]:
    """Open the transport. https is checked with `tls`."""
    connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=30, ssl=tls)
    skipped = ("Accept", "Accept-Encoding", "User-Agent")
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, skip_auto_headers=skipped, trust_env=True
    ) as http:

        async def send(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
            limit = aiohttp.ClientTimeout(total=seconds)
            try:
                async with http.post(url, data=body, headers=headers, timeout=limit, allow_redirects=False) as reply:
                    return Reply(reply.status, reply.headers, await reply.read())
            except aiohttp.ServerTimeoutError as error:
                raise TimeoutError(str(error)) from error
            except (aiohttp.ClientError, OSError) as error:  # a certificate's is a ValueError as well
                if isinstance(error, TimeoutError):
                    raise
                raise ConnectionError(type(error).__name__) from error
            except ValueError as error:  # such as a password for this host in ~/.netrc, which comes with the proxies
                raise ConnectionError(f"aiohttp refuses to send this: {error}") from error

        yield send
