"""A sample of a file -> the text of a schema that reads it, with comments for the person who decides. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.schema.infer import Guess, Key, guess_column, key_candidates
from engine.schema.numbers import is_number
from engine.schema.toml import setting, table

MOST_NAMED = 5
"""Key candidates that are named in a comment."""


class Sample(NamedTuple):
    """Rows of a file: `header` as it is in the file, and `rows` of as many values.

    `format` has what the reader found, as settings of ``[format]``. `whole`: the rows are all that the file has.
    `rejected` rows were left out, because the reader could not read them.
    """

    file: str
    format: Mapping[str, Any]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    rejected: int
    whole: bool


def propose(sample: Sample) -> str:
    """Return the text of a schema for the file that `sample` comes from."""
    if all(map(is_number, map(str.strip, sample.header))):
        sample = _without_header(sample)
    guesses = _guesses(sample)
    rows = len(sample.rows)
    candidates = key_candidates(guesses, rows)
    key, generated, notes = _key(candidates, rows)
    required = {guess.name for guess in (candidates[0].columns if candidates else ())}
    parts = [
        _head(sample),
        table(["key"], key, notes),
        table(["format"], sample.format, ["found in the file; other files must be alike"]),
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


def _head(sample: Sample) -> str:
    which = "all" if sample.whole else "the first"
    lines = [
        f"# Proposed from {which} {len(sample.rows):,} rows of {setting(sample.file)}. Read it before you use it: a",
        "# sample shows what values are like, not what they mean. docs/schema.md explains each setting.",
    ]
    if sample.rejected:
        lines.append(f"# {sample.rejected:,} rows could not be read and are not in the sample.")
    collection = f"collection = {setting(collection_of(sample.file))}  # the API's path"
    return "\n".join([*lines, "version = 1", collection, ""])


def _guesses(sample: Sample) -> list[Guess]:
    """Guess each column, under a name that no other column has."""
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


def _key(candidates: Sequence[Key], rows: int) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return the settings of ``[key]`` and ``[generated]``, and notes on the choice."""
    if not candidates:
        generated = {"ingestion": "ingestion", "rowNumber": "row_number"}
        notes = ["no column is always filled: each row of each upload is an item of its own"]
        return {"partition": "ingestion", "sort": "rowNumber"}, generated, notes
    best = candidates[0]
    names = [guess.name for guess in best.columns]
    if best.distinct == rows:
        notes = [f"{_named(best)}: {rows:,} rows, and no value twice"]
        notes += [f"also possible: {'; '.join(map(_named, candidates[1:][:MOST_NAMED]))}"] if candidates[1:] else []
        notes += ["a later row with the same key replaces the item; a sort key of kind version keeps each upload"]
        return dict(zip(("partition", "sort"), names, strict=False)), {"processedAt": "processed_at"}, notes
    notes = [
        f"no column and no pair is different in each row; {_named(best)} has {best.distinct:,} values in {rows:,} rows",
        "so each row is a version of its item: the version sorts uploads and rows",
    ]
    return {"partition": names[0], "sort": "version"}, {"version": "version", "processedAt": "processed_at"}, notes


def _named(key: Key) -> str:
    return " with ".join(setting(guess.name) for guess in key.columns)


def _column(guess: Guess, sample: Sample, *, required: bool) -> str:
    settings = dict(guess.settings)
    notes = list(guess.notes)
    if required:
        settings = {"required": True, **settings}
    elif guess.filled and sample.rows:
        notes.append("filled in each row of the sample; to insist on it: required = true")
    if guess.type == "S" and guess.longest:
        notes.append(f"{guess.longest:,} characters at most, {guess.distinct:,} different values")
    return table(["columns", guess.name], settings, notes)
