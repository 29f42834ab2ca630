"""Bytes of a JSON Lines file, in chunks split anywhere, -> blocks of records, with row numbers and byte offsets.

Feed a `JsonLinesReader` the chunks in order and then `finish` it, as a `CsvReader`. However the bytes are split, the
same rows, numbers, offsets and rejects result, and a reader that starts at the `end` of any block yields exactly the
rest. At most one line of `Limits.record_bytes` and one slice are held back.

Each line is one object, in UTF-8. LF ends a line; a CR before it is white space, as JSON has it. Blank lines are no
records, and a UTF-8 BOM is dropped. A line that is no object, or reads in two ways because a key comes twice, is a
reject. The fields of a row are those of `Members.header`: text, bool, `NumberText`, dict, list, or None where the line
has nothing or null. Numbers within a dict or list are int, float or `NumberText`, whose `str` is the exact value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, cast

from engine.errors import BadFile
from engine.reading.block import FILE_START, Block, Position, Reject, SourceBytes, utf_8_text
from engine.reading.json_members import Members
from engine.reading.json_values import Object, read_objects
from engine.reading.layout import Fault
from engine.reading.limits import USUAL_LIMITS, Limits

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r"
_NO_OBJECT = b"null"  # is read instead of a line that is too long

_BLOCK_BYTES = 8 * 1_048_576
"""About how much memory the rows of a block may take: short lines can be rows of many fields."""
# A row with its object, and a field, in memory.
_ROW_BYTES, _FIELD_BYTES = 512, 16


class JsonLinesReader:
    """Incremental reader of JSON Lines; see the head of this module. `start` is the place of the first byte fed."""

    def __init__(self, members: Members, start: Position = FILE_START, limits: Limits = USUAL_LIMITS) -> None:
        self.header: Sequence[str] = members.header
        """The names of a row's fields."""
        self._members = members
        self._limits = limits
        self._most_rows = max(1, _BLOCK_BYTES // (_ROW_BYTES + _FIELD_BYTES * len(members.header)))
        self._held = b""
        self._offset = start.offset  # of the first held byte
        self._row = start.row  # number of the next row
        self._begun = self._knows_format = start.offset > 0
        self._in_long_record = start.in_long_record

    @property
    def held(self) -> int:
        """How many bytes are held back, because the line in them may not be complete."""
        return len(self._held)

    @property
    def position(self) -> Position:
        """Where another reader can continue: the first byte that is held back."""
        return Position(self._offset, self._row, self.header, 0, self._in_long_record)

    def feed(self, data: bytes) -> Iterator[Block]:
        """Take the next bytes and yield the blocks that they complete. Raises `BadFile` if they are not JSON Lines."""
        size = self._limits.slice_bytes
        for start in range(0, len(data), size):
            self._held += data[start : start + size]
            yield from self._drain(final=False)

    def finish(self) -> Iterator[Block]:
        """Take the end of the file, where a last line needs no line end. A file without a line has no rows."""
        yield from self._drain(final=True)

    def _drain(self, *, final: bool) -> Iterator[Block]:
        if not self._begun:
            if len(self._held) < len(_BOM) and not final:
                return
            self._begun = True
            if self._held.startswith(_BOM):
                self._advance(len(_BOM))
        while self._held:
            if self._in_long_record and not self._skip():
                return
            size = self._complete(final=final)
            if size:
                data = self._held[:size]
                yield from self._blocks(data)
            elif len(self._held) > self._limits.record_bytes:
                yield self._reject_beginning()
            else:
                return

    def _complete(self, *, final: bool) -> int:
        """Return the size of the complete lines at the beginning of what is held, about a slice of them."""
        held, limits = self._held, self._limits
        complete = len(held) if final else held.rfind(b"\n") + 1
        # A whole slice and the rest of the previous one are read together: two blocks cost more than one.
        most = limits.slice_bytes + limits.slice_bytes // 4
        if complete <= most:
            return complete
        return held.rfind(b"\n", 0, most) + 1 or held.find(b"\n", most) + 1 or complete

    def _blocks(self, data: bytes) -> Iterator[Block]:
        """Read complete lines, and advance behind them."""
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for start in range(0, len(lines), self._most_rows):
            part = lines[start : start + self._most_rows]
            if len(part) < len(lines):
                size = sum(map(len, part)) + len(part)
                data = self._held[:size]
            block = self._block(data, part)
            if block.rows or block.rejects:
                yield block

    def _block(self, data: bytes, lines: list[bytes]) -> Block:
        """Number the records of complete lines, and separate rows and rejects."""
        record_bytes = self._limits.record_bytes
        # Lines end where SourceBytes looks for them, unless a CR stands alone.
        lone = data.count(b"\r") != data.count(b"\r\n")
        ends = list(accumulate(len(line) + 1 for line in lines)) if lone else None
        places: Sequence[int] = range(len(lines))
        long: list[int] = []
        if len(data) > record_bytes:
            ended = data.endswith(b"\n")
            long = [i for i in places if len(lines[i]) + (ended or i < len(lines) - 1) > record_bytes]
        if not self._knows_format:
            first = next((line for i, line in enumerate(lines) if line.strip(_BLANKS) or i in long), None)
            if first is not None:
                self._look_at(first[:record_bytes])
        for i in long:
            lines[i] = _NO_OBJECT
        if not all(map(bytes.strip, lines)):
            places = [i for i in places if lines[i].strip(_BLANKS)]
            lines = [lines[i] for i in places]
        numbers: Sequence[int] = range(self._row, self._row + len(lines))
        self._row += len(lines)
        rows, bad = self._rows(data, lines)
        bad |= {places.index(i): self._limits.too_long for i in long}
        source = SourceBytes(data, self._offset, ends, record_bytes)
        rejects = [source.reject(places[i], numbers[i], bad[i]) for i in sorted(bad)]
        if bad:
            good = [i for i in range(len(lines)) if i not in bad]
            rows, numbers, places = [rows[i] for i in good], [numbers[i] for i in good], [places[i] for i in good]
        self._advance(len(data))
        return Block(numbers, cast("list[list[str]]", rows), rejects, self.position, source, places)

    def _rows(self, data: bytes, lines: list[bytes]) -> tuple[list[Any], dict[int, str]]:
        """Return a row for each line, and why some are rejected, by index. The row of such a line may be anything."""
        objects = self._objects(data, lines)
        if set(map(type, objects)) <= {dict}:
            return self._fields(cast("list[Object]", objects))
        bad = {i: each.reason for i, each in enumerate(objects) if isinstance(each, Fault)}
        rows, found = self._fields([{} if isinstance(each, Fault) else each for each in objects])
        return rows, found | bad

    def _objects(self, data: bytes, lines: list[bytes]) -> list[Object | Fault]:
        """Return the object of each line, or its fault."""
        return read_objects(data, lines)

    def _fields(self, objects: list[Object]) -> tuple[list[Any], dict[int, str]]:
        """Return a row of fields for each object, and why some are rejected, by index."""
        return self._members.rows(objects)

    def _look_at(self, first: bytes) -> None:
        """Look at the first record, or its beginning. Raises `BadFile` if the file is certainly not JSON Lines."""
        self._knows_format = True
        text = first.strip()
        if text.startswith(b"[") or text == b"{":
            raise BadFile("the file is one JSON document; write each object on a line of its own (JSON Lines)")

    def _reject_beginning(self) -> Block:
        """Reject a line that is too long already, although its end has not arrived, and skip the rest of it."""
        beginning = self._held[: self._limits.record_bytes]
        if not self._knows_format:
            self._look_at(beginning)
        reject = Reject(self._row, self._offset, self._limits.too_long, utf_8_text(beginning.rstrip(b"\r\n")))
        self._row += 1
        self._advance(len(self._held))
        self._in_long_record = True
        return Block((), [], [reject], self.position, SourceBytes(b"", self._offset), ())

    def _skip(self) -> bool:
        """Drop the rest of a line whose beginning was rejected; return whether its end was found."""
        end = self._held.find(b"\n") + 1
        self._in_long_record = not end
        self._advance(end or len(self._held))
        return bool(end)

    def _advance(self, count: int) -> None:
        self._held = self._held[count:]
        self._offset += count
