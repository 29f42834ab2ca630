"""Complete lines of delimited text -> records, and the faults of those that cannot be read or believed. Pure.

Three readers, each for what the faster ones cannot read: `str.split` for lines without quotes, Python's `csv` for usual
quotes, and `engine.reading.closely` for the rest. They come to the same records.

`Waste` and `Quiet` are the only state.
"""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_left, bisect_right
from itertools import accumulate, chain, pairwise, repeat
from typing import Any, NamedTuple

from engine.reading.closely import read_one
from engine.reading.doubts import has_few_delimiters
from engine.reading.fields import is_strict, odd_places, usual_lines
from engine.reading.format import Dialect
from engine.reading.layout import Entry, Fault, Layout, View
from engine.reading.lines import decoded, last_line_end, line_ends

NOT_UTF8 = "the row is not UTF-8 text: set encoding in [format] if the file has another one"

HEADER_AGAIN = "the header again"

_UNDECODED = re.compile("[\udc80-\udcff]")


class Records(NamedTuple):
    """What consecutive lines hold: the fields of each record or its fault, in order, and ``[]`` for each empty line.

    `ends` has the byte offset of each entry's end (None: each line is an entry); `size` is the end of the last one.
    `faulty`: whether there may be a `Fault` among the entries.
    """

    entries: list[Entry]
    ends: list[int] | None
    size: int
    faulty: bool


def read_lines(view: View, data: bytes, layout: Layout) -> Records:
    """Read the records in `data`, which is whole lines at the beginning of `view`; what comes after may be looked at.

    Leaves out a last record that the lines after it decide.
    """
    text, whole = decoded(data)
    if len(data) > layout.limits.record_bytes or any(each in data for each in layout.special):
        records = _SliceReader(view, data, text, layout).read()
    else:
        # No line can be broken, and each one is a record.
        records = _split(text, data, layout)
    return records if whole else _without_undecoded(records)


def read_first(view: View, layout: Layout) -> Records | None:
    """Read only the first record, however long it is. Returns None if more bytes are needed."""
    held = view.held
    stop = len(held) if view.final else last_line_end(held, len(held))
    if not stop:
        return None
    text, whole = decoded(held[:stop])
    settled = read_one(view, text, 0, 0, layout)
    if settled is None:
        return None
    entries, ends = settled
    records = Records(entries, ends, ends[-1], faulty=True)
    return records if whole else _without_undecoded(records)


def _without_undecoded(records: Records) -> Records:
    """Return the records with a fault in place of each that is not UTF-8."""
    fault = Fault(NOT_UTF8)
    entries: list[Entry] = [
        fault if isinstance(entry, list) and _UNDECODED.search("".join(entry)) else entry for entry in records.entries
    ]
    return records._replace(entries=entries, faulty=True)


