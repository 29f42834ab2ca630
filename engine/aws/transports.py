"""The choice of transport: the project's own, or aiohttp."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial

from engine.aws.exchange import fetch
from engine.aws.http1 import Pool
from engine.aws.session import Session
from engine.aws.types import Fetch, Reply, Transport


def open_transport(kind: str, using: Session) -> AbstractAsyncContextManager[Transport]:
    """Open a transport for hot calls, ``lean`` or ``aiohttp``.

    Both keep connections alive and check certificates against the authorities that the session trusts.
    """
    if kind == "lean":
        return _lean_transport(using.tls())
    from engine.aws import aiohttp_transport  # importing aiohttp is slow, and few need it

    return aiohttp_transport.transport(using.tls())


def open_fetch(kind: str, using: Session) -> AbstractAsyncContextManager[Fetch]:
    """Open the function that sends requests to S3; see `open_transport`."""
    if kind == "lean":
        return nullcontext(partial(fetch, tls=using.tls()))
    from engine.aws import aiohttp_transport

    return aiohttp_transport.fetch(using.tls())


@asynccontextmanager
async def _lean_transport(tls: ssl.SSLContext) -> AsyncIterator[Transport]:
    """Open the lean transport; see `engine.aws.http1`."""
    pools: dict[str, Pool] = {}

    async def send(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
        pool = pools.get(url)
        if pool is None:
            pool = pools[url] = Pool(url, tls)
        return Reply(*await pool.send(headers, body, seconds))

    try:
        yield send
    finally:
        for pool in pools.values():
            pool.close()
