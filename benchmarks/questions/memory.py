"""Does memory grow with the object?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import data, large, rivals
from benchmarks.model import Entry, Options, Question
from benchmarks.questions.common import producer

CONTENTS = (
    ("users", "gz", "gzip"),
    ("users", "zst", "zstd"),
    ("users", "long.zst", "zstd, window of 8 MiB"),
    ("jsonl", "", "JSON Lines"),
    ("dynamodb", "", "DynamoDB JSON"),
    ("decimals", "", "20 decimal columns"),
)
"""Kind and packing of further objects, and what they are called."""

SCHEMAS = {"decimals": {"SCHEMA": str(Path(data.__file__).with_name("decimals.toml"))}}


def _contents(blocks: int, size: str, **more: Any) -> list[Entry]:
    """Return an entry for each of the further contents, with so many blocks of about 1 MB."""
    return [
        producer(
            rivals.MILLPOND,
            large.rows_of(kind, blocks),
            f"Millpond, {said}, {size}",
            key=large.key_of(kind, blocks, packing),
            env=SCHEMAS.get(kind, {}),
            **more,
        )
        for kind, packing, said in CONTENTS
    ]


def entries(options: Options) -> list[Entry]:
    """Return Millpond for objects of 10 MB to 1 GB, and the others as far as they get in reasonable time."""
    size = options.row_bytes
    once: dict[str, Any] = {"warmup": 0, "repeat": 1, "row_bytes": size}
    return [
        producer(rivals.MILLPOND, 100_000, "Millpond, 10 MB", **once),
        producer(rivals.MILLPOND, 1_000_000, "Millpond, 100 MB", **once),
        producer(rivals.MILLPOND, 10_000_000, "Millpond, 1 GB", **once, rounds=1),
        *_contents(10, "10 MB", warmup=0, repeat=1),
        *_contents(100, "100 MB", warmup=0, repeat=1, rounds=1),
        *_contents(1_000, "1 GB", warmup=0, repeat=1, rounds=1),
        producer(rivals.BATCH_WRITER, 100_000, "boto3, one message a row, 10 MB", **once, rounds=1),
        producer(rivals.NODE, 20_000, "Node.js, one message a row, 2 MB", **once, rounds=1),
        producer(rivals.NODE, 100_000, "Node.js, one message a row, 10 MB", **once, rounds=1),
    ]


QUESTION = Question(
    name="memory",
    title="Producer's memory against the size of the object",
    about=(
        "The most memory that the process has had (VmHWM), one object in a fresh process. Bytes are those before "
        "compression, of the CSV with the same rows for JSON. The stand-in compresses while it sends, so that rates of "
        "compressed objects are its own."
    ),
    unit="records",
    entries=entries,
    columns=(("peak_mb", "peak MB"), ("per_second", "records/s")),
    chart="peak_mb",
)
