"""Bytes of a CSV file, in chunks split anywhere, -> blocks of records, with row numbers and byte offsets.

Feed `CsvReader` the chunks in order and then `finish` it. Both yield `Block`s: the records that have become complete,
and the rejects among them. However the bytes are split, the same rows, numbers, offsets and rejects result, and a
reader that starts at the `end` of any block yields exactly the rest. At most one record of `Limits.record_bytes` and
one slice are held back, and a block comes from little more than one slice or one record, whatever the file is like.

RFC 4180 as Python's `csv` reads it, strictly: LF, CRLF and lone CR end a record, quoted fields may contain all of them,
a quote in a quoted field is doubled. A UTF-8 BOM is dropped. Empty lines are not records. The first record is the
header.

If a record is broken (text after a closing quote, a quote that is never closed, no end within the longest record), its
first line becomes a reject and reading continues with the next line: one stray quote costs one row, not the file. If
that happens so often that scanning again takes most of the time, all lines up to the break become one reject.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from engine.errors import BadFile
from engine.reading.block import FILE_START, Block, Position, utf_8_text
from engine.reading.encoding import UTF_8, original_text
from engine.reading.format import FIND_ALL, RFC_4180, Dialect, Format
from engine.reading.layout import Entry, Fault, Layout, Quiet, View
from engine.reading.limits import USUAL_LIMITS, Limits, Waste
from engine.reading.line_reader import LineReader
from engine.reading.lines import find_line_end, last_line_end
from engine.reading.records import NOT_UTF8, Records, read_first, read_lines


class CsvReader(LineReader):
    """Incremental CSV reader; see the head of this module. `start` is the place in the file of the first byte fed."""

    def __init__(
        self,
        start: Position = FILE_START,
        limits: Limits = USUAL_LIMITS,
        *,
        form: Format = FIND_ALL,
        dialect: Dialect = RFC_4180,
        encoding: str = UTF_8,
    ) -> None:
        """Read text in `dialect`; `form` says what is before the rows, `encoding` what it was before it was UTF-8."""
        self.header: Sequence[str] | None = None
        """Field names as they are in the file or in the schema, once they are known."""
        self.dialect = dialect
        super().__init__(start, limits, utf_8_text if encoding == UTF_8 else original_text)
        self._not_text = NOT_UTF8 if encoding == UTF_8 else f"the row is not {encoding} text"
        self._form = form
        self._to_skip = 0 if self._begun else form.skip_lines
        self._header_rows: list[list[str]] = []
        self._waste, self._quiet = Waste(limits, start.rescanned), Quiet()
        self._layout = Layout(dialect, limits)
        if start.header is not None:
            self._set_header(start.header)

    def finish(self) -> Iterator[Block]:
        """Take the end of the file, where a last line needs no line end. Raises `BadFile` if there was no header."""
        yield from super().finish()
        if self.header is None:
            missing = "it has no header line" if not self._header_rows else "its header has fewer lines than declared"
            raise BadFile(f"the file {'is empty' if not self._header_rows else 'ends'}: {missing}")

    def _drain(self, *, final: bool) -> Iterator[Block]:
        if not self._begun and not self._begin(final):
            return
        while self._held:
            if self._in_long_record and not self._skip():
                return
            if self.header is None:
                if not self._read_header(final):
                    return
                continue
            block = self._next_block(final)
            if block is None:
                return
            if block.rows or block.rejects:
                yield block

    def _begin(self, final: bool) -> bool:
        """Drop a byte order mark and the lines that are to be skipped; return whether that is done."""
        if not self._offset and not self._drop_mark(final=final):
            return False
        while self._to_skip:
            end = find_line_end(self._held)
            half = end == len(self._held) and self._held.endswith(b"\r")
            if not final and (end is None or half):
                # The rest of the line is still to come, or the second half of a CRLF.
                self._advance(len(self._held) - half)
                return False
            self._advance(end or len(self._held))
            self._to_skip -= 1
        if not self._form.header_lines:
            self._set_header(self._form.names or ())
        self._begun = True
        return True

    def _read_header(self, final: bool) -> bool:
        """Read the next line of the header; return whether it was complete."""
        held = self._held
        records = read_first(self._view(final), self._layout)
        if records is None:
            if len(held) > self._limits.record_bytes:
                self._header_row(Fault(self._limits.too_long))
            return False
        self._advance(records.size)
        row = self._header_row(records.entries[0])
        if row:
            self._header_rows.append(row)
        if len(self._header_rows) == self._form.header_lines:
            self._set_header(_joined(self._header_rows))
        return True

    def _set_header(self, in_file: Sequence[str]) -> None:
        """Note the header as it is in the file; the schema may have other names for its columns."""
        self._layout = Layout(self.dialect, self._limits, in_file, self._form.short_rows == "pad")
        self.header = self._form.names or in_file
        if len(self.header) != len(in_file):
            raise BadFile(f"the schema names {len(self.header):,} columns, but the header has {len(in_file):,}")

    def _next_block(self, final: bool) -> Block | None:
        """Read the complete records of the next slice; None if there are none yet."""
        held, limits = self._held, self._limits
        complete = len(held) if final else last_line_end(held, len(held))
        if not complete:
            return None if len(held) <= limits.record_bytes else self._reject_beginning()
        # A whole slice and the rest of the previous one are read together: two blocks cost more than one.
        most = limits.slice_bytes + limits.slice_bytes // 4
        stop = complete if complete <= most else last_line_end(held, most) or find_line_end(held, most - 1) or complete
        data, view = held[:stop], self._view(final)
        records = read_lines(view, data, self._layout)
        if not records.size:
            # One record that is longer than the slice, or decided by what comes after it; only that one is read.
            first = read_first(view, self._layout)
            if first is None:
                return None
            records = first
        return self._block(data if records.size == stop else held[: records.size], records)

    def _block(self, data: bytes, records: Records) -> Block:
        """Number the records, and separate rows and rejects."""
        entries = records.entries
        places: Sequence[int] = range(len(entries))
        if not all(entries):  # empty lines are not records
            places = [i for i in places if entries[i]]
        numbers: Sequence[int] = range(self._row, self._row + len(places))
        self._row += len(places)
        source = self._source(data, records.ends)
        rejects = []
        if records.faulty:
            good = []
            for i, place in enumerate(places):
                entry = entries[place]
                if isinstance(entry, Fault):
                    rejects.append(source.reject(place, numbers[i], self._reason(entry)))
                else:
                    good.append(i)
            numbers, places = [numbers[i] for i in good], [places[i] for i in good]
        self._advance(records.size)
        # Faults have been removed above.
        rows = cast("list[list[str]]", entries if len(places) == len(entries) else [entries[i] for i in places])
        return Block(numbers, rows, rejects, self.position, source, places)

    @property
    def position(self) -> Position:
        """The place of the first byte that is held back, from which another reader can continue."""
        return Position(
            self._offset, self._row, self._layout.header, self._waste.bytes, self._in_long_record, self.dialect
        )

    def _view(self, final: bool) -> View:
        return View(self._held, self._offset, final, self._waste, self._quiet)

    def _reason(self, fault: Fault) -> str:
        return self._not_text if fault.reason is NOT_UTF8 else fault.reason

    def _header_row(self, entry: Entry) -> list[str]:
        if isinstance(entry, Fault):
            raise BadFile(f"the header line cannot be read: {self._reason(entry)}")
        return entry


def _joined(rows: list[list[str]]) -> list[str]:
    """Return the names in the lines of a header: what stands in one column, joined by blanks."""
    if len(rows) == 1:
        return rows[0]
    width = max(map(len, rows))
    columns = zip(*(row + [""] * (width - len(row)) for row in rows), strict=True)
    return [" ".join(filter(None, map(str.strip, column))) for column in columns]
