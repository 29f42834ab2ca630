"""How fairly four workers share one limited table."""

from __future__ import annotations

from benchmarks import rivals
from benchmarks.figures import fairness, steady
from benchmarks.model import Entry, Figures, Options, Question, Run
from benchmarks.questions.common import worker
from tests.fakeaws.fast.state import SLOTS_PER_SECOND

WORKERS = 4
SECONDS = 15
SETTLED = 3


def entries(options: Options) -> list[Entry]:
    """Return four workers on 5,000 and on 20,000 WCU."""
    return [
        worker(
            rivals.MILLPOND,
            f"{WORKERS} workers on {wcu:,} WCU",
            row_bytes=options.row_bytes,
            per_message=100,
            spec={"seconds": SECONDS},
            stand_in={"wcu": wcu, "timeline": True, "latency_median_ms": 5, "latency_p99_ms": 15},
            warmup=0,
            processes=WORKERS,
            rounds=3,
        )
        for wcu in (5_000, 20_000)
    ]


def figures(entry: Entry, run: Run) -> Figures:
    """Return how far the worst share is from a quarter, and how much of the capacity was used."""
    first, behind = SETTLED * SLOTS_PER_SECOND, (SECONDS - 1) * SLOTS_PER_SECOND
    shares = [steady(slots, first, behind) for slots in run.counts["slots"].values()]
    shares += [0] * (WORKERS - len(shares))
    seconds = (behind - first) / SLOTS_PER_SECOND
    return {
        "unfairness": fairness(shares),
        "used": sum(shares) / seconds / entry.stand_in["wcu"],
        "least": min(shares) / seconds,
        "most": max(shares) / seconds,
    }


QUESTION = Question(
    name="share",
    title="Four workers on one limited table",
    about=f"Four processes begin together and work for {SECONDS} s; counted from second {SETTLED} to {SECONDS - 1}, "
    "by access key.",
    unit="records",
    entries=entries,
    figures=figures,
    columns=(
        ("unfairness", "worst distance from a fair share"),
        ("used", "capacity used"),
        ("least", "least records/s"),
        ("most", "most records/s"),
    ),
    chart="unfairness",
)
