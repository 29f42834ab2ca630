"""What the stand-in is told (`Settings`) and what it has seen (`Counts`). Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MAX_NOTES = 20
"""Violations that are told in words; all are counted."""

SLOTS_PER_SECOND = 10


@dataclass(slots=True)
class Settings:
    """How it behaves; every field can be set by ``POST /_config``."""

    sample: int = 64
    """One call in so many is checked in full: signature, limits, duplicate keys. 0: none."""
    keys: bool = False
    """Remember the key of each row, to tell rows that came from rows that came twice. Only for short runs."""
    latency_median_ms: float = 0.0
    latency_p99_ms: float = 0.0
    wcu: float = 0.0
    """Write capacity of the table, in items of 1 KB a second; 0: without limit."""
    burst_seconds: float = 1.0
    """How many seconds of unused capacity can be saved up. DynamoDB itself saves 300."""
    exception_share: float = 0.5
    """Share of the calls over capacity that are refused as a whole; the others get UnprocessedItems."""
    error_share: float = 0.0
    """Share of calls that are answered with status 500 and do nothing."""
    reset_share: float = 0.0
    """Share of calls whose connection is reset instead of an answer, nothing done."""
    timeline: bool = False
    """Note what was written in each tenth of a second, by access key."""
    keep_messages: bool = False
    """Keep messages for ReceiveMessage."""
    seed: int = 1

    def update(self, values: dict[str, Any]) -> None:
        """Set fields by name. Raises `KeyError` for a name that is none, `TypeError` for a value of the wrong type."""
        types = {field_.name: type(getattr(self, field_.name)) for field_ in dataclasses.fields(self)}
        for name, value in values.items():
            kind = types[name]
            if isinstance(value, bool) is not (kind is bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} must be of type {kind.__name__}")
            setattr(self, name, kind(value))


@dataclass(slots=True)
class Counts:
    """What came in since the last reset. Rows and messages count when they were accepted."""

    calls: Counter[str] = field(default_factory=Counter)
    """Calls by operation, however they were answered."""
    errors: Counter[str] = field(default_factory=Counter)
    """Calls that were not answered with success, by error code."""
    partial: int = 0
    """BatchWriteItem calls that were answered with UnprocessedItems."""
    bytes_in: int = 0
    """Bytes of request bodies."""
    bytes_out: int = 0
    """Bytes of object content sent."""
    rows_written: int = 0
    """Items that BatchWriteItem or PutItem has taken."""
    rows_refused: int = 0
    """Items that were sent and came back unprocessed or with an exception for throughput."""
    update_units: int = 0
    """Write units of UpdateItem and DeleteItem."""
    messages: int = 0
    records: int = 0
    """Records in the messages, by their attribute `records`; a message without it holds one."""
    message_bytes: int = 0
    sqs_units: int = 0
    """Requests that SQS would bill for what was sent: one for each 64 KiB of payload begun, in each call."""
    objects_put: int = 0
    checked: int = 0
    signatures: int = 0
    violations: int = 0
    notes: list[str] = field(default_factory=list)
    connections: int = 0
    keys: set[Any] = field(default_factory=set)
    slots: dict[str, Counter[int]] = field(default_factory=dict)
    """With `Settings.timeline`: rows written in each tenth of a second since the first write, by access key."""

    def violation(self, note: str) -> None:
        """Note that a client broke a rule; the result of its run is void."""
        self.violations += 1
        if len(self.notes) < MAX_NOTES:
            self.notes.append(note)

    def report(self) -> dict[str, Any]:
        """Return everything as JSON takes it; keys only as their number."""
        values = {field_.name: getattr(self, field_.name) for field_ in dataclasses.fields(self)}
        values["keys"] = len(self.keys)
        values["slots"] = {name: sorted(slots.items()) for name, slots in self.slots.items()}
        return values
