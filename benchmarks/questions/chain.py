"""S3 bytes to DynamoDB acknowledgements: producer, queue, worker."""

from __future__ import annotations

from benchmarks import data, rivals
from benchmarks.model import Contender, Entry, Json, Options, Question, Usual
from benchmarks.questions.common import MONEY, RATES


def _entry(contender: Contender, rows: int, per_message: int, options: Options, spec: Json | None = None) -> Entry:
    size = options.row_bytes
    batch = data.sqs_event(10, per_message, row_bytes=size)
    batches = -(-rows // (10 * per_message))
    return Entry(
        contender=contender,
        label=f"{contender.label} ({rows:,} rows)",
        spec={"task": "chain", **(spec or {})},
        event=data.s3_event(data.key_of(rows, size)),
        stand_in={"keep_messages": True},
        records_per_call=rows,
        counted="rows_written",
        distinct=2 * rows,  # in the queue, and in the table
        usual=Usual(invocations=1 + batches, received_units=batches * data.received_units(batch)),
        cost=True,
    )


def entries(options: Options) -> list[Entry]:
    """Return both functions of each, one after the other, with a queue that keeps the messages."""
    return [
        _entry(rivals.MILLPOND, 100_000, 500, options),
        _entry(rivals.BATCH_WRITER, 10_000, 1, options, {"way": "batch_writer"}),
        _entry(rivals.NODE, 5_000, 1, options),
    ]


QUESTION = Question(
    name="chain",
    title="Whole chain: S3 bytes to DynamoDB acknowledgements",
    about="Producer, then worker, until the queue is empty. Time and processor are those within the two functions; "
    "receiving and deleting, which Lambda does by itself, is paid for but not timed.",
    unit="records",
    entries=entries,
    columns=RATES + MONEY,
    chart="per_cpu_second",
    compare="per_cpu_second",
)
