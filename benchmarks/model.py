"""What the suite is made of: questions, their entries, and the contenders that answer them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """How much to do."""

    rounds: int = 5
    seconds: float = 3.0
    """Seconds that one measured run should last."""
    quick: bool = False
    row_bytes: int = 100


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that can be measured. `missing` returns why it cannot run here, or None."""

    name: str
    label: str
    command: tuple[str, ...]
    """Arguments; the path of the specification follows."""
    settings: str
    """What was done for it."""
    missing: Callable[[], str | None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What Lambda and SQS bill besides what the stand-in has counted, for one call of the function."""

    invocations: float = 1.0
    received_units: float = 0.0


@dataclass(slots=True, kw_only=True)
class Entry:
    """One line of a result: a contender with a task, on a stand-in with settings."""

    contender: Contender
    label: str
    spec: Json
    """What the contender reads; the harness adds ``warmup``, ``repeat`` and the paths of files."""
    event: Any = None
    content: bytes | None = None
    """Bytes to be read from a file."""
    stand_in: Json = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False
    processes: int = 1
    records_per_call: int = 1
    counted: str = ""
    """The count of the stand-in that must equal the records of the contender; empty: none."""
    distinct: int = 0
    """How many different keys the stand-in must see for one call; 0: not looked at."""
    repeat: int | None = None
    """Calls of a run; None: as many as last for `Options.seconds`."""
    warmup: int = 1
    share: float = 1.0
    """Part of `Options.seconds` that a run should last."""
    rounds: int | None = None
    """Fewer rounds than the others, for what takes minutes."""
    usual: Usual | None = None
    cost: bool = False
    """Whether dollars can be told."""


@dataclass(slots=True)
class Run:
    """What came of one run: the contenders' own words, and the stand-in's counts."""

    results: list[Json]
    counts: Json
    began: float
    """When the processes were started (CLOCK_MONOTONIC)."""
    user: float
    system: float
    peak_mb: float
    ended: float = 0.0

    @property
    def records(self) -> int:
        """Records in the measured windows of all processes."""
        return sum(result["records"] for result in self.results)

    @property
    def total_records(self) -> int:
        """Records with those of the warm-up."""
        return sum(result["total_records"] for result in self.results)


Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing to be found out."""

    name: str
    title: str
    about: str
    unit: str
    entries: Callable[[Options], list[Entry]]
    figures: Callable[[Entry, Run], Figures] | None = None
    """Figures of this question's own, besides the usual ones."""
    columns: tuple[tuple[str, str], ...]
    """Figures to be shown, and how they are headed."""
    chart: str
    """The figure that is plotted."""
    compare: str = ""
    """Also a figure: how many times better the first entry is than each of the others."""
    quick: bool = False
    """Part of the quick run."""
