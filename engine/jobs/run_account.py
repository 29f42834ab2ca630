"""What one run on an object, or on a span of it, notes in the ledger; nothing where there is no ledger."""

from __future__ import annotations

from engine.accounts import SpanCounts
from engine.aws.objects import OpenObject
from engine.config import ProducerSettings
from engine.errors import TooManyRejects
from engine.events import Arrival
from engine.flow.backoff import Deadline
from engine.identity import ObjectVersion
from engine.jobs.account import Accounting
from engine.jobs.split import not_asked_for
from engine.spans import WHOLE, Rest


class RunAccount:
    """The account of a run that began with `rest`; `last` is when everything stops."""

    def __init__(self, accounting: Accounting | None, arrival: Arrival, rest: Rest, last: Deadline) -> None:
        self._accounting, self._arrival, self._last = accounting, arrival, last
        self._rest, self._ingestion = rest, ""
        self.run = rest.run
        """The run of the ingestion that messages and spans name."""
        self.rejected_before = 0
        """Rejects in spans before this one, as far as they are known."""

    async def arrived(self) -> None:
        """Note an object that is not open yet, unless a run has had it open before."""
        if self._accounting and self._rest.modified is None:
            await self._accounting.ledger.arrived(self._arrival.ref, self._last)

    async def turned_away(self, status: str, reason: str) -> None:
        """Note an object of which nothing is read, and why."""
        if self._accounting:
            status = status if status in ("skipped", "superseded") else "failed"
            await self._accounting.ledger.turned_away(self._arrival.ref, status, reason, self._last)

    async def opened(self, opened: OpenObject, settings: ProducerSettings, *, split: int = 0) -> None:
        """Note an object that is open; what is taken up again belongs to the run that began it.

        `split`: the size of the ranges in which it is scanned (0: it is read as one span).
        """
        self._ingestion = opened.version.ingestion
        if self._accounting and self._rest.modified is None:
            self.run = await self._accounting.ledger.opened(
                self._arrival.ref,
                opened.version,
                opened.size,
                settings.schema_hash,
                self._last,
                packing=settings.packing,
                split=split,
                # Each span knows its own rejects alone: for an object that is split the ledger holds the limit.
                max_rejects=settings.max_rejects.text if split else "",
                corrects=opened.corrects,
            )

    async def progressed(self, counts: SpanCounts) -> None:
        """Note how far the object is read."""
        if self._accounting:
            ledger = self._accounting.ledger
            await ledger.progressed(self._ingestion, self._rest.span.first, counts, self._last, run=self.run)

    async def look_at_earlier_spans(self) -> None:
        """Find the rejects of spans before this one. Raises `TooManyRejects` if one of them has failed."""
        if self._accounting is None or self._rest.span == WHOLE:
            return
        account = await self._accounting.ledger.account(self._ingestion, self._last, tallies=False)
        if account.run != self.run:
            return
        before = [span for start, span in account.spans.items() if start < self._rest.span.first]
        self.rejected_before = sum(span["rejected"] for span in before)
        for span in before:
            if span.get("status") == "failed":
                raise TooManyRejects(f"a part before it has failed: {span['reason']}")

    async def ended(self, counts: SpanCounts) -> None:
        """Note all that the run has counted of the object."""
        if self._accounting:
            span = self._rest.span.first
            await self._accounting.end_span(self._ingestion, span, counts, self._last, run=self.run)

    async def ended_unread(self, counts: SpanCounts) -> None:
        """Note an object that cannot be opened, or not be read up to where an earlier run has come."""
        accounting, ref, rest, last = self._accounting, self._arrival.ref, self._rest, self._last
        if accounting is None:
            return
        if rest.modified is None:
            unfinished = await accounting.ledger.unfinished(ref, last)
            if unfinished is None:
                await self.turned_away(counts.status, counts.reason)
                return
            ingestion, run = unfinished
        else:
            ingestion = ObjectVersion(ref.bucket, ref.key, ref.version, ref.etag or "", rest.modified).ingestion
            run = rest.run
        # Each span of an object ends by itself.
        is_part = self._arrival.rest is not None and rest.modified is not None
        if is_part or await accounting.ledger.not_split(ingestion, last, run=run):
            await accounting.end_span(ingestion, rest.span.first, counts, last, run=run)
        elif scan := self._arrival.scan:
            # The run that joined the scans may have ended before it asked for the spans.
            for start in await not_asked_for(accounting, ingestion, scan, last):
                await accounting.end_span(ingestion, start, counts, last, run=run)
