"""How much of a limited table's capacity one worker uses, and how many calls that wastes."""

from __future__ import annotations

from benchmarks import rivals
from benchmarks.figures import steady
from benchmarks.model import Entry, Figures, Options, Question, Run
from benchmarks.questions.common import worker
from tests.fakeaws.fast.state import SLOTS_PER_SECOND

SECONDS = 12
SETTLED = 3
"""Seconds that a worker has to find the capacity."""


def _entry(wcu: int, form: str, exceptions: float, options: Options) -> Entry:
    return worker(
        rivals.MILLPOND,
        f"{wcu:,} WCU, {form}",
        row_bytes=options.row_bytes,
        per_message=100,
        spec={"seconds": SECONDS},
        stand_in={
            "wcu": wcu,
            "exception_share": exceptions,
            "timeline": True,
            "latency_median_ms": 5,
            "latency_p99_ms": 15,
        },
        warmup=0,
        rounds=3,
    )


def entries(options: Options) -> list[Entry]:
    """Return 5,000 and 20,000 WCU, refused by exception, by UnprocessedItems, and by both."""
    return [
        _entry(wcu, form, exceptions, options)
        for wcu in (5_000, 20_000)
        for form, exceptions in (("exceptions", 1.0), ("unprocessed items", 0.0), ("both", 0.5))
    ]


def figures(entry: Entry, run: Run) -> Figures:
    """Return the share of the capacity used once settled, and what was wasted."""
    counts = run.counts
    slots: list[tuple[int, int]] = next(iter(counts["slots"].values()), [])
    first, behind = SETTLED * SLOTS_PER_SECOND, (SECONDS - 1) * SLOTS_PER_SECOND
    settled = steady(slots, first, behind) * SLOTS_PER_SECOND / (behind - first)
    calls = counts["calls"]["BatchWriteItem"]
    refused = counts["errors"].get("ProvisionedThroughputExceededException", 0)
    sent = counts["rows_written"] + counts["rows_refused"]
    return {
        "used": settled / entry.stand_in["wcu"],
        "refused_calls": refused / calls,
        "throttled_calls": (refused + counts["partial"]) / calls,
        "refused_rows": counts["rows_refused"] / sent,
    }


QUESTION = Question(
    name="capacity",
    title="A table with limited write capacity",
    about=f"{SECONDS} s of work on a table that takes so many items a second (a token bucket that saves up one "
    f"second), each call taking 5 ms (p99 15 ms). Used: from second {SETTLED} to {SECONDS - 1}. Refused: calls that "
    "wrote nothing; throttled: those and the ones that came back in part.",
    unit="records",
    entries=entries,
    figures=figures,
    columns=(
        ("used", "capacity used"),
        ("refused_calls", "calls refused"),
        ("throttled_calls", "calls throttled"),
        ("refused_rows", "rows sent in vain"),
        ("cores", "cores used"),
    ),
    chart="used",
)
