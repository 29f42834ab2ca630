"""Follow an object until each of its rows is accounted for, or until no more rows can or are likely to come.

Each row is looked up by its own key, so neither other files, nor their messages, nor the size of the table matter. The
record queue is shared by all files: its depth alone never keeps a file waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.cli.accounts import Accounts, Reason, Reasons
from engine.cli.expected import ROWS, Group, Key, converter_of, expected, proof_attribute
from engine.cli.observe import Said
from engine.cli.search import Search
from engine.convert import Converter
from engine.identity import ObjectVersion
from engine.reading.block import Reject
from engine.schema.model import Schema

ENDED = ("failed", "skipped", "superseded", "gone")
"""Statuses with which the producer ends an ingestion without having sent all rows."""

_MISSES = 10
"""Lookups of missing rows in an interval, at most: each costs a read unit."""

_LONGEST_PAUSE = 5.0
"""Seconds; a person waits for what comes next."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: between two looks; without any row until following ends; and until an empty queue is believed."""

    interval: float
    patience: float
    believed: float


AWS = Timing(interval=1.0, patience=300.0, believed=60.0)
"""SQS: the approximate numbers of messages are consistent about a minute after the last change."""

LOCAL = Timing(interval=0.2, patience=60.0, believed=5.0)


class View(Protocol):
    """What is seen of a stack; see `StackView`."""

    async def items(self, keys: list[Key]) -> list[dict[str, Any]]:
        """Return the items with these keys."""
        ...

    async def reject_files(self, source: ObjectVersion, since: int) -> dict[str, str]:
        """Return the reject files of an object, written at `since` or later: key -> ETag."""
        ...

    async def rejects(self, key: str) -> list[Reject]:
        """Return the rejects in one file."""
        ...

    async def queued(self) -> int:
        """Return how many messages are in the record queue."""
        ...

    async def failed(self) -> tuple[int, int]:
        """Return how many messages are in the dead-letter queue and in the failure queue."""
        ...

    async def producer_said(self, source: ObjectVersion) -> Said | None:
        """Return the producer's last log entry about an object."""
        ...

    async def errors(self, source: ObjectVersion) -> list[str]:
        """Return the last errors in the functions' logs."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """An object to be followed.

    `began` is the time of the event loop before it came, `since` the time by S3's clock (Unix time, whole seconds),
    `said` what the producer said if it was asked directly, and `chunks` reads the object's bytes from their start.
    Reject files older than `since` are from an earlier ingestion of the object: their rows may be on their way now.
    """

    source: ObjectVersion
    began: float
    since: int
    chunks: Callable[[], AsyncIterator[bytes]]
    said: Said | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where an ingestion is. `queued` counts the messages of all files; `quiet` is the time without a new row."""

    rows: int
    written: int
    rejected: int
    queued: int
    quiet: float


