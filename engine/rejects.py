"""Rejects -> CSV files that people can open, correct and upload again, and such files -> rejects. Pure.

`RejectFiles` returns what to put where, in files of bounded size; a job puts them. A file's content depends on the
object and the file's name alone, so a second run puts the same files again. Runs that end at other rows put files with
other names, in which some rejects come a second time: who reads them counts each row once. `read_rejects` returns what
was written.

Spreadsheets run a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula, and rejects are other people's text.
So an apostrophe is put before such a beginning, and before an apostrophe, a tab or a line break at the start of a cell.
Some spreadsheets split cells at semicolons, tabs and line breaks as well, so what follows one of those is treated like
the start of a cell, except that tabs and line breaks need no apostrophe there. Reading removes one apostrophe in each
of these places, and so restores every text exactly. See https://owasp.org/www-community/attacks/CSV_Injection.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from engine.errors import BadFile
from engine.identity import ObjectVersion
from engine.reading.block import Reject

HEADER = ("row", "offset", "reason", "record")

FILE_BYTES = 4 * 1_048_576
"""A file is put when it reaches this size; its rejects are held in memory until then."""

MAX_REASONS = 50
"""Reasons counted individually; a file of rubbish could have as many reasons as rows."""

OTHER_REASONS = "other reasons"

MAX_KEY_BYTES = 1_024
"""S3 quota: the length of an object key in UTF-8."""

# Spreadsheets ignore blanks before a formula, and some accept full-width signs.
_UNSAFE = re.compile("^(?=['\t\r\n])|(?:^|(?<=[;\t\r\n]))(?=[ \xa0\u3000]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|')")

_MADE_SAFE = re.compile("(^|[;\t\r\n])'")

_NAME = re.compile(r"([A-Za-z0-9._-]{1,150})-[0-9]{12}-([0-9]{12})\.csv")


class RejectFile(NamedTuple):
    """One file to put: the key and the CSV text as bytes."""

    key: str
    body: bytes


class RejectFiles:
    """Gathers the rejects of one part of the work on an object into files named after that part.

    A file is full as soon as it has `file_bytes`, so it is at most one reject larger. Its name has the row numbers of
    its first and last reject. Rejects before `first_row` are in files of an earlier run, and only counted.
    """

    def __init__(
        self,
        folder: str,
        part: str,
        file_bytes: int = FILE_BYTES,
        *,
        first_row: int = 0,
        count: int = 0,
        reasons: Mapping[str, int] | None = None,
    ) -> None:
        self._stem, self._file_bytes, self._first_row = f"{folder}{part}", file_bytes, first_row
        self._rows = (0, 0)
        self._bytes = io.BytesIO()
        # Text from UTF-8 has no lone surrogates. A message from elsewhere must not fail because of one.
        text = io.TextIOWrapper(self._bytes, "utf-8", errors="backslashreplace", newline="", write_through=True)
        self._writer = csv.writer(text)
        self.count = count
        self.reasons: Counter[str] = Counter(reasons)
        """Rejects for each reason, for up to `MAX_REASONS` of them. Reasons never contain a row's content."""

    def add(self, rejects: Iterable[Reject]) -> list[RejectFile]:
        """Take rejects, in order; return the files that are full."""
        full = []
        for row, offset, reason, record in rejects:
            self.count += 1
            known = reason in self.reasons or len(self.reasons) < MAX_REASONS
            self.reasons[reason if known else OTHER_REASONS] += 1
            if row < self._first_row:
                continue
            first = self._rows[0]
            if not self._bytes.tell():
                self._writer.writerow(HEADER)
                first = row
            self._rows = first, row
            self._writer.writerow((row, offset, _safe(reason), _safe(record)))
            if self._bytes.tell() >= self._file_bytes:
                full += self.flush()
        return full

    def flush(self) -> list[RejectFile]:
        """Return the remaining rejects as the last file."""
        if not self._bytes.tell():
            return []
        first, last = self._rows
        file = RejectFile(f"{self._stem}-{first:012d}-{last:012d}.csv", self._bytes.getvalue())
        self._bytes.seek(0)
        self._bytes.truncate()
        return [file]


def part_and_last_row(name: str) -> tuple[str, int] | None:
    """Return the part of the work that a file's name tells of, and the row of its last reject; None: not our file."""
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def read_rejects(body: bytes) -> list[Reject]:
    """Return the rejects in one file that `RejectFiles` made. Raises `BadFile` if it is not such a file."""
    return list(each_reject(body))


def each_reject(body: bytes) -> Iterator[Reject]:
    """Yield the rejects in one file, one at a time; otherwise like `read_rejects`."""
    try:
        lines = csv.reader(io.StringIO(body.decode(), newline=""), strict=True)
        if tuple(next(lines, ())) != HEADER:
            raise BadFile("the file of rejects does not begin with the header " + ",".join(HEADER))
        for row, offset, reason, record in lines:
            yield Reject(int(row), int(offset) if offset else None, _original(reason), _original(record))
    except (csv.Error, ValueError):  # UnicodeDecodeError is a ValueError
        raise BadFile("the file of rejects is damaged") from None


def _safe(text: str) -> str:
    return _UNSAFE.sub("'", text)


def _original(text: str) -> str:
    return _MADE_SAFE.sub(r"\1", text)


def span_part(first_byte: int) -> str:
    """Return the name of the part of an object that begins at `first_byte`."""
    return f"span-{first_byte:015d}"


def message_part(name: str, rejects: Sequence[Reject]) -> str:
    """Return the part's name for the rejects of a message of that name.

    Senders choose the numbers of their messages: the content keeps two with one number apart, and is the same on each
    attempt.
    """
    content = "\n".join(f"{reject.row},{reject.record}" for reject in rejects)
    return f"message-{name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def record_of(values: Sequence[Any]) -> str:
    """Return the cleaned values of a row as the text of a record, for where its original text is not at hand.

    Attribute values (lists, sets, maps) are written as JSON.
    """
    text = io.StringIO(newline="")
    fields = (json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value for value in values)
    csv.writer(text).writerow(fields)
    return text.getvalue().removesuffix("\r\n")


def folder_of(prefix: str, source: ObjectVersion) -> str:
    """Return the folder for the rejects of an object: ``rejects/uploads/users.csv/<ingestion>/``."""
    folder = f"{prefix}{source.key}/{source.ingestion}/"
    # 100 bytes are kept for a file's name. An object key that is too long is left out; the ingestion's id is enough.
    return folder if len(folder.encode()) <= MAX_KEY_BYTES - 100 else f"{prefix}{source.ingestion}/"
