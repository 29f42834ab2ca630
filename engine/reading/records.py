"""Complete lines of CSV -> records, and the faults of those that cannot be read. The only state is `Waste`."""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any, NamedTuple

from engine.reading.block import line_ends
from engine.reading.format import Dialect
from engine.reading.limits import Limits, Waste

NEVER_CLOSED = "a quoted field is never closed"

BAD_QUOTES = "the quotes are wrong: text follows a closing quote"

NOT_UTF8 = "the row is not UTF-8 text"

TOO_BROKEN = "the quotes are broken over and over: these lines are rejected together"

_UNDECODED = re.compile("[\udc80-\udcff]")

_LINE_END = re.compile(rb"\r\n|\n|\r")


class Fault(NamedTuple):
    """Takes the place of a record that cannot be read."""

    reason: str


Entry = list[str] | Fault


class Records(NamedTuple):
    """What consecutive lines hold: the fields of each record or its fault, in order, and ``[]`` for each empty line.

    `ends` has the byte offset of each entry's end (None: each line is an entry); `size` is the end of the last one.
    `faulty`: whether there may be a `Fault` among the entries.
    """

    entries: list[Entry]
    ends: list[int] | None
    size: int
    faulty: bool


def read_lines(data: bytes, offset: int, dialect: Dialect, limits: Limits, waste: Waste) -> Records:
    """Read the records in `data`, which is whole lines from `offset` of the file.

    Leaves out a last record whose quoted field is still open: the lines after `data` decide what it is.
    """
    text, decoded = _decoded(data)
    if (dialect.quote and dialect.quote.encode() in data) or len(data) > limits.record_bytes:
        records = _read_quoted(data, text, offset, dialect, limits, waste)
    else:
        # Without quotes no line can be broken, and each one is a record.
        records = Records(_split(text, dialect.delimiter), None, len(data), faulty=False)
    return records if decoded else _without_undecoded(records)


def read_first(
    data: bytes, following: int | None, offset: int, dialect: Dialect, limits: Limits, waste: Waste
) -> Records | None:
    """Read only the first record of `data`, which is whole lines from `offset` of the file.

    `following` bytes are held after `data` (None: `data` ends with the file). Returns None if more bytes are needed.
    """
    text, decoded = _decoded(data)
    row, reason, seen = _read_one(text, dialect)
    size = len(data) + (following or 0) if reason is NEVER_CLOSED else seen
    if size > limits.record_bytes:
        reason = limits.too_long
    elif reason is NEVER_CLOSED and following is not None:
        return None
    if reason is None:
        records = Records([row], [seen], seen, faulty=False)
        return records if decoded else _without_undecoded(records)
    fault, end = _fault(reason, data, (0, find_line_end(data) or len(data), seen), offset, limits, waste)
    return Records([fault], [end], end, faulty=True)


def find_line_end(data: bytes, start: int = 0) -> int | None:
    """Return where the first LF, CRLF or CR from `start` on ends; None if there is none."""
    found = _LINE_END.search(data, start)
    return found.end() if found else None


def last_line_end(data: bytes, stop: int) -> int:
    """Return the end of the last line that ends at `stop` or before it; 0 if there is none.

    A CR at `stop` is not counted if it is, or may turn out to be, the first half of a CRLF.
    """
    whole = stop < len(data) and data[stop : stop + 1] != b"\n"
    return max(data.rfind(b"\n", 0, stop), data.rfind(b"\r", 0, stop if whole else max(stop - 1, 0))) + 1


def _decoded(data: bytes) -> tuple[str, bool]:
    """Return the bytes as text, and whether they are UTF-8; where they are not, they become lone surrogates."""
    try:
        return data.decode(), True
    except UnicodeDecodeError:
        return data.decode(errors="surrogateescape"), False


def _without_undecoded(records: Records) -> Records:
    """Return the records with a fault in place of each that is not UTF-8."""
    fault = Fault(NOT_UTF8)
    entries: list[Entry] = [
        fault if isinstance(entry, list) and _UNDECODED.search("".join(entry)) else entry for entry in records.entries
    ]
    return records._replace(entries=entries, faulty=True)


