"""What readers of lines share: bytes that are held back, and lines that are too long. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from engine.reading.block import Block, Position, SourceBytes, utf_8_text
from engine.reading.limits import Limits
from engine.reading.lines import find_line_end

_MARK = b"\xef\xbb\xbf"


class LineReader(ABC):
    """Incremental reader of records that begin with a line. `start` is the place of the first byte fed.

    `as_text` makes the bytes of a reject readable.
    """

    def __init__(self, start: Position, limits: Limits, as_text: Callable[[bytes], str] = utf_8_text) -> None:
        self._limits, self._as_text = limits, as_text
        self._held = b""
        self._offset = start.offset  # of the first held byte
        self._row = start.row  # number of the next row
        self._begun = start.offset > 0
        self._in_long_record = start.in_long_record

    @property
    def held(self) -> int:
        """How many bytes are held back, because the record in them may not be complete."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[Block]:
        """Take the next bytes and yield the blocks that they complete. Raises `BadFile`."""
        size = self._limits.slice_bytes
        for start in range(0, len(data), size):
            self._held += data[start : start + size]
            yield from self._drain(final=False)

    def finish(self) -> Iterator[Block]:
        """Take the end of the file, where a last line needs no line end. Raises `BadFile`."""
        yield from self._drain(final=True)

    @abstractmethod
    def _drain(self, *, final: bool) -> Iterator[Block]:
        """Yield blocks of the records that are complete."""

    @property
    @abstractmethod
    def position(self) -> Position:
        """The place of the first byte that is held back, from which another reader can continue."""

    def _line_end(self) -> int | None:
        """Return where the first held line ends; None if its end has not arrived."""
        return find_line_end(self._held)

    def _drop_mark(self, *, final: bool) -> bool:
        """Drop a byte order mark; return whether the beginning of the file has arrived."""
        if len(self._held) < len(_MARK) and not final:
            return False
        if self._held.startswith(_MARK):
            self._advance(len(_MARK))
        return True

    def _reject_beginning(self) -> Block:
        """Reject a line that is too long already, although its end has not arrived, and skip the rest of it."""
        source = self._source(self._held, [len(self._held)])
        reject = source.reject(0, self._row, self._limits.too_long)
        self._row += 1
        # A CR at the end may be the line's end, which _skip must see.
        self._advance(len(self._held) - self._held.endswith(b"\r"))
        self._in_long_record = True
        return Block((), [], [reject], self.position, source, ())

    def _skip(self) -> bool:
        """Drop the rest of a line whose beginning was rejected; return whether its end was found."""
        end = self._line_end()
        # If the line feed of a CRLF is still to come, it will be an empty line, which is not a record.
        self._advance(len(self._held) if end is None else end)
        self._in_long_record = end is None
        return not self._in_long_record

    def _advance(self, count: int) -> None:
        self._held = self._held[count:]
        self._offset += count

    def _source(self, data: bytes, ends: Sequence[int] | None) -> SourceBytes:
        return SourceBytes(data, self._offset, ends, self._limits.record_bytes, self._as_text)
