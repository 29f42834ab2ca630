"""How long the query function takes for one user."""

from __future__ import annotations

from benchmarks import data, rivals
from benchmarks.figures import percentile
from benchmarks.model import Contender, Entry, Figures, Options, Question, Run

EVENT = {
    "resource": "/users/{email}",
    "path": "/users/" + data.row(1)[1],
    "httpMethod": "GET",
    "pathParameters": {"email": data.row(1)[1]},
    "queryStringParameters": None,
    "headers": {},
    "requestContext": {"stage": "prod"},
}


def _entry(contender: Contender) -> Entry:
    return Entry(
        contender=contender,
        label=contender.label if contender is rivals.MILLPOND else "boto3 resource",
        spec={"task": "query", "each": True},
        event=EVENT,
        warmup=50,
        share=0.5,
    )


def entries(options: Options) -> list[Entry]:
    """Return the query functions."""
    return [_entry(rivals.MILLPOND), _entry(rivals.BATCH_WRITER)]


def figures(entry: Entry, run: Run) -> Figures:
    """Return percentiles of the time for one call."""
    durations = run.results[0]["durations"]
    return {f"p{share}_ms": percentile(durations, share / 100) * 1000 for share in (50, 99)}


QUESTION = Question(
    name="query",
    title="Query: one user by mail address",
    about="GET /users/{email} by the handler, one call after the other; the table answers at once.",
    unit="requests",
    entries=entries,
    figures=figures,
    columns=(
        ("p50_ms", "median ms"),
        ("p99_ms", "p99 ms"),
        ("per_cpu_second", "requests per CPU-second"),
        ("peak_mb", "peak MB"),
    ),
    chart="p50_ms",
)
