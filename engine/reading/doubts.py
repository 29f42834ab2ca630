"""Which lines must not be believed: a line break in a quoted field may be the end of a record. Pure.

A stray quote opens a field that swallows the records after it, up to the next quote that can close it. And what comes
after a broken record may be the rest of that record. Both are decided by what single lines look like: like a record of
their own, or not.

- A line *looks like a record* if it has as many fields as the header. In text, a blank follows nearly each comma, in a
  file of records nearly none. So delimiters that a blank follows do not count, unless the file is written like that.
- A quoted field with line breaks is *doubtful* if a line inside it looks like a record, or if both its first and its
  last line do, each with what is before or after the quotes. Honest text has few such lines.
- A line *proves that no field is open* if it is a record by itself with fields properly quoted: inside a quoted field
  there would be no such quotes.
- A line *closes* an open field if a delimiter or a line end follows a quote in it, and no other field is open then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.reading.fields import RawRecord, Syntax, read_record

_LINE_END = re.compile(r"\r\n|\n|\r")


def looks_whole(part: str, wanted: int, syntax: Syntax, *, loose: bool, last_counts: bool = False) -> bool:
    """Return whether the delimiters in a part of a line can be the `wanted` ones that a record still needs there.

    Text may have as many commas, so at least half must be tight: no blank follows them. `loose`: the file is written
    with such blanks. `last_counts`: a delimiter that ends the part is tight, so more than half must be tight, since
    "Dear Sir, or Madam," is text.
    """
    if wanted <= 0:
        return True
    delimiter = syntax.dialect.delimiter
    count = part.count(delimiter)
    if count < wanted:
        return False
    tight = count if loose else len(syntax.tight.findall(part)) - (not last_counts and part.endswith(delimiter))
    return tight >= wanted or (count == wanted and tight * 2 >= wanted + last_counts)


def is_doubtful(text: str, record: RawRecord, width: int, syntax: Syntax, *, loose: bool) -> bool:
    """Return whether a field with line breaks may hold records of their own; a record has `width` fields."""
    loose = loose or record.loose
    spans, last = record.spans, len(record.fields) - 1
    for i, span in enumerate(spans):
        # Delimiters before and after the field on its first and last line, up to the next field with line breaks.
        before = span.field - (spans[i - 1].field if i else 0)
        after = (spans[i + 1].field if i + 1 < len(spans) else last) - span.field
        first, *inside, end = _LINE_END.split(text[span.begin : span.end])
        # An empty field may follow the first part. But a stray quote that closes a field follows text: after a
        # delimiter it would open one.
        if looks_whole(first, width - 1 - before, syntax, loose=loose, last_counts=True) and looks_whole(
            end, width - 1 - after, syntax, loose=loose
        ):
            return True
        if any(looks_whole(line, width - 1, syntax, loose=loose) for line in inside):
            return True
    return False


def has_few_delimiters(row: Sequence[str], width: int, delimiter: str) -> bool:
    """Return whether `is_doubtful` is certainly false for a record with these fields.

    A line inside a field needs `width` - 1 delimiters to be believed, and so do its first and last line together.
    """
    return len(row) == width > 1 and (
        "".join(row).count(delimiter) < width - 1
        or all(value.count(delimiter) < width - 1 for value in row if "\n" in value or "\r" in value)
    )


def proves_closed(line: str, width: int, syntax: Syntax) -> bool:
    """Return whether a line is a whole record with properly quoted fields, so that no field can be open before it."""
    record = read_record(line, 0, len(line), syntax)
    if record.fault or record.end != len(line) or len(record.fields) != width or not record.quoted:
        return False
    quote = syntax.dialect.quote
    return not any(quote in record.fields[i] for i in set(range(width)) - set(record.quoted))


def stays_open(line: str, syntax: Syntax, *, opened: bool) -> bool:
    """Return whether a field may be open at the end of a line, if quotes inside quoted fields are not escaped.

    `opened`: whether one is open at its beginning.
    """
    place, delimiter = 0, syntax.dialect.delimiter
    while True:
        if not opened:
            opening = syntax.opening.match(line, place)
            if opening is None:
                found = syntax.field.match(line, place)
                if found is None or found[3] != delimiter:
                    return False
                place = found.end()
                continue
            place = opening.end()
        closing = next((each for each in syntax.lone_quote.finditer(line, place) if each[1]), None)
        if closing is None:
            return True
        opened = False
        place = line.find(delimiter, closing.end()) + 1
        if not place or line[closing.end() : place - 1].strip(syntax.blanks):
            return False


def names_are_loose(header: Sequence[str], syntax: Syntax) -> bool:
    """Return whether a header is written with blanks after its delimiters."""
    return any(name[:1] and name[0] in syntax.blanks for name in header[1:])
