"""What the ledger's entry of an ingestion notes of undoing it. Pure.

Each run that deletes items has an attribute of its own, so noting it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Undone(NamedTuple):
    """What was deleted of an ingestion's items: when the last run began, in ms, and how many in all."""

    at: int
    items: int


def undone_fact(began: int, items: int, changed: int) -> tuple[str, str]:
    """Return the attribute that notes a run: its name and its value.

    `changed` is when the entry had changed before, all in ms: once it has changed again, the object was read again, and
    what was deleted may be there again.
    """
    return f"u{began}", f"{items} {changed}"


def undone_of(entry: Mapping[str, Any]) -> Undone | None:
    """Return what was deleted since the object was last read, from the entry as plain values; None if nothing was."""
    runs = {int(name[1:]): value.split() for name, value in entry.items() if name[0] == "u" and name[1:].isdigit()}
    valid = {at: int(items) for at, (items, changed) in runs.items() if int(changed) == entry.get("changed")}
    return Undone(max(valid), sum(valid.values())) if valid else None
