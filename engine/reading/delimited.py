"""Bytes of a CSV file, in chunks split anywhere, -> blocks of records, with row numbers and byte offsets.

Feed `CsvReader` the chunks in order and then `finish` it. Both yield `Block`s: the records that have become complete,
and the rejects among them. However the bytes are split, the same rows, numbers, offsets and rejects come out. What is
held back is never more than one record of at most `MAX_RECORD_BYTES`, and one slice.

RFC 4180 as Python's `csv` reads it, strictly: LF, CRLF and lone CR end a record, quoted fields may hold all of them,
a quote in a quoted field is doubled. A UTF-8 BOM is dropped. Empty lines are no records. The first record is the
header.

Where a record is broken (text behind a closing quote, a quote that is never closed, no end within `MAX_RECORD_BYTES`),
its first line becomes a reject and reading goes on with the next line: one stray quote costs one row, not the file.
Where that happens so often that it would take for ever, all lines up to the break become one reject.
"""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise, repeat

from engine.errors import BadFile
from engine.reading.block import MAX_RECORD_BYTES, Block, Reject, SourceBytes, as_text

SLICE_BYTES = 262_144
"""Bytes parsed at a time: large enough for the loops to run in C, small enough to stay in the processor's cache."""

# csv's own limit (131,072 characters) is a setting of the process, not of a reader. A record's length is checked here.
csv.field_size_limit(MAX_RECORD_BYTES)

_BOM = b"\xef\xbb\xbf"

