"""Reject files -> pages of the API. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from engine.pages import ENVELOPE_BYTES, wire_bytes
from engine.queries import RejectPlace, Rejects, encode_reject_place
from engine.reading.block import Reject
from engine.rejects import part_and_last_row

MAX_TEXT = 65_536
"""Characters of a row in an answer. Each takes at most 12 bytes, so a row always fits into a load balancer's 1 MB."""


class RejectsPage:
    """Rejects of an ingestion, file by file, each row once. Files come in the order of their names.

    A run that is repeated, or goes on where another one ended, may put files that have rejects in common: each file has
    all rejects of its part between two rows, and those of one part come one after the other, by their first row.
    """

    def __init__(self, request: Rejects, max_bytes: int) -> None:
        self._request, self._room = request, max_bytes - ENVELOPE_BYTES
        self._at = request.start
        self.items: list[bytes] = []
        self.cursor: str | None = None
        """Where the next page begins; None at the end."""

    def feed(self, name: str, rejects: Iterable[Reject]) -> bool:
        """Take the rejects in the next file; return whether the page is complete.

        It is not complete at its limit yet: only a further reject shows that there is a next page.
        """
        part, last = part_and_last_row(name) or ("", 0)
        before = part_and_last_row(self._at.name) if self._at else None
        self._at = RejectPlace(name, self._at.row if self._at and before and before[0] == part else 0)
        for reject in rejects:
            if reject.row > self._at.row and not self._add(name, reject):
                self.stop()
                return True
        self._at = RejectPlace(name, max(last, self._at.row))
        return False

    def _add(self, name: str, reject: Reject) -> bool:
        """Add a reject if there is room for it, and return whether there was."""
        if len(self.items) == self._request.limit:
            return False
        document: dict[str, Any] = {"row": reject.row, "offset": reject.offset, "reason": reject.reason}
        if self._request.with_text:
            document |= {"text": reject.record[:MAX_TEXT], "textCut": len(reject.record) > MAX_TEXT}
        text = orjson.dumps(document)
        size = wire_bytes(text) + len(",")
        if size > self._room and self.items:
            return False
        self.items.append(text)
        self._room -= size
        self._at = RejectPlace(name, reject.row)
        return True

    def stop(self) -> bool:
        """End the page early, so that the next one goes on here; False if it got no further than it began."""
        if self._at is None or self._at == self._request.start:
            return False
        self.cursor = encode_reject_place(self._request.ingestion, self._at)
        return True