def _split(text: str, delimiter: str) -> list[Entry]:
    """Read lines without quotes like the csv module, but three times as fast; an empty line is an empty row."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.removesuffix("\n").split("\n")
    rows: list[Entry] = list(map(str.split, lines, repeat(delimiter)))
    return rows if all(lines) else [row if line else [] for line, row in zip(lines, rows, strict=True)]


def _read_quoted(data: bytes, text: str, offset: int, dialect: Dialect, limits: Limits, waste: Waste) -> Records:
    lines = list(io.StringIO(text, newline=""))
    ends = [0, *line_ends(data)]  # of the lines: line i is between ends[i] and ends[i + 1]
    entries: list[Entry] = []
    after = [0]  # the line after each entry
    faulty = False
    while after[-1] < len(lines):
        run = _read_run(lines, ends, after[-1], dialect, limits)
        entries += run.rows
        after += run.after
        if run.reason is None:
            continue
        if run.reason is NEVER_CLOSED:
            break
        first = after[-1]
        span = ends[first], ends[first + 1], ends[run.seen]
        fault, end = _fault(run.reason, data, span, offset, limits, waste)
        entries.append(fault)
        after.append(first + 1 if end == ends[first + 1] else bisect_left(ends, end))
        faulty = True
    entry_ends = list(map(ends.__getitem__, after))
    return Records(entries, entry_ends[1:], entry_ends[-1], faulty)


def _fault(
    reason: str, data: bytes, span: tuple[int, int, int], offset: int, limits: Limits, waste: Waste
) -> tuple[Fault, int]:
    """Return the fault of a broken record, and the end of the bytes that are rejected with it.

    `span`: where the record begins in `data`, where its first line ends, and the end of the last line examined.
    """
    start, first_end, seen = span
    # The longest record ends here, however far the reader looked. This must not depend on the chunks.
    if seen - start > limits.record_bytes:
        seen = last_line_end(data, start + limits.record_bytes)
    if seen > first_end and waste.add(seen - start, offset + start):
        return Fault(TOO_BROKEN), seen
    return Fault(reason), first_end


def _options(dialect: Dialect) -> dict[str, Any]:
    """Return the dialect as arguments of `csv.reader`."""
    return {
        "delimiter": dialect.delimiter,
        "quotechar": dialect.quote or None,
        "quoting": csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        "strict": True,
    }


class _Run(NamedTuple):
    """Records from consecutive lines: their fields, and the index of the line after each.

    `reason`: what is wrong with the record after the last of them (None: there are no more lines); `seen` is the index
    of the line after the last one that was examined.
    """

    rows: list[list[str]]
    after: list[int]
    reason: str | None
    seen: int


class _End:
    """An empty iterable after the last line, which records whether a reader asked for more."""

    def __init__(self) -> None:
        self.asked = False

    def __iter__(self) -> Iterator[str]:
        self.asked = True
        return iter(())


def _read_run(lines: list[str], ends: list[int], first: int, dialect: Dialect, limits: Limits) -> _Run:
    """Read records from line `first` on until something is wrong with one."""
    rows: list[list[str]] = []
    after: list[int] = []
    start, end = ends[first], _End()
    # Not lines[first:]: if each line is broken, that would copy all lines after it each time.
    rest = map(lines.__getitem__, range(first, len(lines))) if first else lines
    reader = csv.reader(chain(rest, end), **_options(dialect))
    try:
        for row in reader:
            line = first + reader.line_num
            if ends[line] - start > limits.record_bytes:
                return _Run(rows, after, limits.too_long, line)
            rows.append(row)
            after.append(line)
            start = ends[line]
    except csv.Error:
        # Asked for more lines than there are: the record is still open. Otherwise the line just read broke it.
        if end.asked:
            return _Run(rows, after, NEVER_CLOSED, len(lines))
        line = first + reader.line_num
        reason = limits.too_long if ends[line] - start > limits.record_bytes else BAD_QUOTES
        return _Run(rows, after, reason, line)
    return _Run(rows, after, None, len(lines))


def _read_one(text: str, dialect: Dialect) -> tuple[list[str], str | None, int]:
    """Read one record, line by line so that the other lines take no memory.

    Returns its fields, what is wrong with it, and the byte offset after the last line that was examined.
    """
    lines, end = io.StringIO(text, newline=""), _End()
    row: list[str] = []
    reason = None
    try:
        row = next(csv.reader(chain(lines, end), **_options(dialect)))
    except csv.Error:
        reason = NEVER_CLOSED if end.asked else BAD_QUOTES
    return row, reason, len(text[: lines.tell()].encode(errors="surrogateescape"))
