"""Whole lines -> how many records they hold, counted without reading them: several times as fast. Pure.

A count is given only where the exact readers certainly come to the same; elsewhere there is none. Lines that begin at
a record are certain if

- no line end is escaped: where a backslash escapes, there is none;
- where there are quotes, a quote and a delimiter are one byte each;
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

from operator import itemgetter

from engine.reading.format import Dialect

_FIRST, _LAST = itemgetter(0), itemgetter(-1)

_FEW_QUOTES = 20
"""Bytes outside of quotes for each of them, from which it is faster to look at each quote than to count pairs."""


class RecordCounter:
    """Counts the records of delimited text in `dialect`; `width` is the number of fields in the header.

    `pad`: rows may have fewer fields than the header, so that no line break in a quoted field is believed.
    """

    def __init__(self, dialect: Dialect, width: int, *, pad: bool) -> None:
        self._quote, self._delimiter = dialect.quote.encode(), dialect.delimiter.encode()
        self._backslash, self._comment = dialect.escape == "backslash", dialect.comment.encode()
        self._edges = self._delimiter + b"\n\r"  # in the order in which they are frequent
        self._but_edges, self._but_marks, self._but_separators = (
            bytes(set(range(256)).difference(kept))
            for kept in (self._edges, self._edges + self._quote, self._delimiter + self._quote)
        )
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
        if len(self._quote) > 1 or len(self._delimiter) > 1:
            return None
        return None if self._comment and self._has_comment(lines) else self._count_quoted(lines)

    def _has_comment(self, lines: bytes) -> bool:
        comment = self._comment
        return comment in lines and (lines.startswith(comment) or b"\n" + comment in lines or b"\r" + comment in lines)

    def _count_lines(self, text: bytes) -> int:
        """Count the lines that are records: neither empty nor comments."""
        end, count = b"\n", text.count(b"\n")
        if b"\r" in text:
            if text.count(b"\r") == count == text.count(b"\r\n"):
                end = b"\r\n"
            else:
                text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                count = text.count(b"\n")
        if end + end in text or text.startswith(end):
            count -= text.split(end).count(b"") - 1  # after the last line end there is nothing
        if self._comment and self._comment in text:
            count -= text.count(b"\n" + self._comment) + text.startswith(self._comment)
        return count

    def _count_quoted(self, lines: bytes) -> tuple[int, int] | None:
        quote, size = self._quote, len(lines)
        parts = lines.split(quote)
        if len(parts) % 2 == 0:
            size -= _cut_open(parts)
            if not parts:
                return 0, 0
        outside, inside = parts[::2], parts[1::2]
        text, quoted = quote.join(outside), quote.join(inside)
        if not self._has_edges(outside, text):
            return None
        if (b"\n" in quoted or b"\r" in quoted) and not self._believes_all:
            if b"" in outside[1:]:
                # Doubled quotes divide no field. They go, and so do quoted fields in which nothing matters.
                inside = lines[:size].translate(None, self._but_marks).replace(quote + quote, b"").split(quote)[1::2]
                quoted = quote.join(inside)
            if self._believes_none or not self._believes(text, inside, quoted):
                return None
        return self._count_lines(text), size

    def _has_edges(self, outside: list[bytes], text: bytes) -> bool:
        """Return whether each quote is between delimiters or line ends, or doubled; the first may begin the text.

        `text` is what is `outside` of quotes, joined by them.
        """
        quote, first = self._quote, outside[0]
        if len(text) > _FEW_QUOTES * len(outside):
            others = list(filter(None, outside[1:]))
            at_quotes = first[-1:] + bytes(map(_FIRST, others)) + bytes(map(_LAST, others))
            if self._backslash and len(others) < len(outside) - 1:
                return False
            return not at_quotes.translate(None, self._edges)
        doubled = outside[1:].count(b"") if quote + quote in text else 0
        if doubled and self._backslash:
            return False
        after = len(outside) - 1 - doubled
        before = after - (not first)
        for edge in self._edges:
            pair = quote[0], edge
            before -= before and text.count(bytes(pair[::-1]))
            after -= after and text.count(bytes(pair))
        return not before and not after

    def _believes(self, text: bytes, inside: list[bytes], quoted: bytes) -> bool:
        """Return whether line breaks in quoted fields are certainly believed.

        `text` is what is outside of quotes, `quoted` what is `inside`, joined by quotes.
        """
        delimiter, most = self._delimiter, self._width - 1
        if delimiter * self._width in text.translate(None, self._but_edges):
            return False
        return delimiter * most not in quoted.translate(None, self._but_separators) or not any(
            part.count(delimiter) >= most for part in inside if b"\n" in part or b"\r" in part
        )


def _cut_open(parts: list[bytes]) -> int:
    """Remove from text that ends in quotes what is after the last line end outside of them; return how many bytes."""
    removed = 0
    while parts:
        removed += len(parts.pop()) + 1
        end = max(parts[-1].rfind(b"\n"), parts[-1].rfind(b"\r")) + 1
        if end:
            removed += len(parts[-1]) - end
            parts[-1] = parts[-1][:end]
            break
        removed += len(parts.pop()) + 1
    return removed


class LineCounter:
    """Counts the lines of JSON that are records: those that are not blank."""

    def count(self, lines: bytes) -> tuple[int, int] | None:
        """Return how many records are in whole lines, and where the last of them ends."""
        split = lines.split(b"\n")
        blank = sum(not line.strip(b" \t\r") for line in split if len(line) < 2 or line[0] in b" \t\r")
        return len(split) - blank, len(lines)
