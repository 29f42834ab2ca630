"""Items of a stack's table by their keys, however slowly the table lets them be read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from engine.cli.errors import CliError
from engine.cli.proof import proof_attribute
from engine.item_keys import Key, wire_key
from engine.schema.model import Schema

_THROTTLED = ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")

_MAX_KEYS = 100
"""BatchGetItem quota: at most 100 keys in one call."""

_READS_AT_ONCE = 8

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two reads that the table throttles: each is twice as long as the last one."""

_PATIENCE = 60.0
"""Seconds without any item read, after which reading is given up."""


class TableItems:
    """Reads one table with a client that the caller opens and closes."""

    def __init__(self, dynamodb: Any, table: str, schema: Schema) -> None:
        self._dynamodb, self._table, self._schema = dynamodb, table, schema
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)

    async def whole(self, keys: Iterable[Key]) -> list[dict[str, Any]]:
        """Return the items with these keys, each once.

        Raises `CliError` if the table's key is not that of the schema, or reads are throttled without end.
        """
        return await self._read(keys)

    async def proofs(self, keys: Iterable[Key]) -> list[dict[str, Any]]:
        """Return the items with these keys, but of each only the key and the proof attribute. Raises as `whole`."""
        wanted = dict.fromkeys(filter(None, (*self._schema.keys, proof_attribute(self._schema))))
        names = {f"#{i}": name for i, name in enumerate(wanted)}
        return await self._read(keys, ProjectionExpression=", ".join(names), ExpressionAttributeNames=names)

    async def _read(self, keys: Iterable[Key], **projection: Any) -> list[dict[str, Any]]:
        wire = [wire_key(key, self._schema) for key in dict.fromkeys(keys)]
        requests = [
            {"Keys": wire[start : start + _MAX_KEYS], "ConsistentRead": True, **projection}
            for start in range(0, len(wire), _MAX_KEYS)
        ]
        return [item for found in await asyncio.gather(*map(self._answers, requests)) for item in found]

    async def _answers(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        clock = asyncio.get_running_loop().time
        progressed, pause = clock(), 0.0
        async with self._reads:
            while request["Keys"]:
                asked = len(request["Keys"])
                reply = await self._batch(request)
                found += reply["Responses"].get(self._table, [])
                request = reply.get("UnprocessedKeys", {}).get(self._table, {"Keys": []})
                if len(request["Keys"]) < asked:  # a reply has at most 16 MB; the rest can be had at once
                    progressed, pause = clock(), 0.0
                    continue
                if clock() - progressed > _PATIENCE:
                    raise CliError(
                        f"Table {self._table} has throttled reads for {_PATIENCE:,.0f} s: raise its read capacity, and "
                        "run the command again."
                    )
                pause = min(max(_FIRST_PAUSE, 2 * pause), _LONGEST_PAUSE)
                await asyncio.sleep(pause)
        return found

    async def _batch(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = await self._dynamodb.batch_get_item(RequestItems={self._table: request})
        except ClientError as error:
            code = error.response["Error"].get("Code")
            if code in _THROTTLED:
                return {"Responses": {}, "UnprocessedKeys": {self._table: request}}
            if code == "ValidationException":
                raise CliError(
                    f"The key of table {self._table} is not that of schema {self._schema.source} "
                    f"({', '.join(self._schema.keys)}): name the stack's own schema file with --schema."
                ) from None
            raise
        return reply
