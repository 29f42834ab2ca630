r"""One record of delimited text, field by field: the exact reader behind the fast ones. Pure.

Python's `csv` reads most lines, several times as fast. This reader takes those that `csv` cannot read, reads
differently, or reads without telling what must be known: where a quoted field with line breaks begins and ends, or
whether a field was quoted at all. It differs from a strict `csv.reader` in this:

- Blanks around a quoted field are dropped. `csv` would keep the quotes as a part of the value.
- A backslash escapes the delimiter, the quote, itself and a line end; before anything else it is an ordinary character
  (``C:\temp`` and ``\N`` stay as they are), where `csv` would drop it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from engine.reading.format import Dialect

NEVER_CLOSED = "a quoted field is never closed"

BAD_QUOTES = "the quotes are wrong: text follows a closing quote"


_PAIR = "\0"
"""Stands for two quotes."""


class Span(NamedTuple):
    """Text with line breaks inside one field: the index of the field, and where the text begins and ends."""

    field: int
    begin: int
    end: int


class RawRecord(NamedTuple):
    """One record, or what is wrong with it.

    `end` is where the next record begins; of a broken one, where the reader found out. `fault` is `NEVER_CLOSED` if
    the text ended in a quoted field, or `BAD_QUOTES`. `spans` are the fields with line breaks. `loose`: blanks follow
    a delimiter. `mixed`: quotes in unquoted fields, with a delimiter between them, may be meant as quotes. `quoted` has
    the indexes of quoted fields.
    """

    fields: list[str]
    end: int
    fault: str | None = None
    spans: Sequence[Span] = ()
    loose: bool = False
    mixed: bool = False
    quoted: Sequence[int] = ()


class Syntax(NamedTuple):
    """The patterns of one dialect."""

    dialect: Dialect
    field: re.Pattern[str]
    """A field with the delimiter or line end behind it: quoted text, unquoted text, what ends it."""
    opening: re.Pattern[str]
    body: re.Pattern[str]
    """Text from an opening quote up to the closing one, or the end."""
    lone_quote: re.Pattern[str]
    """A quote that a delimiter or a line end follows, with blanks between them; escaped quotes are passed over."""
    tight: re.Pattern[str]
    """A delimiter that no blank follows."""
    odd: re.Pattern[str]
    """Where `csv` may read something else than this reader, or reads what has to be looked at; see `odd_places`."""
    escape: re.Pattern[str]
    usual: re.Pattern[str]
    """Whole lines of the most usual shape that has odd places; see `usual_lines`."""
    strict: re.Pattern[str]
    """A whole line that every reader of such quotes reads alike if a record begins there: no blanks around the quotes
    of a field, all others doubled."""
    strict_lines: re.Pattern[str]
    """Lines that are `strict` each, with `_PAIR` in place of two quotes one after the other; see `is_strict`."""
    spaced: re.Pattern[str]
    """A delimiter, blanks and a quote: text in quotes, but a quoted field in a line that begins within a field."""
    blanks: str


@lru_cache(maxsize=64)
def syntax_of(dialect: Dialect) -> Syntax:
    """Return the patterns of a dialect."""
    delimiter, quote = re.escape(dialect.delimiter), re.escape(dialect.quote)
    blanks = " \t".replace(dialect.delimiter, "")
    blank = f"[{blanks}]"
    ends = rf"{delimiter}|\r\n|\n|\r|\Z"
    backslash = dialect.escape == "backslash"
    escaped = r"\\(?:\r\n|.|\Z)"
    plain = rf"(?:[^{delimiter}\\\r\n]++|{escaped})*+" if backslash else rf"[^{delimiter}\r\n]*+"
    body = rf"(?:[^{quote}\\]++|{escaped})*+" if backslash else rf"(?:[^{quote}]++|{quote}{quote})*+"
    pair = r"\\." if backslash else quote * 2
    nothing = r"(?!)"
    if dialect.quote:
        field = rf"(?:{blank}*+{quote}({body}){quote}{blank}*+|(?!{blank}*+{quote})({plain}))({ends})"
        # At the beginning of a field, or with text behind it: neither is so where `csv` reads a bare quote rightly.
        inside = rf"{delimiter}{quote}\r\n"
        odd = rf"{quote}(?:(?<={blank}{quote})|(?<=[^{inside}]{quote})(?=[^{inside}{blanks}]))"
    else:
        field, body, odd = rf"(?:({nothing})|({plain}))({ends})", nothing, nothing
    if backslash:
        # `csv` is not strict then: text after a closing quote becomes a part of the field.
        odd = rf"\\|{quote or nothing}"
    if backslash:
        known = rf"\\[{delimiter}{quote}\\]"
        usual = rf"(?:[^{delimiter}{quote}\\\r\n]++|{known})*+"
        if quote:
            usual = rf"(?:{quote}(?:[^{quote}\\\r\n]++|{known})*+{quote}|{usual})"
    elif quote and " " in blanks:
        # No text in quotes has what stands around them: a quote after a delimiter and a blank, or before those.
        inside = rf"(?! {delimiter})[^{quote}\r\n]*+(?<!{delimiter} )"
        usual = rf"(?:(?: )?{quote}{inside}{quote}(?: )?|[^{delimiter}{quote}\r\n]*+)"
    else:
        usual = nothing
    usual = rf"(?! ){usual}(?:{delimiter}{usual})*+(?<! )"
    alike = rf"(?:{quote}(?:[^{quote}\r\n]++|{quote}{quote})*+{quote}|[^{delimiter}{quote}\r\n]*+)"
    # Of an odd number of quotes at the beginning of a field the first one opens it, though it comes last here; an even
    # number is a field of its own.
    closed = rf"{_PAIR}*+{quote}[^{quote}\r\n]*+{quote}|{_PAIR}++(?=[{delimiter}\r\n])"
    paired = rf"(?:{closed}|[^{delimiter}{quote}{_PAIR}\r\n]*+)"
    return Syntax(
        dialect=dialect,
        field=re.compile(field, re.DOTALL),
        opening=re.compile(f"{blank}*+{quote}" if quote else nothing),
        body=re.compile(body, re.DOTALL),
        lone_quote=re.compile(rf"{pair}|({quote})(?={blank}*+(?:{ends}))|{quote}" if quote else nothing, re.DOTALL),
        tight=re.compile(rf"{delimiter}(?![{blanks}])"),
        odd=re.compile(odd),
        escape=re.compile(rf"\\(\\|{delimiter}|{quote or nothing}|\r\n|\n|\r)"),
        usual=re.compile(rf"(?:{usual}(?:\r\n|\n|\r))*+(?:{usual})?"),
        strict=re.compile(
            rf"{alike}(?:{delimiter}{alike})*+(?:\r\n|\n|\r)?" if dialect.quote and not backslash else nothing
        ),
        strict_lines=re.compile(
            rf"(?:{paired}(?:{delimiter}{paired})*+(?:\r\n|\n|\r))*+" if dialect.quote and not backslash else nothing
        ),
        spaced=re.compile(rf"{delimiter}{blank}++{quote}" if quote else nothing),
        blanks=blanks,
    )


def is_strict(text: str, syntax: Syntax) -> bool:
    """Return whether each line is certainly a record that every reader reads alike, as if `strict` matched all lines.

    Where there are many doubled quotes, that takes a third of the time.
    """
    lines = text.replace(syntax.dialect.quote * 2, _PAIR)
    return (
        _PAIR not in text and syntax.strict_lines.fullmatch(lines if lines[-1:] in "\r\n" else f"{lines}\n") is not None
    )


def odd_places(text: str, syntax: Syntax) -> Iterator[int]:
    """Yield where `csv` may read something else than `read_record`, or reads what has to be looked at.

    That is blanks before an opening quote, and text after a quote that follows text; where a backslash escapes, each
    backslash and each quote.
    """
    blanks, outside = syntax.blanks, ("", "\r", "\n", syntax.dialect.delimiter)
    quote_or_end = (*outside, syntax.dialect.quote, *blanks)
    for found in syntax.odd.finditer(text):
        place = found.start()
        before = place - 1
        if before >= 0 and text[before] in blanks and syntax.dialect.escape == "double":
            while before >= 0 and text[before] in blanks:
                before -= 1
            if text[before : before + 1] not in outside and text[place + 1 : place + 2] in quote_or_end:
                continue
        yield place


def usual_lines(lines: str, syntax: Syntax) -> str | None:
    """Return lines as `csv` reads them rightly, without blanks around quotes; None if one may be of another shape.

    Each is a whole record. Quoted fields have no quotes in them but escaped ones; either those or blanks around them.
    """
    if not syntax.usual.fullmatch(lines):
        return None
    delimiter, quote = syntax.dialect[:2]
    if syntax.dialect.escape == "backslash":
        return lines
    return lines.replace(f"{delimiter} {quote}", delimiter + quote).replace(f"{quote} {delimiter}", quote + delimiter)


def read_record(text: str, begin: int, end: int, syntax: Syntax) -> RawRecord:
    """Read the record that begins at `begin`, not further than `end`, which is the end of a line or of the file."""
    match, blanks = syntax.field.match, tuple(syntax.blanks)
    delimiter, quote, escape = syntax.dialect[:3]
    fields: list[str] = []
    spans: list[Span] = []
    quoted: list[int] = []
    loose, place = False, begin
    bare: list[str] = []
    while found := match(text, place, end):
        in_quotes, value, ender = found.groups()
        loose = loose or (place > begin and text.startswith(blanks, place))
        if in_quotes is not None:
            value = in_quotes
            quoted.append(len(fields))
        elif quote and quote in value and escape == "double":
            bare.append(value)
        if "\n" in value or "\r" in value:
            spans.append(Span(len(fields), *found.span(2 if in_quotes is None else 1)))
        if escape == "backslash":
            if "\\" in value:
                value = syntax.escape.sub(r"\1", value)
        elif in_quotes and quote in value:
            value = value.replace(quote + quote, quote)
        fields.append(value)
        place = found.end()
        if ender != delimiter:
            if spans and spans[-1].end == end:  # an escaped line end, and nothing after it
                break
            return RawRecord(
                fields, place, None, spans, loose, bool(bare) and _mixed(bare, quote, syntax.blanks), quoted
            )
    opened = syntax.opening.match(text, place, end)
    body = opened and syntax.body.match(text, opened.end(), end)
    stop = body.end() if body else end
    loose = loose or (place > begin and text.startswith(blanks, place))
    return RawRecord(fields, stop, NEVER_CLOSED if stop == end else BAD_QUOTES, spans, loose, quoted=quoted)


def _mixed(bare: list[str], quote: str, blanks: str) -> bool:
    """Return whether a field has a quote like an opening one, and a later field another one that may close it.

    ``24" monitor`` has one like a closing quote only, and a quote without a partner is a character like any other.
    """
    opened = False
    for value in bare:
        if value.count(quote) % 2:
            if opened:
                return True
            after = value[value.rindex(quote) + 1 :]
            opened = bool(after) and after[0] not in blanks
    return False
