"""One record, read closely: believed, or rejected with all lines that may belong to it. Pure.

What a broken record costs. Its first line is a reject. Then the field that broke it may still be open, and lines after
it may belong to it, though they read as records:

- If a later line can close the field, all lines up to it are rejected.
- If before that a line proves that the field is closed, or if no line can close it within the longest record, the
  first line that looks like a record ends the rejected ones.
"""

from __future__ import annotations

from engine.reading.doubts import is_doubtful, looks_whole, proves_closed, stays_open
from engine.reading.fields import BAD_QUOTES, NEVER_CLOSED, RawRecord, read_record
from engine.reading.layout import Entry, Fault, Layout, View
from engine.reading.lines import decoded, find_line_end, last_line_end, line_ends

TOO_BROKEN = "the quotes are broken over and over: these lines are rejected together"

DOUBTFUL = "a quoted field holds what looks like rows of its own: it reads in two ways"

MIXED_QUOTES = "a quote in an unquoted field: it reads in two ways"

LINE_BREAK = "a line break in a quoted field, which the schema does not allow"

CONTINUED = "the line may belong to the broken row before it"

MAX_REJECTED_LINES = 10_000
"""Lines of one record that become a reject each; more become one reject together, to bound the memory for them."""

Settled = tuple[list[Entry], list[int]]
"""Entries, and the end of each in the bytes of the view."""


def read_one(view: View, text: str, place: int, start: int, layout: Layout) -> Settled | None:
    """Read the record at `place` of the text, which is at `start` of the view, closely.

    Returns its entry, or one for each of the lines that are rejected with it; None if more bytes are needed.
    """
    held, dialect, limit = view.held, layout.dialect, layout.limits.record_bytes
    first_end = find_line_end(held, start) or len(held)
    if text[place : place + 1] in ("\r", "\n"):
        return [[]], [first_end]
    if dialect.comment and text.startswith(dialect.comment, place):
        # The beginning of a line that is too long is rejected before its end is seen, whatever it is.
        return ([[]] if first_end - start <= limit else [Fault(layout.limits.too_long)]), [first_end]
    record = read_record(text, place, len(text), layout.syntax)
    end = start + _byte_count(text[place : record.end])
    if record.fault is None and end - start <= limit:
        doubt = _disbelief(text, record, layout)
        return ([record.fields], [end]) if doubt is None else _rejects(held, start, end, doubt, doubt)
    whole_lines, _ = view.known(len(held))
    if record.fault is NEVER_CLOSED and (end < whole_lines or not (view.final or len(held) - start > limit)):
        return None
    return _reject_broken(view, record, (start, first_end, end), layout)


def _disbelief(text: str, record: RawRecord, layout: Layout) -> str | None:
    """Return why a record that can be read must not be believed."""
    if record.mixed:
        return MIXED_QUOTES
    if not record.spans or layout.header is None or layout.dialect.multiline:
        return None
    if layout.dialect.multiline is False:
        return LINE_BREAK
    if layout.pad:
        return DOUBTFUL
    width, loose = len(layout.header), layout.loose
    return DOUBTFUL if is_doubtful(text, record, width, layout.syntax, loose=loose) else None


def _reject_broken(view: View, record: RawRecord, span: tuple[int, int, int], layout: Layout) -> Settled | None:
    """Reject a broken record, and the lines after it that may belong to it.

    `span`: where it begins, where its first line ends, and the last byte examined.
    """
    held, limits = view.held, layout.limits
    start, first_end, seen = span
    within, certain = view.known(start + limits.record_bytes)
    # The longest record ends at `within`, however far the reader looked. This must not depend on the chunks.
    if record.fault is NEVER_CLOSED:
        seen = len(held)
    elif record.fault is BAD_QUOTES:
        seen = find_line_end(held, seen) or len(held)
    reason = limits.too_long if seen - start > limits.record_bytes else record.fault or ""
    seen = min(seen, within)
    end: int | None = first_end
    first_line = decoded(held[start:first_end])[0]
    if first_end <= within and layout.header is not None and stays_open(first_line, layout.syntax, opened=False):
        end = _end_of_doubt(view, record, first_end, (within, certain), layout)
    if end is None:
        return None
    if seen > first_end and view.waste.add(seen - start, view.offset + start):
        end = max(seen, end)
        return [Fault(TOO_BROKEN)], [end]
    return _rejects(held, start, end, reason, CONTINUED)


def _end_of_doubt(
    view: View, record: RawRecord, first_end: int, window: tuple[int, bool], layout: Layout
) -> int | None:
    """Return the end of the lines that may belong to a broken record, whose first line ends at `first_end`.

    `window`: the end of the longest record, and whether that is certain. Returns None if more bytes are needed.
    """
    held, syntax, width = view.held, layout.syntax, len(layout.header or ())
    within, certain = window
    quote = layout.dialect.quote.encode()
    place, closed = max(first_end, view.quiet.until - view.offset), False
    while place < within and not closed:
        found = held.find(quote, place, within)
        line_start = within if found < 0 else last_line_end(held, found, place)
        place = line_start
        if found < 0:
            break
        line_end = find_line_end(held, found) or len(held)
        line = decoded(held[line_start:line_end])[0]
        if proves_closed(line, width, syntax):
            closed = True
        elif stays_open(line, syntax, opened=True):
            place = line_end
        else:
            return line_end
    view.quiet.until = max(view.quiet.until, view.offset + place)
    if not closed and not certain:
        return None
    loose = layout.loose or record.loose
    line_start = first_end
    while line_start < place:
        line_end = find_line_end(held, line_start) or len(held)
        line = decoded(held[line_start:line_end])[0].rstrip("\r\n")
        if line and _is_plain_record(line, layout, loose=loose):
            return line_start
        line_start = line_end
    return max(place, first_end)


def _is_plain_record(line: str, layout: Layout, *, loose: bool) -> bool:
    dialect, wanted = layout.dialect, len(layout.header or ()) - 1
    if dialect.quote in line or (dialect.comment and line.startswith(dialect.comment)):
        return False
    return line.count(dialect.delimiter) == wanted and looks_whole(line, wanted, layout.syntax, loose=loose)


def _rejects(held: bytes, start: int, end: int, reason: str, further: str) -> Settled:
    """Return a fault for each line between two places: the first with `reason`, the others with `further`."""
    data = held[start:end]
    ends = line_ends(data)
    if len(ends) > MAX_REJECTED_LINES:
        return [Fault(reason)], [end]
    entries: list[Entry] = [Fault(further) if line.strip(b"\r\n") else [] for line in data.splitlines()]
    entries[0] = Fault(reason)
    return entries, [start + each for each in ends]


def _byte_count(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogateescape"))
