"""Looking at the table and waiting for it, for the end-to-end tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

Items = dict[tuple[str, str], dict[str, Any]]


async def scan(dynamodb: Any, table: str, mail_domain: str) -> Items:
    """All items whose address is of that domain, by key."""
    items: Items = {}
    start: dict[str, Any] = {}
    while True:
        page = await dynamodb.scan(TableName=table, ConsistentRead=True, **start)
        for item in page["Items"]:
            if item["email"]["S"].endswith(f"@{mail_domain}"):
                items[item["email"]["S"], item["createdAt"]["N"]] = item
        if "LastEvaluatedKey" not in page:
            return items
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def without(items: Items, attribute: str) -> Items:
    """The items without one attribute."""
    return {key: {name: value for name, value in item.items() if name != attribute} for key, item in items.items()}


def as_bytes(items: Items) -> bytes:
    """The items as one text, in the order of their keys, down to the last digit."""
    return json.dumps([items[key] for key in sorted(items)], sort_keys=True).encode()


async def eventually(look: Callable[[], Awaitable[bool]], what: str, seconds: float = 60) -> None:
    """Wait until `look` says yes; fail with `what` after so many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not await look():
        assert loop.time() < end, f"waited {seconds:.0f} s for {what}"
        await asyncio.sleep(0.2)
