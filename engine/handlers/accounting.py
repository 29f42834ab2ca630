"""Opens the ledger for producer and worker."""

from __future__ import annotations

from functools import cache

from engine.aws.announcer import Announcer
from engine.aws.lane import lane_for
from engine.aws.ledger import Ledger
from engine.aws.session import Session
from engine.aws.types import DELETE_ITEM, PUT_EVENTS, QUERY, UPDATE_ITEM, Transport
from engine.config import LedgerSettings
from engine.jobs.account import Accounting


def accounting_of(settings: LedgerSettings | None, transport: Transport, session: Session) -> Accounting | None:
    """Return what accounts for rows, or None where there is no ledger."""
    if settings is None:
        return None
    update, delete, query = (lane_for(each, transport, session) for each in (UPDATE_ITEM, DELETE_ITEM, QUERY))

    @cache
    def announcer() -> Announcer:
        """Open the announcer when an ingestion ends: reading the model of EventBridge slows cold starts."""
        return Announcer(lane_for(PUT_EVENTS, transport, session))

    return Accounting(Ledger(settings.table, settings.days, update, delete, query), announcer)
