"""SQS event to DynamoDB acknowledgements."""

from __future__ import annotations

from pathlib import Path

from benchmarks import data, rivals
from benchmarks.model import Entry, Options, Question
from benchmarks.questions.common import MONEY, RATES, worker

NEWEST_ENV = {"SCHEMA": str(Path(data.__file__).with_name("newest.toml")), "TABLE_NAME": data.NEWEST_TABLE}
"""One conditional PutItem for each row instead of a BatchWriteItem for 25."""


def entries(options: Options) -> list[Entry]:
    """Return the workers; all but one get the same 10 packed messages of 500 rows."""
    size = options.row_bytes
    if options.quick:
        return [
            worker(rivals.MILLPOND, row_bytes=size),
            worker(rivals.BATCH_WRITER, row_bytes=size, spec={"way": "batch_writer"}, warmup=1),
            worker(rivals.AIOBOTO3, row_bytes=size, warmup=1),
            worker(rivals.GO, row_bytes=size, env=rivals.GO_ENV),
        ]
    return [
        worker(rivals.MILLPOND, row_bytes=size),
        worker(rivals.MILLPOND, "Millpond over aiohttp", row_bytes=size, env={"HTTP_TRANSPORT": "aiohttp"}),
        worker(rivals.MILLPOND, 'Millpond, conflict = "newest"', row_bytes=size, env=NEWEST_ENV),
        worker(rivals.GO, row_bytes=size, env=rivals.GO_ENV),
        worker(rivals.THREADS, row_bytes=size, spec={"way": "threads"}),
        worker(rivals.BATCH_WRITER, row_bytes=size, spec={"way": "batch_writer"}),
        worker(rivals.POWERTOOLS, row_bytes=size, spec={"way": "powertools"}),
        worker(rivals.AIOBOTO3, row_bytes=size),
        worker(rivals.NODE, "Node.js, packed messages", row_bytes=size, env={"LANES": "32"}),
        worker(rivals.NODE, "Node.js as in guides, one message a row", row_bytes=size, per_message=1, warmup=100),
    ]


def over_tls(options: Options) -> list[Entry]:
    """Return workers over HTTPS, and Millpond without it to compare."""
    size = options.row_bytes
    return [
        worker(rivals.MILLPOND, "Millpond, HTTPS", row_bytes=size, tls=True),
        worker(rivals.MILLPOND, "Millpond, HTTP", row_bytes=size),
        worker(rivals.GO, "Go, HTTPS", row_bytes=size, env=rivals.GO_ENV, tls=True),
        worker(rivals.BATCH_WRITER, "boto3, HTTPS", row_bytes=size, spec={"way": "batch_writer"}, tls=True),
    ]


QUESTION = Question(
    name="work",
    title="Worker: SQS event to DynamoDB acknowledgements",
    about="An event of 10 messages goes to the handler again and again; each call ends when every row is acknowledged.",
    unit="records",
    entries=entries,
    columns=RATES + MONEY,
    chart="per_cpu_second",
    compare="per_cpu_second",
    quick=True,
)

TLS = Question(
    name="work-tls",
    title="Worker over HTTPS",
    about="The same with TLS and checked certificates, as in production.",
    unit="records",
    entries=over_tls,
    columns=RATES,
    chart="per_cpu_second",
    compare="per_cpu_second",
)
