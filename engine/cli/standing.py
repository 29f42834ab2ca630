"""What the document of an ingestion means: the exit code, and where rows are stuck. Pure; see `Account.document`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.cli.queues import Queues
from engine.cli.words import counted

RUNNING = ("reading", "writing")

DONE, NOT_DONE, WITH_REJECTS = 0, 1, 3

_CODES = {"done": DONE, "done_with_rejects": WITH_REJECTS}


def exit_code(documents: Iterable[Mapping[str, Any]]) -> int:
    """Return the exit code for ingestions: 1 if one is not done, else 3 if one has rejects, else 0."""
    codes = {_CODES.get(document["status"], NOT_DONE) for document in documents}
    return next((code for code in (NOT_DONE, WITH_REJECTS) if code in codes), DONE)


def whereabouts(queues: Queues) -> list[str]:
    """Return where the rows of a stuck ingestion can be, and what to do about it. Queues do not tell files apart."""
    found = []
    if queues.dead_letters:
        found.append(
            f"In the dead-letter queue: {counted(queues.dead_letters, 'message')}, which workers could not write. "
            "Remove the cause, and start a redrive."
        )
    if queues.failures:
        found.append(
            f"In the failure queue: {counted(queues.failures, 'message')}, of objects that the producer could not "
            "read. Remove the cause, and ingest these files again."
        )
    if queues.records:
        found.append(
            f"In the record queue: {counted(queues.records, 'message')}, which no worker has completed: are the "
            "workers running, and does the table take writes?"
        )
    return found or ["There is no message in any queue: ingest the file again, which writes the same items."]
