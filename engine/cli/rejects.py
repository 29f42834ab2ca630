"""Read back the rows that could not be written, from the CSV files in which they lie."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One rejected row: its number in the file (from 1), the byte offset, why, and its original text."""

    row: int
    offset: int
    reason: str
    record: str


async def read_rejects(s3: Any, bucket: str, prefix: str) -> tuple[list[str], list[RejectedRow]]:
    """All rejects under `prefix` in the order of their rows, and the keys of the files that hold them."""
    keys: list[str] = []
    rows: list[RejectedRow] = []
    async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        keys += [entry["Key"] for entry in page.get("Contents", []) if entry["Key"].endswith(".csv")]
    for key in keys:
        reply = await s3.get_object(Bucket=bucket, Key=key)
        text = (await reply["Body"].read()).decode("utf-8", "replace")
        rows += [
            RejectedRow(int(line["row"]), int(line["offset"]), line["reason"], line["record"])
            for line in csv.DictReader(io.StringIO(text, newline=""))
        ]
    return keys, sorted(rows, key=lambda reject: reject.row)
