"""Read back the rows that could not be written, from the CSV files where they are stored."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from engine import rejects
from engine.reading.block import Reject


async def read_rejects(s3: Any, bucket: str, prefix: str) -> tuple[list[str], list[Reject]]:
    """Return the keys of the files of rejects under `prefix`, and all their rejects in the order of their rows.

    Raises `BadFile` for a file that does not hold rejects.
    """
    keys: list[str] = []
    found: list[Reject] = []
    async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        keys += [entry["Key"] for entry in page.get("Contents", []) if entry["Key"].endswith(".csv")]
    for key in keys:
        reply = await s3.get_object(Bucket=bucket, Key=key)
        found += rejects.read_rejects(await reply["Body"].read())
    return keys, sorted(found, key=attrgetter("row"))
