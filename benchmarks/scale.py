"""A model of one huge object on AWS: which quota binds first, how long it takes, what it costs. Pure.

``python -m benchmarks.scale`` prints the tables that docs/scale.md has. It multiplies figures that were measured on one
machine by what AWS allows; nothing of it was run on AWS.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.figures import short
from benchmarks.prices import Usage, dollars_per_million
from engine.prices import USD

OBJECT_BYTES = 100_000_000_000
ROW_BYTES = 100
ROWS = OBJECT_BYTES // ROW_BYTES
SPAN_BYTES = 1_073_741_824
ROWS_PER_MESSAGE = 500
PRODUCERS = (1, 2, 4, 8, 16, 32, 64)
WRITE_UNITS = (40_000, 100_000, 250_000, 500_000, 1_000_000)
"""Write units a second of the table; a row of up to 1 KB takes one."""

MB = 1e6


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one core; each is stated in docs/scale.md with where it comes from."""

    scan_mb: float = 221.0
    """MB per CPU-second of a producer that scans: S3's bytes, their checksum, and the counting."""
    producer_rows: float = 285_000.0
    """Rows per CPU-second of a producer that reads a span of a quoted file."""
    worker_rows: float = 57_000.0
    """Rows a second of one worker, where each call takes 10 ms in the median and 50 ms at p99."""
    tls: float = 0.77
    """Of a rate without TLS, what is left with it."""
    sqs_requests: float = 3_800.0
    """Per million rows: sent, received and deleted."""
    ledger: float = 0.00023
    """Write units of the ledger, as a part of those of the rows."""
    start: float = 1.0
    """Seconds from an event or a message to a function that works, about twice the first answer of a new process."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What AWS allows by default. `rows`: how many rows a second that is; None: no rate."""

    name: str
    allows: str
    rows: float | None
    change: str


FUNCTION_MB_PER_SECOND = 75.0
"""Of S3 to one function. AWS states no number: others have measured 400 to 700 Mbit/s."""

TABLE_UNITS, NEW_TABLE_UNITS, PARTITION_UNITS = 40_000, 4_000, 1_000
CONCURRENCY, QUEUE_START, QUEUE_GROWTH = 1_000, 5, 300
IN_FLIGHT, RETENTION_DAYS, PREFIX_GETS = 120_000, 14, 5_500
DOUBLING_SECONDS = 1_800
"""A table on demand takes twice its highest load within so many seconds."""

WORKERS = 10
"""The template's default of WorkerMaximumConcurrency. While messages wait, as many are invoked, needed or not."""


def ranges() -> int:
    """Return how many ranges and spans the object has."""
    return math.ceil(OBJECT_BYTES / SPAN_BYTES)


def quotas(measured: Measured) -> list[Quota]:
    """Return the quotas on the way of a row, the narrowest first."""
    producer = reading_rate(measured)
    found = [
        Quota("DynamoDB, one partition", f"{PARTITION_UNITS:,} write units/s", PARTITION_UNITS, "no: spread the keys"),
        Quota(
            "DynamoDB, a new table on demand",
            f"{NEW_TABLE_UNITS:,} write units/s, doubled each 30 minutes",
            NEW_TABLE_UNITS,
            "yes: warm throughput, before the load",
        ),
        Quota("DynamoDB, a table", f"{TABLE_UNITS:,} write units/s", TABLE_UNITS, "yes: Service Quotas"),
        Quota(
            "Lambda, workers by SQS at first",
            f"{QUEUE_START} at once, {QUEUE_GROWTH} more a minute",
            QUEUE_START * measured.worker_rows,
            "yes: provisioned pollers",
        ),
        Quota(
            "Millpond's workers",
            f"{WORKERS} at once",
            WORKERS * measured.worker_rows,
            "yes: `WorkerMaximumConcurrency`",
        ),
        Quota(
            "S3 to one producer",
            f"about {FUNCTION_MB_PER_SECOND:g} MB/s",
            FUNCTION_MB_PER_SECOND * MB / ROW_BYTES,
            "no: more spans",
        ),
        Quota(
            "Millpond's producers, one for each span",
            f"{ranges()} at once",
            ranges() * producer,
            "yes: `SpanBytes`",
        ),
        Quota(
            "Lambda, concurrency of the account",
            f"{CONCURRENCY:,} at once",
            CONCURRENCY * measured.worker_rows,
            "yes: Service Quotas",
        ),
    ]
    unbounded = [
        Quota("SQS, messages in flight", f"{IN_FLIGHT:,}", None, f"yes; {WORKERS} workers hold about {10 * WORKERS}"),
        Quota(
            "SQS, messages in the queue",
            f"any number, {RETENTION_DAYS} days",
            None,
            f"no; {ROWS // ROWS_PER_MESSAGE:,} in all",
        ),
        Quota("S3, GET requests", f"{PREFIX_GETS:,}/s a prefix", None, f"no; {4 * ranges()} in all"),
    ]
    return [*sorted(found, key=lambda quota: quota.rows or 0), *unbounded]


def scanning_rate(measured: Measured) -> float:
    """Return the MB a second of one producer that scans a range."""
    return min(measured.scan_mb * measured.tls, FUNCTION_MB_PER_SECOND)