_SIGNATURES = (
    (b"\xff\xfe", "UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text; save it as UTF-8"),
    (b"\x00\x00\xfe\xff", "UTF-32 text; save it as UTF-8"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet; export it as CSV"),
    (b"\x1f\x8b", "gzip data; upload it uncompressed"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet; export it as CSV"),
    (b"%PDF", "a PDF document"),
)


_UNDECODED = re.compile("[\udc80-\udcff]")

_LINE_END = re.compile(rb"\r\n|\n|\r")

TOO_LONG = f"the record is longer than {MAX_RECORD_BYTES:,} bytes"

NEVER_CLOSED = "a quoted field is never closed"

BAD_QUOTES = "the quotes are wrong: text follows a closing quote"

NOT_UTF8 = "the row is not UTF-8 text"

TOO_BROKEN = "the quotes are broken over and over: these lines are rejected together"

# Scans of broken records that are repeated: short ones cost little, the others may add up to a second or two, and then
# to a fixed multiple of what reading the file costs.
WASTE_UNNOTICED = 1_024

WASTE_ALLOWED = 64 * 1_048_576

WASTE_SHARE = 4


class CsvReader:
    """Incremental CSV reader; see the head of this module."""

    def __init__(self) -> None:
        self.header: list[str] | None = None
        """Field names as they stand in the file, once the first record is complete."""
        self._held = b""
        self._offset = 0  # of the first held byte
        self._row = 0  # number of the last row seen
        self._begun = False
        self._waste = _Waste()
        self._skipping = False  # inside a line that was rejected for its length, before its end was seen

    def feed(self, data: bytes) -> Iterator[Block]:
        """Take the next bytes and yield the blocks that they complete. Raises `BadFile` for what is no CSV text."""
        for start in range(0, len(data), SLICE_BYTES):
            self._held += data[start : start + SLICE_BYTES]
            yield from self._drain(final=False)

    def finish(self) -> Iterator[Block]:
        """Take the end of the file, where a last line needs no line end. Raises `BadFile` if there was no header."""
        yield from self._drain(final=True)
        if self.header is None:
            raise BadFile("the file is empty: it has no header line")

    def _drain(self, *, final: bool) -> Iterator[Block]:
        if not self._begun and not self._begin(final):
            return
        while self._held:
            if self._skipping and not self._skip():
                return
            block = self._next_block(final)
            if block is None:
                return
            if block.rows or block.rejects:
                yield block

    def _begin(self, final: bool) -> bool:
        """Look at the first bytes: drop a byte order mark, refuse what is certainly not CSV text."""
        if len(self._held) < 4 and not final:
            return False
        for signature, what in _SIGNATURES:
            if self._held.startswith(signature):
                raise BadFile(f"the file is not CSV text but {what}")
        if self._held.startswith(_BOM):
            self._advance(len(_BOM))
        self._begun = True
        return True

    def _next_block(self, final: bool) -> Block | None:
        """Parse what is complete in the held bytes; None if that is nothing yet."""
        cut = len(self._held) if final else _end_of_last_line(self._held)
        if not cut:
            return None if len(self._held) <= MAX_RECORD_BYTES else self._reject_beginning()
        source = SourceBytes(self._held[:cut], self._offset)
        rows, bad, consumed = _parse(source, None if final else len(self._held) - cut, self._waste)
        if not consumed:
            return None
        if not all(rows):  # empty lines are no records
            kept = [i for i, row in enumerate(rows) if row]
            place = {old: new for new, old in enumerate(kept)}
            source.keep(kept)
            rows, bad = [rows[i] for i in kept], {place[i]: reason for i, reason in bad.items()}
        if self.header is None and rows:
            self.header = self._take_header(rows, bad)
            rows = rows[1:]
            bad = {i - 1: reason for i, reason in bad.items()}
            source.keep(list(range(1, len(rows) + 1)))
        numbers: Sequence[int] = range(self._row + 1, self._row + 1 + len(rows))
        self._row += len(rows)
        rejects = [source.reject(i, numbers[i], reason) for i, reason in bad.items()]
        if bad:
            kept = [i for i in range(len(rows)) if i not in bad]
            source.keep(kept)
            rows, numbers = [rows[i] for i in kept], [numbers[i] for i in kept]
        self._advance(consumed)
        return Block(numbers, rows, rejects, self._offset, source)

    def _take_header(self, rows: list[list[str]], bad: dict[int, str]) -> list[str]:
        if 0 in bad:
            raise BadFile(f"the header line cannot be read: {bad[0]}")
        return rows[0]

    def _reject_beginning(self) -> Block:
        """Reject a line that is too long already, though its end is not in sight, and skip what follows of it."""
        if self.header is None:
            raise BadFile(f"the header line cannot be read: {TOO_LONG}")
        self._row += 1
        reject = Reject(self._row, self._offset, TOO_LONG, as_text(self._held[:MAX_RECORD_BYTES]))
        # A CR at the end may be the line's end, which _skip must see.
        self._advance(len(self._held) - self._held.endswith(b"\r"))
        self._skipping = True
        return Block((), [], [reject], self._offset, SourceBytes(b"", self._offset))

    def _skip(self) -> bool:
        """Drop the rest of a line whose beginning was rejected; tell whether its end was found."""
        end = _LINE_END.search(self._held)
        # Where the line feed of a CRLF is still to come, it will be an empty line, which is no record.
        self._advance(end.end() if end else len(self._held))
        self._skipping = end is None
        return not self._skipping

    def _advance(self, count: int) -> None:
        self._held = self._held[count:]
        self._offset += count


class _Waste:
    """How many bytes were scanned for records that turned out to be broken, and are scanned again line by line.

    Where each line opens a quote that is closed far behind, that would be all lines for each line: a small file could
    use up all the time there is. So there is an allowance, which grows with the file.
    """

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, scanned: int, offset: int) -> bool:
        """Note a scan of so many bytes that began at `offset` of the file; tell whether that was too much."""
        if scanned > WASTE_UNNOTICED:
            self._bytes += scanned
        return scanned > WASTE_UNNOTICED and self._bytes > WASTE_ALLOWED + WASTE_SHARE * offset


def _parse(source: SourceBytes, behind: int | None, waste: _Waste) -> tuple[list[list[str]], dict[int, str], int]:
    """Read all lines of `source`, behind which `behind` more bytes are at hand (None: it is the end of the file).

    Returns the rows, with an empty one for each empty line; which of them are bad, as ``{index: reason}``; and the
    number of bytes consumed, which leaves out a record at the end that is still open.
    """
    text = source.text()
    if not source.has_quotes and source.size <= MAX_RECORD_BYTES:
        # Nothing can go wrong, and each line is a row.
        rows = _split(text)
        return rows, {} if source.decoded else _undecoded(rows), source.size
    rows, bad = [], {}
    lines = list(io.StringIO(text, newline=""))
    offsets = source.line_offsets()
    ends = [0]
    while ends[-1] < len(lines):
        reason, scanned = _read_records(lines, offsets, rows, ends)
        if reason is None:
            continue
        first = ends[-1]
        left = source.size - offsets[first] + (behind or 0)
        if reason is NEVER_CLOSED:
            if behind is not None and left <= MAX_RECORD_BYTES:
                break
            reason = TOO_LONG if left > MAX_RECORD_BYTES else NEVER_CLOSED
        # What belongs to the record at the most, however far the reader looked: this must not depend on the chunks.
        scanned = min(scanned, bisect_right(offsets, offsets[first] + MAX_RECORD_BYTES) - 1)
        behind_it = first + 1
        if scanned > behind_it and waste.add(offsets[scanned] - offsets[first], source.offset + offsets[first]):
            reason, behind_it = TOO_BROKEN, scanned
        bad[len(rows)] = reason
        rows.append(["?"])  # stands for what is rejected: not empty, or it would not count as a row
        ends.append(behind_it)
    source.spans = list(pairwise(ends))
    if not source.decoded:
        bad = {**_undecoded(rows), **bad}
    return rows, bad, offsets[ends[-1]]


def _split(text: str) -> list[list[str]]:
    """Read lines without quotes, as the csv module does and three times as fast; an empty line is an empty row."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.removesuffix("\n").split("\n")
    rows = list(map(str.split, lines, repeat(",")))
    return rows if all(lines) else [row if line else [] for line, row in zip(lines, rows, strict=True)]


def _read_records(
    lines: list[str], offsets: list[int], rows: list[list[str]], ends: list[int]
) -> tuple[str | None, int]:
    """Append the records from line `ends[-1]` on to `rows`, and where each ends to `ends`.

    Returns None at the end of the lines, else what is wrong with the record that begins at the new `ends[-1]`; and the
    line behind the last one that was looked at.
    """
    exhausted = False

    def note_exhaustion() -> Iterator[str]:
        nonlocal exhausted
        exhausted = True
        yield from ()

    base = ends[-1]
    # Not lines[base:]: where each line is broken, each would have all the lines behind it copied.
    rest = map(lines.__getitem__, range(base, len(lines))) if base else lines
    reader = csv.reader(chain(rest, note_exhaustion()), strict=True)
    try:
        for row in reader:
            end = base + reader.line_num
            if offsets[end] - offsets[ends[-1]] > MAX_RECORD_BYTES:
                return TOO_LONG, end
            rows.append(row)
            ends.append(end)
    except csv.Error:
        # Asked for more than there is: the record is still open. Otherwise the line just read broke it.
        if exhausted:
            return NEVER_CLOSED, len(lines)
        end = base + reader.line_num
        return TOO_LONG if offsets[end] - offsets[ends[-1]] > MAX_RECORD_BYTES else BAD_QUOTES, end
    return None, len(lines)


def _undecoded(rows: list[list[str]]) -> dict[int, str]:
    return {i: NOT_UTF8 for i, row in enumerate(rows) if _UNDECODED.search("".join(row))}


def _end_of_last_line(data: bytes) -> int:
    """Return the length of the complete lines in `data`; a CR at its end may be half of a CRLF, so is not counted."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
