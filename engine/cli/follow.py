"""Follow an object in the ledger until each of its rows is accounted for, or nothing has changed for too long.

Nothing is looked up in the table, so neither its size nor other loads matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from engine.cli.queues import Queues
from engine.cli.reasons import Reason, Reasons
from engine.identity import ObjectVersion
from engine.reading.block import Reject

_LONGEST_PAUSE = 5.0
"""Seconds; a person waits for what comes next."""

_IDLE = 9
"""Times that a look takes: so much is waited until the next one. The account of a huge object has some MB."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: between two looks, and without any change until following ends."""

    interval: float
    patience: float


AWS = Timing(interval=1.0, patience=300.0)
LOCAL = Timing(interval=0.2, patience=60.0)

Report = Callable[[Sequence[dict[str, Any]]], None]
"""Gets the document of the ingestion after each look, in a list."""


class View(Protocol):
    """What is seen of a stack; see `StackView`."""

    async def document(self, source: ObjectVersion, since: int) -> dict[str, Any] | None:
        """Return what the ledger knows of an object, noted at `since` or later."""
        ...

    async def reject_files(self, source: ObjectVersion, since: int) -> list[str]:
        """Return the keys of the reject files of an object, written at `since` or later."""
        ...

    async def rejects(self, key: str) -> list[Reject]:
        """Return the rejects in one file."""
        ...

    async def queues(self) -> Queues:
        """Return how many messages are in the queues."""
        ...

    async def errors(self, source: ObjectVersion) -> list[str]:
        """Return the last errors in the functions' logs."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """An object to be followed.

    `began` is the time of the event loop before it came, `began_at` the same by the clock (Unix time), and `since` by
    S3's clock, in whole seconds. Reject files older than `since` are from an earlier ingestion of the object.
    """

    source: ObjectVersion
    began: float
    began_at: float
    since: int


@dataclass(slots=True)
class Outcome:
    """What became of an object with so many `rows`. `document` is None if the ledger never knew of it.

    When rows are missing, `queues` counts messages, of all files, and `errors` are log lines.
    """

    upload: Upload
    rows: int
    document: dict[str, Any] | None
    seconds: float
    """From before the upload to the moment when the last row was accounted for."""
    reasons: list[Reason] = field(default_factory=list)
    reject_keys: list[str] = field(default_factory=list)
    queues: Queues | None = None
    errors: list[str] = field(default_factory=list)

    def _count(self, name: str) -> int:
        return int(self.document[name]) if self.document else 0

    @property
    def written(self) -> int:
        """Rows in the table."""
        return self._count("written")

    @property
    def rejected(self) -> int:
        """Rows among the rejects."""
        return self._count("rejected")

    @property
    def superseded(self) -> int:
        """Rows that are older than what the table holds."""
        return self._count("superseded")

    @property
    def missing(self) -> int:
        """Rows that are not accounted for."""
        return self.rows - self.written - self.rejected - self.superseded

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return bool(self.document and self.document["ended"])

    @property
    def complete(self) -> bool:
        """Whether each row of the object is accounted for."""
        is_done = self.document is not None and self.document["status"] in ("done", "done_with_rejects")
        return is_done and not self.missing


async def follow(view: View, upload: Upload, rows: int, timing: Timing, report: Report) -> Outcome:
    """Follow an object with so many rows to its end, or until nothing has changed for the time of `timing`."""
    clock = asyncio.get_running_loop().time
    looked = changed = clock()
    last = None
    while True:
        before, looked = looked, clock()
        document = await view.document(upload.source, upload.since)
        if document:
            report([document])
            if document["changed"] != last:
                last, changed = document["changed"], looked
        quiet = looked - changed
        if (document and document["ended"]) or quiet > timing.patience:
            break
        took = clock() - looked
        await asyncio.sleep(min(max(timing.interval, quiet / 8, _IDLE * took), _LONGEST_PAUSE))
    outcome = Outcome(upload, rows, document, _seconds(upload, document, before, looked))
    if outcome.rejected:
        outcome.reject_keys = await view.reject_files(upload.source, upload.since)
        reasons = Reasons(rows)
        for key in outcome.reject_keys:
            reasons.add(await view.rejects(key))
        outcome.reasons = reasons.by_count()
    if not outcome.complete:
        outcome.queues = await view.queues()
        outcome.errors = await view.errors(upload.source)
    return outcome


def _seconds(upload: Upload, document: dict[str, Any] | None, before: float, looked: float) -> float:
    """Return how long it took until the end that the ledger notes, by another machine's clock.

    It was between the last two looks, whatever that clock says.
    """
    most = looked - upload.began
    if document is None or document["ended"] is None:
        return most
    noted = datetime.fromisoformat(document["ended"]).timestamp() - upload.began_at
    return min(max(noted, before - upload.began, 0.0), most)
