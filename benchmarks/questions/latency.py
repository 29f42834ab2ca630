"""What is left of the rate when every call takes 10 ms (median) to 50 ms (p99)."""

from __future__ import annotations

from benchmarks import rivals
from benchmarks.model import Entry, Options, Question
from benchmarks.questions.common import producer, worker

SLOW = {"latency_median_ms": 10.0, "latency_p99_ms": 50.0}


# Lambda answers a full queue by more workers. Here they share the contender's core, enough of them to fill it.
TOGETHER = ((10, 8), (100, 4))  # messages an event, workers


def entries(options: Options) -> list[Entry]:
    """Return each task without and with latency."""
    size = options.row_bytes
    together = [
        worker(
            rivals.MILLPOND,
            f"{workers} workers, {messages} messages an event, 10/50 ms",
            row_bytes=size,
            messages=messages,
            stand_in=SLOW,
            processes=workers,
            share=1 / workers,
        )
        for messages, workers in TOGETHER
    ]
    return [
        worker(rivals.MILLPOND, "worker, at once", row_bytes=size),
        worker(rivals.MILLPOND, "worker, 10/50 ms", row_bytes=size, stand_in=SLOW),
        worker(rivals.MILLPOND, "worker, 100 messages an event, at once", row_bytes=size, messages=100),
        worker(rivals.MILLPOND, "worker, 100 messages an event, 10/50 ms", row_bytes=size, messages=100, stand_in=SLOW),
        *together,
        producer(rivals.MILLPOND, 1_000_000, "producer, at once", row_bytes=size),
        producer(rivals.MILLPOND, 1_000_000, "producer, 10/50 ms", row_bytes=size, stand_in=SLOW),
        worker(rivals.THREADS, "boto3, 32 threads, 10/50 ms", row_bytes=size, spec={"way": "threads"}, stand_in=SLOW),
        worker(rivals.GO, "Go, 10/50 ms", row_bytes=size, env=rivals.GO_ENV, stand_in=SLOW),
    ]


QUESTION = Question(
    name="latency",
    title="With latency: 10 ms in the median, 50 ms at p99, on each call",
    about="Log-normal delays of the stand-in. A worker waits for the last call of each event before it takes the next; "
    "several of them share the core.",
    unit="records",
    entries=entries,
    columns=(("per_second", "records/s"), ("cores", "cores used"), ("per_cpu_second", "records per CPU-second")),
    chart="per_second",
)
