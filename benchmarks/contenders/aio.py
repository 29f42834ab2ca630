"""aioboto3's batch_writer, one writer for each message of the event, all at once.

Settings that help: uvloop, parameter validation off, 50 connections, one client for the life of the process. A single
writer would send its batches one after the other.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from benchmarks.contenders.usual import items_of
from benchmarks.contenders.window import measure, read_json, read_spec, settle_collector

CONNECTIONS = 50


async def _write(table: Any, body: str) -> None:
    async with table.batch_writer() as writer:
        for item in items_of(body):
            await writer.put_item(Item=item)


def main() -> None:
    """Do the task."""
    settle_collector()
    spec = read_spec()
    import aioboto3
    import uvloop
    from aiobotocore.config import AioConfig

    event = read_json(spec["event"])
    config = AioConfig(parameter_validation=False, max_pool_connections=CONNECTIONS)
    loop = uvloop.new_event_loop()

    async def open_table() -> Any:
        resource: Any = aioboto3.Session().resource("dynamodb", config=config)
        return await (await resource.__aenter__()).Table(os.environ["TABLE_NAME"])

    table = loop.run_until_complete(open_table())

    async def handle() -> None:
        async with asyncio.TaskGroup() as tasks:
            for record in event["Records"]:
                tasks.create_task(_write(table, record["body"]))

    def once() -> int:
        loop.run_until_complete(handle())
        return int(spec["records_per_call"])

    measure(spec, once)


if __name__ == "__main__":
    main()
