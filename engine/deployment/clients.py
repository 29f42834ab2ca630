"""Ordinary AWS clients, by aioboto3, for tools: the functions use none.

A module of its own, since importing aioboto3 takes longer than all else that a worker needs to start.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig

MAX_CONNECTIONS = 160
"""Connections that a client keeps at most."""


def client(
    service: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    using: aioboto3.Session | None = None,
    attempts: int = 5,
    read_timeout: float = 30,
) -> AbstractAsyncContextManager[Any]:
    """Return an aiobotocore client for `service`, to be entered with ``async with``.

    Its parameters are not validated (the service does that). A failed call is tried `attempts` times in all, by
    botocore's standard mode; an answer may take `read_timeout` seconds. Clients made `using` one session read each
    service's model only once.
    """
    config = AioConfig(
        retries={"mode": "standard", "total_max_attempts": attempts},
        parameter_validation=False,
        connect_timeout=5,
        read_timeout=read_timeout,
        max_pool_connections=MAX_CONNECTIONS,
    )
    chosen = using or aioboto3.Session()
    opened: AbstractAsyncContextManager[Any] = chosen.client(
        service, region_name=region, endpoint_url=endpoint_url, config=config
    )
    return opened
