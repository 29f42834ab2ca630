"""A sample of a file -> the text of a schema that reads it, with comments for the person who decides. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from engine.decimal_text import canonical_number
from engine.schema.infer import Guess, Key, guess_column, is_like_a_value, key_candidates
from engine.schema.infer_members import guess_members
from engine.schema.toml import setting, table

MOST_NAMED = 5
"""Key candidates that are named in a comment."""


class Sample(NamedTuple):
    """Rows of a file: `header` as it is in the file, and `rows` of as many values.

    `format` has what the reader found, as settings of ``[format]``. `whole`: the rows are all that the file has.
    `rejected` rows were left out, because the reader could not read them; `first_reject` says which was the first, and
    why. JSON lines and DynamoDB exports have `objects` instead of header and rows.
    """

    file: str
    format: Mapping[str, Any]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    rejected: int
    whole: bool
    first_reject: str = ""
    objects: Sequence[Mapping[str, Any]] = ()


def propose(sample: Sample, *, header: bool = True) -> str:
    """Return the text of a schema for the file that `sample` comes from.

    Without `header`, and where all names are numbers, the first line of a CSV file is data.
    """
    if sample.header and (not header or all(map(canonical_number, map(str.strip, sample.header)))):
        sample = _without_header(sample)
    guesses = _guesses(sample)
    rows = len(sample.rows) + len(sample.objects)
    candidates = key_candidates(guesses, rows)
    key, generated, notes = _key(candidates, rows, {guess.name.casefold() for guess in guesses})
    required = {guess.name for guess in (candidates[0].columns if candidates else ())}
    parts = [
        _head(sample),
        table(["key"], key, notes),
        table(["format"], sample.format, ["found in the file; other files must be alike", *_doubts(sample)]),
        *(_column(guess, sample, required=guess.name in required) for guess in guesses),
        table(["generated"], generated, ["attributes that Millpond adds"]),
    ]
    return "\n".join(parts)


def collection_of(file: str) -> str:
    """Return a collection's name for the file of that name."""
    stem = file.rpartition("/")[2].partition(".")[0]
    name = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")
    return name[:63] if name[:1].isalpha() else f"file-{name}"[:63].rstrip("-_")


def _without_header(sample: Sample) -> Sample:
    """Return the sample of a file whose first line is data, since all of it is numbers."""
    names = [f"column_{place}" for place in range(1, len(sample.header) + 1)]
    form = {**sample.format, "header_lines": 0, "names": names}
    return sample._replace(format=form, header=names, rows=[sample.header, *sample.rows])


def _doubts(sample: Sample) -> list[str]:
    """Return a note if some names of the header may be data."""
    names = [] if "names" in sample.format else [name for name in sample.header if is_like_a_value(name)]
    if not names:
        return []
    some = ", ".join(map(setting, names[:MOST_NAMED]))
    return [f"names like values: {some}; if the first line is data, use millpond schema --no-header"]


def _head(sample: Sample) -> str:
    which = "all" if sample.whole else "the first"
    count = len(sample.rows) + len(sample.objects)
    lines = [
        f"# Proposed from {which} {count:,} rows of {setting(sample.file)}. Read it before you use it: a",
        "# sample shows what values are like, not what they mean. docs/schema.md explains each setting.",
    ]
    if sample.rejected:
        what = f"{sample.rejected:,} rows" if sample.rejected > 1 else "1 row"
        lines.append(f"# {what} could not be read, first {sample.first_reject}")
    collection = f"collection = {setting(collection_of(sample.file))}  # the API's path"
    return "\n".join([*lines, "version = 1", collection, ""])


def _guesses(sample: Sample) -> list[Guess]:
    """Guess each column, under a name that no other column has."""
    if sample.objects:
        return guess_members(sample.objects, exported=sample.format["type"] == "dynamodb-json")
    taken: set[str] = set()
    guesses = []
    for index, original in enumerate(sample.header):
        name = original.strip()
        settings: dict[str, Any] = {}
        if not name or name.casefold() in taken:
            # Nameless and repeated columns are known by their place.
            settings["place"] = index + 1
            name = f"{name or 'column'}_{index + 1}"
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        guesses.append(guess_column(name, [row[index] for row in sample.rows], settings))
    return guesses


def _key(
    candidates: Sequence[Key], rows: int, taken: Collection[str]
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return the settings of ``[key]`` and ``[generated]``, and notes on the choice.

    `taken` are the names of the columns, case-folded; what is generated gets others.
    """
    if not candidates:
        ingestion, row_number = _free("ingestion", taken), _free("rowNumber", taken)
        notes = ["no column is always filled: each row of each upload is an item of its own"]
        return (
            {"partition": ingestion, "sort": row_number},
            {ingestion: "ingestion", row_number: "row_number"},
            notes,
        )
    processed_at = _free("processedAt", taken)
    best = candidates[0]
    names = [guess.name for guess in best.columns]
    if best.distinct == rows:
        notes = [f"{_named(best)}: {rows:,} rows, and no value twice"]
        notes += [f"also possible: {'; '.join(map(_named, candidates[1:][:MOST_NAMED]))}"] if candidates[1:] else []
        notes += ["a later row with the same key replaces the item; a sort key of kind version keeps each upload"]
        return dict(zip(("partition", "sort"), names, strict=False)), {processed_at: "processed_at"}, notes
    version = _free("version", taken)
    notes = [
        f"no column and no pair is different in each row; {_named(best)} has {best.distinct:,} values in {rows:,} rows",
        "so each row is a version of its item: the version sorts uploads and rows",
    ]
    return {"partition": names[0], "sort": version}, {version: "version", processed_at: "processed_at"}, notes


def _free(name: str, taken: Collection[str]) -> str:
    while name.casefold() in taken:
        name += "_"
    return name


def _named(key: Key) -> str:
    return " with ".join(setting(guess.name) for guess in key.columns)


def _column(guess: Guess, sample: Sample, *, required: bool) -> str:
    settings = dict(guess.settings)
    notes = list(guess.notes)
    if required:
        settings = {"required": True, **settings}
    elif guess.filled and (sample.rows or sample.objects):
        notes.append("filled in each row of the sample; to insist on it: required = true")
    if guess.type == "S" and guess.longest:
        notes.append(
            f"{guess.longest:,} characters at most, {guess.distinct:,} different value{'s' * (guess.distinct > 1)}"
        )
    return table(["columns", guess.name], settings, notes)
