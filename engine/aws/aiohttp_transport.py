"""The general transport, built on aiohttp: slower than the lean one, but it supports proxies (``HTTPS_PROXY``)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import yarl

from engine.aws.http1 import CONNECT_SECONDS, MAX_BODY_BYTES
from engine.aws.types import Exchange, Fetch, Headers, Reply, Request, Transport

MAX_CONNECTIONS = 160
"""Maximum number of connections; each `engine.flow.gate.Gate` bounds its calls in flight."""


def _session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    """Return a session that adds no headers, keeps no cookies, and checks https certificates with `tls`."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=30, ssl=tls),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        trust_env=True,
    )


@contextmanager
def _faults() -> Iterator[None]:
    """Turn aiohttp's exceptions into `ConnectionError` and `TimeoutError`."""
    try:
        yield
    except aiohttp.ServerTimeoutError as error:
        raise TimeoutError(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:  # certificate errors are ValueErrors too
        if isinstance(error, TimeoutError):
            raise
        raise ConnectionError(type(error).__name__) from error
    except ValueError as error:  # for instance a password for this host in ~/.netrc
        raise ConnectionError(f"aiohttp refuses to send this: {error}") from error


@asynccontextmanager
async def transport(tls: ssl.SSLContext) -> AsyncIterator[Transport]:
    """Open the transport."""
    async with _session(tls) as http:

        async def send(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
            limit = aiohttp.ClientTimeout(total=seconds)
            with _faults():
                async with http.post(url, data=body, headers=headers, timeout=limit, allow_redirects=False) as reply:
                    return Reply(reply.status, reply.headers, await _body_of(reply))

        yield send


async def _body_of(reply: aiohttp.ClientResponse) -> bytes:
    pieces, size = [], 0
    async for piece in reply.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BODY_BYTES:
            raise ConnectionError("the server sent more than a reply")
    return b"".join(pieces)


class _Exchange:
    def __init__(self, reply: aiohttp.ClientResponse, seconds: float) -> None:
        self._reply, self._seconds = reply, seconds
        self.status: int = reply.status
        self.headers: Headers = reply.headers

    async def read(self, most: int) -> bytes:
        pieces, missing = [], most
        try:
            with _faults():
                async with asyncio.timeout(self._seconds):
                    # aiohttp returns what there is: a body that trickles would never be late.
                    while missing and (piece := await self._reply.content.read(missing)):
                        pieces.append(piece)
                        missing -= len(piece)
        except (TimeoutError, ConnectionError):
            if not pieces:
                raise
            self.close()  # the next read raises
        return b"".join(pieces)

    def close(self) -> None:
        self._reply.close()


@asynccontextmanager
async def fetch(tls: ssl.SSLContext) -> AsyncIterator[Fetch]:
    """Open the function that sends requests to S3."""
    async with _session(tls) as http:
        # aiohttp's own read timeout restarts with each byte.
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)

        async def send(request: Request, seconds: float) -> Exchange:
            url = yarl.URL(request.url, encoded=True)  # exactly as it was signed
            body = request.body or None
            with _faults():
                async with asyncio.timeout(seconds):
                    reply = await http.request(
                        request.method, url, data=body, headers=request.headers, timeout=limit, allow_redirects=False
                    )
            return _Exchange(reply, seconds)

        yield send
