"""Account for rows: what producer and worker note in the ledger, and the end of an ingestion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.accounts import SpanCounts
from engine.aws.announcer import Announcer
from engine.aws.ledger import Ledger
from engine.flow.backoff import Deadline
from engine.tallies import Counts

FAILED = ("failed", "superseded")
"""Outcomes of an ingestion that did not read its object to the end."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """An open ledger, and what opens the announcer: most invocations do not end an ingestion."""

    ledger: Ledger
    announcer: Callable[[], Announcer]

    async def end_span(
        self, ingestion: str, span: int, counts: SpanCounts, deadline: Deadline, *, run: int = 0
    ) -> None:
        """Note all that a span had; close the ingestion if that completes it."""
        if await self.ledger.span_ended(ingestion, span, counts, deadline, run=run):
            await self._close(ingestion, run, deadline)

    async def settle(
        self, ingestion: str, span: int, messages: Mapping[int, Counts], deadline: Deadline, *, run: int = 0
    ) -> None:
        """Note what became of messages, by number; close the ingestion if that completes it."""
        if await self.ledger.settled(ingestion, span, messages, deadline, run=run):
            await self._close(ingestion, run, deadline)

    async def _close(self, ingestion: str, run: int, deadline: Deadline) -> None:
        """Announce the end of a run of an ingestion, then note it.

        If the second step is never reached, the message or event that led here comes again, and with it both steps.
        """
        account = await self.ledger.account(ingestion, deadline, tallies=False)
        if account.run != run:
            return  # another worker has closed it, and it is read again
        outcome = account.outcome()
        kind = "Ingestion Failed" if outcome["status"] in FAILED else "Ingestion Completed"
        about = {name: account.entry.get(name) for name in ("bucket", "key", "versionId", "etag", "size")}
        await self.announcer().announce(kind, {"ingestion": ingestion, **about, **outcome}, deadline)
        await self.ledger.close(ingestion, outcome, deadline, run=run)
