"""The beginning of a delimited file -> its `Dialect`: what the schema leaves open is found. Pure and deterministic.

Only the first `SAMPLE_BYTES` count, whatever follows. A delimiter is found if the header has it and the rows have as
many fields as the header. If that is true of two delimiters, the file reads in two ways and is refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from engine.errors import BadFile
from engine.reading.format import NO_QUOTE, Dialect, Format

SAMPLE_BYTES = 65_536
"""Of the text as UTF-8: some hundred rows, and little beside what a reader holds back anyway."""

DELIMITERS = ",;\t|"
"""What is looked for. Others are too common in text: they must be declared."""

_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}


def find_dialect(sample: str, form: Format) -> Dialect:
    """Return the dialect of a file that begins with the lines of `sample`. Raises `BadFile` if there are two."""
    dialect = Dialect(
        delimiter=form.delimiter or ",",
        quote="" if form.quote == NO_QUOTE else form.quote or '"',
        escape=form.escape or "double",
        comment=form.comment or "",
        multiline=form.multiline,
    )
    lines = list(_significant_lines(sample, form))
    if form.delimiter is not None or not lines:
        return dialect
    head = "".join(lines[: max(form.header_lines, 1)])
    candidates = [dialect._replace(delimiter=each) for each in DELIMITERS if each in head]
    if len(candidates) < 2:
        return candidates[0] if candidates else dialect
    return _best(candidates, lines)


def _significant_lines(sample: str, form: Format) -> Iterator[str]:
    for i, line in enumerate(io.StringIO(sample, newline="")):
        if i >= form.skip_lines and line.strip("\r\n") and not (form.comment and line.startswith(form.comment)):
            yield line


def _best(candidates: list[Dialect], lines: list[str]) -> Dialect:
    shares = {each: _share(each, lines) for each in candidates}
    fitting = [each for each in candidates if shares[each] >= 0.9]
    if len(fitting) > 1:
        found = " or ".join(_NAMES[each.delimiter] for each in fitting)
        raise BadFile(f"the columns can be separated by {found}: say which with delimiter in [format]")
    return max(candidates, key=lambda each: shares[each])  # the first of equal ones


def _share(dialect: Dialect, lines: list[str]) -> float:
    """Return the share of rows that have as many fields as the header."""
    reader = csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quote or None)
    header, *rows = list(reader)
    if len(header) < 2:
        return 0.0
    return sum(len(row) == len(header) for row in rows) / len(rows) if rows else 1.0