def reading_rate(measured: Measured) -> float:
    """Return the rows a second of one producer that reads a span."""
    return min(measured.producer_rows * measured.tls, FUNCTION_MB_PER_SECOND * MB / ROW_BYTES)


@dataclass(frozen=True, slots=True)
class Load:
    """The object with so many producers at once, and so many write units a second."""

    producers: int
    units: int
    measured: Measured

    @property
    def rounds(self) -> int:
        """How many ranges a producer takes, one after the other."""
        return math.ceil(ranges() / self.producers)

    @property
    def scan_seconds(self) -> float:
        """Seconds until it is known where the spans begin; no row is sent before."""
        return self.measured.start + self.rounds * SPAN_BYTES / MB / scanning_rate(self.measured)

    @property
    def read_seconds(self) -> float:
        """Seconds from then until all rows are in the queue."""
        return self.measured.start + self.rounds * SPAN_BYTES / ROW_BYTES / reading_rate(self.measured)

    @property
    def workers(self) -> int:
        """How many workers the table needs; at least two can be invoked."""
        return max(2, math.ceil(self.units / self.measured.worker_rows))

    @property
    def write_seconds(self) -> float:
        """Seconds from the first row in the queue to the last one in the table."""
        return max(ROWS / self.units, self.read_seconds)

    @property
    def seconds(self) -> float:
        """Seconds from the event to the last row in the table."""
        return self.measured.start + self.scan_seconds + self.write_seconds

    @property
    def backlog(self) -> float:
        """The most messages that wait."""
        return max(0.0, ROWS - self.units * self.read_seconds) / ROWS_PER_MESSAGE

    @property
    def binds(self) -> str:
        """What the load waits for most of the time."""
        return "the table" if ROWS / self.units >= self.read_seconds else "the producers"

    def usage(self) -> Usage:
        """Return what is billed; the ledger's write units are among the others."""
        measured = self.measured
        producing = (
            OBJECT_BYTES / MB / scanning_rate(measured) + ROWS / reading_rate(measured) + 2 * ranges() * measured.start
        )
        messages = ROWS / ROWS_PER_MESSAGE
        return Usage(
            ROWS,
            producing + max(WORKERS, self.workers) * self.write_seconds,
            invocations=2 * ranges() + messages / 10,
            sqs_requests=measured.sqs_requests * ROWS / 1e6,
            s3_gets=4 * ranges(),
            write_units=ROWS * (1 + measured.ledger),
        )


def on_demand_dollars(load: Load) -> tuple[float, float]:
    """Return dollars for all but the table, and for the table's writes on demand."""
    dollars = dollars_per_million(load.usage(), machine="arm64")
    return dollars["total"] * ROWS / 1e6, dollars["dynamodb_writes"] * ROWS / 1e6


def provisioned_dollars(load: Load) -> float:
    """Return dollars for the table's writes where they are provisioned, by whole hours."""
    return math.ceil(load.seconds / 3_600) * load.units * USD["dynamodb_write_unit_hour"]


def cold_seconds(units: int) -> float:
    """Return seconds to write all rows to a table on demand that begins as a new one."""
    rate, rows, seconds = NEW_TABLE_UNITS, ROWS, 0
    while rate < units:
        rows, seconds, rate = rows - rate * DOUBLING_SECONDS, seconds + DOUBLING_SECONDS, rate * 2
    return seconds + rows / units


def tables(measured: Measured) -> str:
    """Return the tables of docs/scale.md."""
    cold, warm = _time(cold_seconds(TABLE_UNITS)), _time(ROWS / TABLE_UNITS)
    remark = (
        f"A new table on demand that is not warmed takes {cold} instead of {warm} at {TABLE_UNITS:,} write units/s."
    )
    return "\n\n".join((_quotas(measured), _by_producers(measured), _by_units(measured), remark))


def _quotas(measured: Measured) -> str:
    head = ("quota (default)", "it allows", "rows/s", "can it be raised")
    rows = (
        (each.name, each.allows, short(each.rows) if each.rows else "no rate", each.change) for each in quotas(measured)
    )
    return _table(head, rows)


def _by_producers(measured: Measured) -> str:
    head = ("producers", "scanned", "rows in the queue", "rows in the table", "most messages waiting", "waits for")
    loads = (Load(producers, TABLE_UNITS, measured) for producers in PRODUCERS)
    rows = (
        (
            str(each.producers),
            _time(each.scan_seconds),
            _time(each.scan_seconds + each.read_seconds),
            _time(each.seconds),
            f"{each.backlog / 1e6:.1f} million",
            each.binds,
        )
        for each in loads
    )
    return _table(head, rows)


def _by_units(measured: Measured) -> str:
    head = ("write units/s", "rows in the table", "workers needed", "waits for", "on demand", "provisioned", "all else")
    loads = (Load(PRODUCERS[-1], units, measured) for units in WRITE_UNITS)
    rows = (
        (
            f"{each.units:,}",
            _time(each.seconds),
            str(each.workers),
            each.binds,
            f"${on_demand_dollars(each)[1]:,.0f}",
            f"${provisioned_dollars(each):,.0f}",
            f"${on_demand_dollars(each)[0]:,.2f}",
        )
        for each in loads
    )
    return _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _time(seconds: float) -> str:
    """Return a duration with two units at most."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min"


def main() -> None:
    """Print the tables."""
    print(tables(Measured()))


if __name__ == "__main__":
    main()
