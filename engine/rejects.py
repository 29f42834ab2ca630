"""Rejects -> CSV files that a person can open, mend and upload again.

Pure: `RejectFiles` says what to put where, in pieces of bounded size; a handler puts it. Names and contents follow from
the object alone, so a second run puts the same files again.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from engine.identity import ObjectVersion
from engine.reading.block import Reject

HEADER = ("row", "offset", "reason", "record")

FILE_BYTES = 4 * 1_048_576
"""A file is put when it has grown to this size, since rejects are held in memory until then."""

MAX_REASONS = 50
"""Reasons counted one by one; a file of rubbish could have as many as rows."""

OTHER_REASONS = "other reasons"

MAX_KEY_BYTES = 1_024
"""S3 quota: the length of an object key in UTF-8."""


class RejectFile(NamedTuple):
    """One file to put: the key and the CSV text as bytes."""

    key: str
    body: bytes


class RejectFiles:
    """Gathers the rejects of one part of the work on an object into files named after that part."""

    def __init__(self, folder: str, part: str) -> None:
        self._stem = f"{folder}{part}"
        self._files = 0
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text)
        self._open = False
        self.count = 0
        self.reasons: Counter[str] = Counter()
        """How many rejects there were for each reason, up to `MAX_REASONS` of them. They never hold a row's content."""

    def add(self, rejects: Iterable[Reject]) -> list[RejectFile]:
        """Take rejects, in order; return the files that are full."""
        full = []
        for reject in rejects:
            if not self._open:
                self._writer.writerow(HEADER)
                self._open = True
            self._writer.writerow(reject)
            self.count += 1
            known = reject.reason in self.reasons or len(self.reasons) < MAX_REASONS
            self.reasons[reject.reason if known else OTHER_REASONS] += 1
            if self._text.tell() >= FILE_BYTES:
                full += self.flush()
        return full

    def flush(self) -> list[RejectFile]:
        """Return what is left, as the last file."""
        if not self._open:
            return []
        file = RejectFile(f"{self._stem}-{self._files:05d}.csv", self._text.getvalue().encode())
        self._files += 1
        self._text.seek(0)
        self._text.truncate()
        self._open = False
        return [file]


def folder_of(prefix: str, source: ObjectVersion) -> str:
    """Return the folder for the rejects of an object: ``rejects/uploads/users.csv/<ingestion>/``."""
    folder = f"{prefix}{source.key}/{source.ingestion}/"
    # Room for a file's name; an object key that leaves none is left out, the ingestion's id is enough.
    return folder if len(folder.encode()) <= MAX_KEY_BYTES - 100 else f"{prefix}{source.ingestion}/"
