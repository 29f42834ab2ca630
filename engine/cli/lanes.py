"""Lanes for commands that make very many calls, where a general client takes most of the time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import getproxies

from engine.aws.lane import Lane
from engine.aws.session import Session
from engine.aws.transports import open_transport
from engine.aws.types import Operation


@asynccontextmanager
async def open_lanes(client: Any, *operations: Operation) -> AsyncIterator[list[Lane]]:
    """Open the lanes of operations, to where a general `client` of their service sends."""
    session = Session()
    # People may be behind a proxy, which only the general transport supports.
    async with open_transport("aiohttp" if getproxies() else "lean", session) as transport:
        url, region = client.meta.endpoint_url, client.meta.region_name
        yield [
            Lane(operation, transport, session.credentials, endpoint_url=url, region=region) for operation in operations
        ]