def _split(text: str, data: bytes, layout: Layout) -> Records:
    """Read lines without quotes like the csv module, but three times as fast; an empty line is an empty row."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.removesuffix("\n").split("\n")
    entries: list[Entry] = list(map(str.split, lines, repeat(layout.dialect.delimiter)))
    if not all(lines):
        entries = [row if line else [] for line, row in zip(lines, entries, strict=True)]
    again = layout.may_repeat_header(data) and _reject_headers(entries, layout)
    return Records(entries, None, len(data), faulty=again)


def _reject_headers(entries: list[Entry], layout: Layout) -> bool:
    """Put a fault in place of each entry that is the header again; return whether there was one."""
    found = layout.headers_again(entries)
    for i in found:
        entries[i] = Fault(HEADER_AGAIN)
    return bool(found)


class _SliceReader:
    """Reads the records of one slice: `csv` those that are as usual, `read_one` the others."""

    def __init__(self, view: View, data: bytes, text: str, layout: Layout) -> None:
        self._view, self._text, self._layout = view, text, layout
        self._lines = list(io.StringIO(text, newline=""))
        self._ends = [0, *line_ends(data)]  # of the lines: line i is between ends[i] and ends[i + 1]
        self._starts = self._ends if len(text) == len(data) else [0, *accumulate(map(len, self._lines))]
        self._may_repeat_header = layout.may_repeat_header(data)
        self._faulty = False
        self._entries: list[Entry] = []
        self._entry_ends: list[int] = [0]
        # The lines that `csv` must not read. In double quotes, what it misreads has a quote in a field: no need to look
        # for such lines before there is one.
        dialect, limit = layout.dialect, layout.limits.record_bytes
        opening = f"{dialect.delimiter} {dialect.quote}"
        eager = dialect.escape == "backslash" or dialect.comment or len(data) > limit or opening in text
        self._first_changed = len(self._lines)
        self._alone: set[int] = set()  # lines that `csv` reads rightly as a record, but not as a part of one
        self._odd = self._odd_lines(0) if eager else None

    def read(self) -> Records:
        line, count = 0, len(self._lines)
        while (line := self._read_usual(line)) < count:
            settled = read_one(self._view, self._text, self._starts[line], self._ends[line], self._layout)
            if settled is None:
                break
            self._take(*settled)
            line = bisect_left(self._ends, self._entry_ends[-1])
        entries, ends = self._entries, self._entry_ends
        return Records(entries, ends[1:], ends[-1], self._faulty)

    def _odd_lines(self, first: int) -> list[int]:
        """Return the lines from `first` on that `csv` must not read, and put others so that it can."""
        layout, lines = self._layout, self._lines
        odd: set[int] = set()
        text = self._text[self._starts[first] :]
        if layout.syntax.odd.search(text) and not is_strict(text, layout.syntax):
            usual = usual_lines(text, layout.syntax)
            if usual is None:
                odd.update(filter(self._is_odd, range(first, len(lines))))
            elif usual != text:
                lines[first:] = io.StringIO(usual, newline="")
                self._first_changed = min(self._first_changed, first)
        if layout.dialect.comment:
            odd.update(i for i, line in enumerate(lines) if line.startswith(layout.dialect.comment))
        if self._ends[-1] > layout.limits.record_bytes:
            most = layout.limits.record_bytes
            odd.update(i for i, (low, high) in enumerate(pairwise(self._ends)) if high - low > most)
        return sorted(odd)

    def _is_odd(self, line: int) -> bool:
        """Return whether `csv` must not read a line because of its quotes or escapes; put another so that it can."""
        text, dialect, syntax = self._lines[line], self._layout.dialect, self._layout.syntax
        if (not dialect.quote or dialect.quote not in text) and (dialect.escape != "backslash" or "\\" not in text):
            return False
        if syntax.strict.fullmatch(text):
            if syntax.spaced.search(text):
                self._alone.add(line)
            return False
        usual = usual_lines(text, syntax)
        if usual is None:
            return next(odd_places(text, syntax), None) is not None
        if usual != text:
            self._lines[line] = usual
            self._first_changed = min(self._first_changed, line)
        return False

    def _next_odd(self, line: int) -> int:
        """Return the first line from `line` on that `csv` must not read, as far as known, or the number of lines."""
        place = 0 if self._odd is None else bisect_left(self._odd, line)
        return self._odd[place] if self._odd and place < len(self._odd) else len(self._lines)

    def _read_usual(self, first: int) -> int:
        """Read records from line `first` on with `csv`; return the line of the first that needs a closer look."""
        stop = self._next_odd(first)
        if stop == first:
            return first
        rows: list[list[str]] = []
        after = [first]
        # Not a slice of the lines: if each line is broken, that would copy all lines after it each time.
        lines = map(self._lines.__getitem__, range(first, stop))
        reader = csv.reader(lines, **_options(self._layout.dialect))
        try:
            for row in reader:
                rows.append(row)
                after.append(first + reader.line_num)
        except csv.Error:
            pass  # a broken record, or one that is still open at an odd line
        if self._odd is None and self._layout.dialect.quote in "".join(chain.from_iterable(rows)):
            self._odd = self._odd_lines(first)
            count = bisect_right(after, min(self._next_odd(first), self._first_changed)) - 1
            rows, after = rows[:count], after[: count + 1]
        return self._take_rows(rows, after)

    def _take_rows(self, rows: list[list[str]], after: list[int]) -> int:
        """Take rows that `csv` read, of which row i ends before line ``after[i + 1]``; return the line after them."""
        begun = 0
        if len(rows) < after[-1] - after[0]:
            for i, (line, end) in enumerate(pairwise(after)):
                if end == line + 1 or self._is_believed(rows[i], line, end):
                    continue
                # A field has line breaks.
                self._take_read(rows[begun:i], after[begun : i + 1])
                settled = read_one(self._view, self._text, self._starts[line], self._ends[line], self._layout)
                if settled is None:
                    return line
                self._take(*settled)
                if self._entry_ends[-1] != self._ends[end]:
                    return bisect_left(self._ends, self._entry_ends[-1])
                begun = i + 1
        self._take_read(rows[begun:], after[begun:])
        return after[-1]

    def _is_believed(self, row: list[str], line: int, end: int) -> bool:
        """Return whether `read_one` certainly comes to the same row of the lines from `line` to before `end`."""
        dialect, width = self._layout.dialect, len(self._layout.names)
        return (
            (dialect.multiline or (dialect.multiline is None and not self._layout.pad))
            and self._ends[end] - self._ends[line] <= self._layout.limits.record_bytes
            and has_few_delimiters(row, width, dialect.delimiter)
            # Blanks in a quoted field stay: no line of it may have been changed for `csv`.
            and (end <= self._first_changed or self._is_unchanged(line, end))
            and self._alone.isdisjoint(range(line, end))
        )

    def _is_unchanged(self, line: int, end: int) -> bool:
        """Return whether no line from `line` to before `end` was changed for `csv`."""
        return sum(map(len, self._lines[line:end])) == self._starts[end] - self._starts[line]

    def _take_read(self, rows: list[list[str]], after: list[int]) -> None:
        """Take rows that `csv` read, of which row i ends before line ``after[i + 1]``."""
        entries: list[Entry] = list(rows)
        if self._may_repeat_header:
            self._faulty = _reject_headers(entries, self._layout) or self._faulty
        self._entries += entries
        if len(rows) == after[-1] - after[0]:
            self._entry_ends += self._ends[after[0] + 1 : after[-1] + 1]
        else:
            self._entry_ends += map(self._ends.__getitem__, after[1:])

    def _take(self, entries: list[Entry], ends: list[int]) -> None:
        """Take what came of a record that was read closely."""
        found = self._may_repeat_header and _reject_headers(entries, self._layout)
        self._faulty = self._faulty or found or isinstance(entries[0], Fault)
        self._entries += entries
        self._entry_ends += ends


def _options(dialect: Dialect) -> dict[str, Any]:
    """Return the dialect as arguments of `csv.reader`."""
    return {
        "delimiter": dialect.delimiter,
        "quotechar": dialect.quote or None,
        "quoting": csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        "doublequote": dialect.escape == "double",
        "escapechar": "\\" if dialect.escape == "backslash" else None,
        "strict": True,
    }