@dataclass(slots=True)
class Outcome:
    """What became of an object's rows. `seconds` is from before the upload to the last row that was found.

    When rows are missing, `said` is the producer's last log entry, `queued`, `dead_letters` and `failed_files` count
    messages in the three queues, of all files, and `errors` are log lines.
    """

    upload: Upload
    rows: int
    written: int
    rejected: int
    seconds: float
    is_certain: bool
    """Whether items show which object they are from. If not, only an item with each row's key is known to exist."""
    is_settled: bool
    """Whether no more rows can arrive, as far as that had to be known."""
    replaced: int = 0
    """Rows that have the key of a later row of the object, which replaces them; they count as written too."""
    replaced_is_exact: bool = True
    """Whether no more rows are replaced than that."""
    ignored: tuple[str | int, ...] = ()
    """Columns that the file has and the schema does not, by name or else by place from 1."""
    absent: tuple[str, ...] = ()
    """Columns that the schema has and the file does not."""
    reasons: list[Reason] = field(default_factory=list)
    reject_keys: list[str] = field(default_factory=list)
    said: Said | None = None
    queued: int = 0
    dead_letters: int = 0
    failed_files: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Rows that are neither written nor rejected."""
        return self.rows - self.written - self.rejected

    @property
    def complete(self) -> bool:
        """Whether each row of the object is written or rejected."""
        return not self.missing and self.is_settled

    @property
    def has_ended(self) -> bool:
        """Whether the producer gave up, so that no more rows will come."""
        return self.said is not None and self.said.status in ENDED


class Following:
    """Follows one object with `rows` rows in the stack that `view` shows."""

    def __init__(self, view: View, schema: Schema, upload: Upload, rows: int, timing: Timing) -> None:
        self._view, self._upload, self._timing = view, upload, timing
        self._is_certain = proof_attribute(schema) is not None
        self._accounts = Accounts(rows)
        self._schema = schema
        self._converter: Converter | None = None
        self._search = Search(self._expected, self._accounts, view.items, schema)
        self._reject_files: dict[str, str] = {}
        self._rejects_due = self._said_due = 0.0
        self._said = upload.said
        self._queued = 0
        self._known = 0
        self._changed = self._now()

    def _expected(self) -> AsyncIterator[Group]:
        converter = converter_of(self._upload.source, self._schema)
        # The first one is read to the end in any case, and so shows what rows do to one another.
        self._converter = self._converter or converter
        return expected(self._upload.chunks(), converter, self._schema)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def run(self, report: Callable[[Snapshot], None]) -> Outcome:
        """Follow to the end; `report` gets a snapshot after each look."""
        accounts, timing = self._accounts, self._timing
        while True:
            before = accounts.written
            missing = await self._search.round()
            self._queued = await self._view.queued()
            await self._look_for_rejects()
            quiet = self._quiet()
            await self._ask_producer(quiet)
            report(Snapshot(accounts.rows, accounts.written, accounts.rejected, self._queued, quiet))
            if not accounts.missing and self._is_settled():
                return await self._outcome()
            if self._has_ended(quiet):
                came = await self._sweep()
                # The search's window may have been waiting while rows beyond it were written.
                if came and not self._gave_up():
                    continue
                return await self._outcome()
            if accounts.written - before >= ROWS:
                continue  # more rows are likely to be there
            pause = max(timing.interval * max(1.0, missing / _MISSES), quiet / 8)
            await asyncio.sleep(min(pause, _LONGEST_PAUSE))

    def _quiet(self) -> float:
        """Return the seconds since a row was last found."""
        now = self._now()
        known = self._accounts.written + self._accounts.rejected
        if known != self._known:
            self._known, self._changed = known, now
        return now - self._changed

    def _is_settled(self) -> bool:
        """Return whether what was found is final, provided that no row is missing.

        Items that do not show which object they are from may be those of an earlier one: then the producer must have
        sent all rows, and the queue must be empty.
        """
        return self._is_certain or (self._has_sent() and not self._queued)

    def _has_sent(self) -> bool:
        return self._said is not None and self._said.status == "complete"

    def _gave_up(self) -> bool:
        return self._said is not None and self._said.status in ENDED

    def _has_ended(self, quiet: float) -> bool:
        nothing_left = self._has_sent() and not self._queued and quiet > self._timing.believed
        return nothing_left or self._gave_up() or quiet > self._timing.patience

    async def _look_for_rejects(self) -> None:
        now = self._now()
        if not self._search.at_end and now < self._rejects_due:
            return
        self._rejects_due = now + 10 * self._timing.interval
        before, upload = self._reject_files, self._upload
        self._reject_files = await self._view.reject_files(upload.source, upload.since)
        for key, etag in self._reject_files.items():
            if before.get(key) != etag:
                self._accounts.reject(reject.row for reject in await self._view.rejects(key))

    async def _ask_producer(self, quiet: float) -> None:
        """Ask what the producer logged, once rows have stopped arriving, until it has logged how it ended."""
        is_needed = quiet > 5 * self._timing.interval or not (self._is_certain or self._accounts.missing)
        if self._has_sent() or self._gave_up() or not is_needed or self._now() < self._said_due:
            return
        self._said_due = self._now() + 5 * self._timing.interval
        self._said = await self._view.producer_said(self._upload.source)

    async def _sweep(self) -> bool:
        """Look for each missing row; return whether any was found."""
        before = self._accounts.missing
        await self._search.sweep()
        self._rejects_due = 0.0
        await self._look_for_rejects()
        return self._accounts.missing < before

    async def _outcome(self) -> Outcome:
        accounts = self._accounts
        self._quiet()
        outcome = Outcome(
            self._upload,
            accounts.rows,
            accounts.written,
            accounts.rejected,
            self._changed - self._upload.began,
            self._is_certain,
            self._is_settled(),
            said=self._said,
            queued=self._queued,
        )
        if self._converter and (repeated := self._converter.repeated):
            outcome.replaced, outcome.replaced_is_exact = repeated.count, repeated.is_exact
        if self._converter and (plan := self._converter.plan):
            outcome.ignored, outcome.absent = plan.ignored, plan.absent
        if accounts.rejected:
            reasons = Reasons(accounts)
            for key in self._reject_files:
                reasons.add(await self._view.rejects(key))
            outcome.reasons, outcome.reject_keys = reasons.by_count(), list(self._reject_files)
        if not outcome.complete:
            outcome.dead_letters, outcome.failed_files = await self._view.failed()
            outcome.errors = await self._view.errors(self._upload.source)
        return outcome
