"""What an invocation of the producer works with."""

from __future__ import annotations

from dataclasses import dataclass

from engine.aws.objects import Objects
from engine.aws.queues import QueueSender
from engine.aws.reject_store import RejectStore
from engine.config import ProducerSettings
from engine.flow.backoff import Deadline
from engine.jobs.account import Accounting
from engine.jobs.split import Splitter


@dataclass(frozen=True, slots=True)
class Producer:
    """What an invocation works with: settings and open clients.

    `accounting` is None where there is no ledger, `spans` where there is no span queue.
    """

    settings: ProducerSettings
    objects: Objects
    sender: QueueSender
    store: RejectStore
    accounting: Accounting | None = None
    spans: QueueSender | None = None

    @property
    def splitter(self) -> Splitter | None:
        """What splits huge objects; None: each object is read by one invocation at a time."""
        if self.accounting is None or self.spans is None:
            return None
        return Splitter(self.settings, self.accounting, self.spans)


@dataclass(frozen=True, slots=True)
class Time:
    """When reading stops, and when everything does."""

    read: Deadline
    last: Deadline
