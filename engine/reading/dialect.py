"""The beginning of a delimited file -> its `Dialect`: what the schema leaves open is found. Pure and deterministic.

Only the first `SAMPLE_BYTES` count, whatever follows.

- A delimiter is found if the header has it and nearly all rows have as many fields as the header. If that is true of
  two delimiters, the file reads in two ways and is refused.
- Quotes are double ones, unless more rows fit with single ones, or single ones are around all texts of a column. Where
  single ones may be apostrophes as well, the file is refused.
- A backslash is an escape character only if more rows fit then.
- A header is never guessed away: the schema says if there is none.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import islice, product
from typing import NamedTuple

from engine.errors import BadFile
from engine.reading.fields import RawRecord, read_record, syntax_of
from engine.reading.format import NO_QUOTE, Dialect, Format

SAMPLE_BYTES = 65_536
"""Of the text as UTF-8: some hundred rows, and little beside what a reader holds back anyway."""

SAMPLE_RECORDS = 500

DELIMITERS = ",;\t|"
"""What is looked for. Others are too common in text: they must be declared."""

MAX_RESCANNED = 16 * SAMPLE_BYTES
"""Characters of broken records that are read again from their second line on: in 64 KiB of stray quotes each line may
be looked through to the end, in each of 16 dialects."""

NEARLY_ALL = 0.9

_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}

_SINGLE_QUOTED = re.compile(rf"(?:^|[{DELIMITERS}])[ \t]*'", re.MULTILINE)

_NUMBER = re.compile(r"\s*[-+]?[0-9.,]*\s*")


class _Trial(NamedTuple):
    """What came of reading the sample in a dialect: the share of rows that fit, and the records.

    `in_doubt`: whether nothing tells its single quotes from apostrophes.
    """

    dialect: Dialect
    share: float
    records: list[RawRecord]
    in_doubt: bool = False


def find_dialect(sample: str, form: Format) -> Dialect:
    """Return the dialect of a file that begins with the lines of `sample`. Raises `BadFile` if it may be another."""
    declared = Dialect(
        delimiter=form.delimiter or ",",
        quote="" if form.quote == NO_QUOTE else form.quote or '"',
        escape=form.escape or "double",
        comment=form.comment or "",
        multiline=form.multiline,
    )
    head = "".join(islice(_significant_lines(sample, form), max(form.header_lines, 1)))
    delimiters = form.delimiter or "".join(each for each in DELIMITERS if each in head) or ","
    quotes = [declared.quote]
    if form.quote is None and "'" in sample and _SINGLE_QUOTED.search(sample):
        quotes.append("'")
    escapes = [declared.escape]
    if form.escape is None and "\\" in sample:
        escapes.append("backslash")
    if len(delimiters) == len(quotes) == len(escapes) == 1:
        return declared._replace(delimiter=delimiters)
    text = "".join(_significant_lines(sample, form))
    trials = [
        _best(
            [
                _trial(declared._replace(delimiter=each, quote=q, escape=e), text, form)
                for q, e in product(quotes, escapes)
            ]
        )
        for each in delimiters
    ]
    fitting = [trial for trial in trials if trial.share >= NEARLY_ALL]
    if len(fitting) > 1:
        found = " or ".join(_NAMES[trial.dialect.delimiter] for trial in fitting)
        raise BadFile(f"the columns can be separated by {found}: say which with delimiter in [format]")
    best = max(trials, key=_share)  # the first of equal ones
    if best.in_doubt:
        raise BadFile("single quotes may be quotes or characters of the text: say which with quote in [format]")
    return best.dialect


def _significant_lines(sample: str, form: Format) -> Iterator[str]:
    for i, line in enumerate(io.StringIO(sample, newline="")):
        if i >= form.skip_lines and line.strip("\r\n") and not (form.comment and line.startswith(form.comment)):
            yield line


def _share(trial: _Trial) -> float:
    return trial.share


def _trial(dialect: Dialect, text: str, form: Format) -> _Trial:
    """Read the sample; a record that is broken costs its first line. The last one may be cut off and does not count."""
    syntax, place, broken, rescanned = syntax_of(dialect), 0, 0, 0
    records: list[RawRecord] = []
    while place < len(text) and len(records) + broken < SAMPLE_RECORDS and rescanned < MAX_RESCANNED:
        record = read_record(text, place, len(text), syntax)
        if record.fault is None:
            records.append(record)
            place = record.end
            continue
        broken += 1
        rescanned += record.end - place
        place = text.find("\n", place) + 1 or len(text)
    header = records[: form.header_lines]
    rows = records[form.header_lines :]
    width = len(form.names or max((record.fields for record in header), key=len, default=[]))
    if len(records) > 1 and width < 2:
        return _Trial(dialect, 0.0, records)
    fitting = sum(len(record.fields) == width and not record.mixed for record in rows)
    return _Trial(dialect, fitting / (len(rows) + broken) if rows or broken else 1.0, records)


def _best(trials: list[_Trial]) -> _Trial:
    """Return the trial that fits best; of equal ones the first, unless single quotes are around a column's texts."""
    best = max(trials, key=_share)
    if best.dialect.quote == '"' and not any(record.quoted for record in best.records):
        for trial in trials:
            if trial.dialect.quote == "'" and trial.share == best.share and _quotes_texts(trial.records):
                # A single row is no evidence, unless its header is quoted too.
                header, *rows = trial.records
                return trial._replace(in_doubt=len(rows) == 1 and not header.quoted)
    if best.dialect.quote == "'" and len(trials) > 1 and any(record.spans for record in best.records):
        # Lines between two apostrophes fit as one row.
        return best._replace(in_doubt=not _quotes_same_columns(best.records))
    return best


def _quotes_texts(records: list[RawRecord]) -> bool:
    """Return whether the texts of some columns are quoted, as `_quotes_same_columns` does.

    What has a line break in it is not believed: its lines fit as rows of their own.
    """
    return not any(record.spans for record in records) and _quotes_same_columns(records)


def _quotes_same_columns(records: list[RawRecord]) -> bool:
    """Return whether in each column all texts of the rows are quoted or none is, and there are some that are."""
    seen: dict[int, set[bool]] = {}
    for record in records[1:]:
        quoted = set(record.quoted)
        for i, value in enumerate(record.fields):
            if i in quoted or not _NUMBER.fullmatch(value):
                seen.setdefault(i, set()).add(i in quoted)
    return all(len(kinds) == 1 for kinds in seen.values()) and any(True in kinds for kinds in seen.values())
