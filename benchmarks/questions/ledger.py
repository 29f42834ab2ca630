"""What accounting for every row costs: each function with and without a ledger, and a file from upload to its end."""

from __future__ import annotations

from benchmarks import data, rivals
from benchmarks.model import Entry, Figures, Options, Question, Run
from benchmarks.questions.common import producer, worker

ROWS, FEW_ROWS = 1_000_000, 10

_WAYS: tuple[tuple[str, dict[str, str]], ...] = (("without", {}), ("with", {"LEDGER_TABLE": data.LEDGER_TABLE}))


def entries(options: Options) -> list[Entry]:
    """Return each task without and with a ledger."""
    size = options.row_bytes
    found = []
    for way, env in _WAYS:
        found.append(producer(rivals.MILLPOND, ROWS, f"producer, {way}", row_bytes=size, env=env))
        found.append(worker(rivals.MILLPOND, f"worker, {way}", row_bytes=size, env=env))
        found += [_file(rows, f"file of {rows:,} rows, {way}", size, env) for rows in (ROWS, FEW_ROWS)]
    return sorted(found, key=lambda entry: entry.label.rpartition(",")[0])


def _file(rows: int, label: str, row_bytes: int, env: dict[str, str]) -> Entry:
    """Return an entry for one file: the producer, then the worker until the queue is empty, in a fresh process."""
    return Entry(
        contender=rivals.MILLPOND,
        label=label,
        spec={"task": "chain"},
        event=data.s3_event(data.key_of(rows, row_bytes)),
        stand_in={"keep_messages": True},
        env=env,
        records_per_call=rows,
        counted="rows_written",
        repeat=1,
        warmup=0,
    )


def figures(entry: Entry, run: Run) -> Figures:
    """Return the write units of the ledger for a million rows, and the seconds of one call."""
    return {
        "ledger_units": run.counts["update_units"] * 1e6 / run.total_records,
        "cpu_per_million": sum(result["cpu"] for result in run.results) * 1e6 / run.records,
        "seconds": max(result["wall"] for result in run.results) * entry.records_per_call / run.records,
    }


QUESTION = Question(
    name="ledger",
    title="The ledger: what accounting for every row costs",
    about="Each function with and without LEDGER_TABLE. A file is read, sent, written and, with a ledger, done: its "
    "seconds are those within the two functions of a fresh process. The rows themselves take a million write units.",
    unit="records",
    entries=entries,
    figures=figures,
    columns=(
        ("ledger_units", "write units of the ledger per million"),
        ("calls", "API calls per million"),
        ("cpu_per_million", "CPU-seconds per million"),
        ("seconds", "seconds of a call"),
    ),
    chart="cpu_per_million",
)
