"""What several questions share: entries for workers and producers."""

from __future__ import annotations

from typing import Any

from benchmarks import data
from benchmarks.model import Contender, Entry, Json, Usual

MESSAGES = 10
"""Messages of an SQS batch: what an event source mapping hands over by default."""

PER_MESSAGE = 500

RATES = (
    ("per_cpu_second", "records per CPU-second"),
    ("per_second", "records/s"),
    ("peak_mb", "peak MB"),
    ("calls", "API calls per million"),
)
MONEY = (("billed_sqs", "SQS requests per million"), ("cents", "cents per million, without DynamoDB's writes"))


def worker(
    contender: Contender,
    label: str = "",
    *,
    messages: int = MESSAGES,
    per_message: int = PER_MESSAGE,
    row_bytes: int = data.DEFAULT_ROW_BYTES,
    spec: Json | None = None,
    **more: Any,
) -> Entry:
    """Return an entry for a worker, fed the same SQS event again and again."""
    event = data.sqs_event(messages, per_message, row_bytes=row_bytes)
    rows = messages * per_message
    return Entry(
        contender=contender,
        label=label or contender.label,
        spec={"task": "work", **(spec or {})},
        event=event,
        records_per_call=rows,
        counted="rows_written",
        distinct=rows,
        usual=Usual(received_units=data.received_units(event)),
        cost=True,
        **{"warmup": 2, **more},
    )


def producer(
    contender: Contender,
    rows: int,
    label: str = "",
    *,
    row_bytes: int = data.DEFAULT_ROW_BYTES,
    key: str = "",
    spec: Json | None = None,
    **more: Any,
) -> Entry:
    """Return an entry for a producer, given the same object again and again: `rows` users, or what `key` names."""
    return Entry(
        contender=contender,
        label=label or contender.label,
        spec={"task": "produce", **(spec or {})},
        event=data.s3_event(key or data.key_of(rows, row_bytes)),
        records_per_call=rows,
        counted="records",
        distinct=rows,
        usual=Usual(),
        cost=True,
        **{"warmup": 1, **more},
    )
