"""What becomes of messages that wait for a slow table: hours of throttling, under virtual time."""

from __future__ import annotations

from benchmarks import rivals
from benchmarks.model import Entry, Figures, Options, Question, Run

ROWS = 500
LOADS = ((1, 4), (25, 50), (100, 125), (200, 150), (500, 250), (1_000, 300))
"""Write capacity units, and messages of `ROWS` rows: minutes to half an hour of work for the table."""


def entries(options: Options) -> list[Entry]:
    """Return each capacity, throttled in both forms."""
    return [
        Entry(
            contender=rivals.SLOW_TABLE,
            label=f"{wcu:,} WCU, {messages:,} messages",
            spec={"task": "slow", "wcu": wcu, "messages": messages, "rows": ROWS, "whole_share": 0.5, "seed": 1},
            records_per_call=messages * ROWS,
            repeat=1,
            warmup=0,
            rounds=1,
        )
        for wcu, messages in LOADS
    ]


def figures(entry: Entry, run: Run) -> Figures:
    """Return what the contender has found out."""
    (result,) = run.results
    names = ("dead_lettered", "used", "writes_a_row", "handed_on", "virtual_hours")
    return {name: float(result[name]) for name in names}


QUESTION = Question(
    name="slow",
    title="A table that is too slow for its messages",
    about=f"Ten workers (the template's defaults: ten messages each, 60 s, five receives) empty a queue of messages of "
    f"{ROWS} rows into a table with an empty token bucket that saves up 300 s. Virtual time and one seed, so each run "
    "has the same figures; services are models. Half of the batches over capacity are refused as a whole, the others "
    "come back in part.",
    unit="records",
    entries=entries,
    figures=figures,
    columns=(
        ("dead_lettered", "messages dead-lettered"),
        ("used", "capacity used"),
        ("writes_a_row", "writes a row"),
        ("handed_on", "times handed on, a message"),
        ("virtual_hours", "virtual hours"),
    ),
    chart="used",
)
