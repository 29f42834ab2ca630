"""S3 bytes to SQS acknowledgements."""

from __future__ import annotations

from typing import Any

from benchmarks import rivals
from benchmarks.model import Entry, Options, Question
from benchmarks.questions.common import MONEY, RATES, producer

SLOW_ROWS = 20_000
"""Rows for those that take seconds for them, and whose memory grows with the object."""


def entries(options: Options) -> list[Entry]:
    """Return the producers: Millpond for 10 MB, 100 MB and 1 GB, the others for 2 MB."""
    size = options.row_bytes
    if options.quick:
        once: dict[str, Any] = {"row_bytes": size, "repeat": 1}
        return [
            producer(rivals.MILLPOND, 1_000_000, "Millpond (100 MB)", row_bytes=size, repeat=1),
            producer(
                rivals.MILLPOND,
                10_000,
                "Millpond, one message a row (1 MB)",
                env={"RECORDS_PER_MESSAGE": "1"},
                **once,
            ),
            producer(rivals.BATCH_WRITER, 5_000, "boto3, one message a row, 10 a call (0.5 MB)", **once),
            producer(rivals.NODE, 2_500, "Node.js, one SendMessage a row (0.25 MB)", **once),
        ]
    return [
        producer(rivals.MILLPOND, 10_000_000, "Millpond (1 GB)", row_bytes=size, repeat=1, warmup=0),
        producer(rivals.MILLPOND, 1_000_000, "Millpond (100 MB)", row_bytes=size),
        producer(rivals.MILLPOND, 100_000, "Millpond (10 MB)", row_bytes=size),
        producer(
            rivals.MILLPOND,
            100_000,
            "Millpond, one message a row (10 MB)",
            row_bytes=size,
            env={"RECORDS_PER_MESSAGE": "1"},
        ),
        producer(rivals.BATCH_WRITER, SLOW_ROWS, "boto3, one message a row, 10 a call (2 MB)", row_bytes=size),
        producer(rivals.NODE, SLOW_ROWS, "Node.js, one SendMessage a row (2 MB)", row_bytes=size, share=2),
        producer(
            rivals.NODE,
            SLOW_ROWS,
            "Node.js, one message a row, 10 a call (2 MB)",
            row_bytes=size,
            env={"SEND_BATCHES": "1"},
        ),
    ]


QUESTION = Question(
    name="produce",
    title="Producer: S3 bytes to SQS acknowledgements",
    about="An object is read, checked, packed and sent; a call ends when SQS has acknowledged every message.",
    unit="records",
    entries=entries,
    columns=RATES + MONEY,
    chart="per_cpu_second",
    compare="per_cpu_second",
    quick=True,
)
