"""Whole lines -> how many records they hold, counted without reading them: several times as fast. Pure.

A count is given only where the exact readers certainly come to the same; elsewhere there is none. Lines that begin at
a record are certain if

- no line end is escaped: where a backslash escapes, there is none;
- each quote is at the edge of a field. Split at the quotes, the text is outside of quotes and inside by turns. Text
  outside begins and ends with a delimiter or a line end, or is empty, which is a doubled quote in a quoted field. So
  quotes open fields only after a delimiter or a line end and close them only before one, no blanks are around them, and
  no record is broken: nothing depends on the lines after it;
- a field with line breaks is certainly believed: the schema allows all of them, or no record has more fields than the
  header and the field has fewer delimiters than a record. Then `engine.reading.doubts.is_doubtful` is false, since the
  first and the last line of the field would need as many delimiters together, and a line between them on its own;
- no comment begins a line where there are quotes: quotes in a comment count for nothing.

Records longer than the limit are the caller's concern: it passes no more lines at once than a record may have bytes.
"""

from __future__ import annotations

from itertools import repeat

from engine.reading.format import Dialect


class RecordCounter:
    """Counts the records of delimited text in `dialect`; `width` is the number of fields in the header.

    `pad`: rows may have fewer fields than the header, so that no line break in a quoted field is believed.
    """

    def __init__(self, dialect: Dialect, width: int, *, pad: bool) -> None:
        self._quote, self._delimiter = dialect.quote.encode(), dialect.delimiter.encode()
        self._backslash, self._comment = dialect.escape == "backslash", dialect.comment.encode()
        self._width = width
        self._believes_all = dialect.multiline is True
        self._believes_none = dialect.multiline is False or (dialect.multiline is None and (pad or width < 2))

    def count(self, lines: bytes) -> tuple[int, int] | None:
        """Return how many records are in whole lines, and where the last of them ends; None if that is not certain.

        The lines begin at a record. Bytes after the last record belong to one that is still open.
        """
        if self._backslash and b"\\" in lines:
            return None
        if not self._quote or self._quote not in lines:
            return self._count_lines(lines), len(lines)
        return None if self._comment and self._has_comment(lines) else self._count_quoted(lines)

    def _has_comment(self, lines: bytes) -> bool:
        comment = self._comment
        return comment in lines and (lines.startswith(comment) or b"\n" + comment in lines or b"\r" + comment in lines)

    def _count_lines(self, text: bytes) -> int:
        """Count the lines that are records: neither empty nor comments."""
        end = b"\n"
        if b"\r" in text:
            if text.count(b"\r\n") == text.count(b"\r") == text.count(b"\n"):
                end = b"\r\n"
            else:
                text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        count = text.count(b"\n")
        if b"\n" + end[:1] in text or text.startswith(end):
            count -= text.split(end).count(b"") - 1  # after the last line end there is nothing
        if self._comment and self._comment in text:
            count -= text.count(b"\n" + self._comment) + text.startswith(self._comment)
        return count

    def _count_quoted(self, lines: bytes) -> tuple[int, int] | None:
        quote = self._quote
        parts = lines.split(quote)
        if len(parts) % 2 == 0:
            _cut_open(parts)
            if not parts:
                return 0, 0
            lines = quote.join(parts)
        outside = parts[::2]
        if b"" in outside[1:]:
            if self._backslash:
                return None
            outside[1:] = filter(None, outside[1:])
        text = quote.join(outside)
        if not self._has_edges(text) or not self._believes(lines, parts, text):
            return None
        return self._count_lines(text), len(lines)

    def _has_edges(self, text: bytes) -> bool:
        """Return whether each quote is between delimiters or line ends; the first may begin the text."""
        quote, edges = self._quote, (self._delimiter, b"\n", b"\r")
        after = text.count(quote)
        before = after - text.startswith(quote)
        for edge in edges:
            before -= before and text.count(edge + quote)
            after -= after and text.count(quote + edge)
        return not before and not after

    def _believes(self, lines: bytes, parts: list[bytes], text: bytes) -> bool:
        """Return whether line breaks in quoted fields are certainly believed. `text` is what is outside of quotes."""
        if self._believes_all or all(text.count(end) == lines.count(end) for end in (b"\n", b"\r") if end in lines):
            return True
        most, delimiters = self._width - 1, repeat(self._delimiter)
        if self._believes_none or max(map(bytes.count, text.splitlines(), delimiters)) > most:
            return False
        inside = parts[1::2]
        if b"" not in parts[2::2] and max(map(bytes.count, inside, delimiters)) < most:
            return True
        return all(
            _delimiters(parts, 2 * i + 1, self._delimiter) < most
            for i, part in enumerate(inside)
            if b"\n" in part or b"\r" in part
        )


def _cut_open(parts: list[bytes]) -> None:
    """Remove from text that ends in quotes what is after the last line end outside of them."""
    while parts:
        del parts[-1]
        end = max(parts[-1].rfind(b"\n"), parts[-1].rfind(b"\r")) + 1
        if end:
            parts[-1] = parts[-1][:end]
            return
        del parts[-1]


def _delimiters(parts: list[bytes], place: int, delimiter: bytes) -> int:
    """Count the delimiters in the field of which a part inside quotes is at `place`: doubled quotes are within it."""
    first = last = place
    while first > 1 and not parts[first - 1]:
        first -= 2
    while last + 2 < len(parts) and not parts[last + 1]:
        last += 2
    return sum(part.count(delimiter) for part in parts[first : last + 1 : 2])


class LineCounter:
    """Counts the lines of JSON that are records: those that are not blank."""

    def count(self, lines: bytes) -> tuple[int, int] | None:
        """Return how many records are in whole lines, and where the last of them ends."""
        split = lines.split(b"\n")
        blank = sum(not line.strip(b" \t\r") for line in split if len(line) < 2 or line[0] in b" \t\r")
        return len(split) - blank, len(lines)
