"""A sample of JSON objects, or of items of a DynamoDB export -> what their members are. Pure.

JSON says what is text and what a number, so texts are never made numbers, and nothing is trimmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.exact_json import NumberText
from engine.schema.infer import Guess, accepts, guess_column

_OF_ATTRIBUTES: Mapping[str, dict[str, Any]] = {
    "S": {},
    "N": {"type": "N"},
    "BOOL": {"type": "BOOL"},
    "B": {"type": "binary"},
    "SS": {"type": "set"},
    "NS": {"type": "set", "items": "N"},
}
"""The settings of columns whose attribute values all have that type."""

_ANYTHING = {"type": "json"}


def guess_members(objects: Sequence[Mapping[str, Any]], *, exported: bool) -> list[Guess]:
    """Guess each member of the objects, in the order in which they first come.

    `exported`: the members are DynamoDB's attribute values, such as ``{"S": "a"}``, whose names are compared exactly.
    """
    guess: Callable[[str, list[Any], int], Guess] = _guess_attribute if exported else _guess_member
    columns: dict[str, dict[str, list[Any]]] = {}
    for each in objects:
        for name, value in each.items():
            values = columns.setdefault(name.strip().casefold(), {}).setdefault(name, [])
            if value is not None:
                values.append(value)
    guesses = []
    for spellings in columns.values():
        name, *others = spellings
        values = spellings[name] if exported else [value for values in spellings.values() for value in values]
        found = guess(name, values, len(objects))
        if exported and others:
            found = replace(
                found, notes=(*found.notes, f"not loaded, since their names are alike: {', '.join(others)}")
            )
        guesses.append(found)
    return guesses


def _guess_member(name: str, values: list[Any], rows: int) -> Guess:
    kinds = set(map(_kind, values))
    if not kinds:
        return _guess(name, {}, ["no value in the sample"], (), rows)
    if kinds == {"text"}:
        return _guess_text(name, values, rows)
    if kinds == {"boolean"}:
        return _guess(name, {"type": "BOOL"}, (), map(str, values), rows)
    if kinds == {"number"}:
        texts = list(map(str, values))
        if accepts({"type": "N"}, texts):
            return _guess(name, {"type": "N"}, (), texts, rows)
        return _guess(name, {}, ["kept as text: some numbers are beyond those of DynamoDB"], texts, rows)
    return _guess(name, _ANYTHING, [f"each is stored as it is: {', '.join(sorted(kinds))}"], (), rows)


def _guess_text(name: str, values: list[str], rows: int) -> Guess:
    found = guess_column(name, values, {})
    if found.type in ("date", "datetime"):
        return replace(found, filled=len(found.values) == rows)
    return _guess(name, {}, (), filter(None, values), rows)


def _guess_attribute(name: str, values: list[Any], rows: int) -> Guess:
    kinds = {kind for value in values for kind in value}
    if len(kinds) == 1 and (settings := _OF_ATTRIBUTES.get(kind := kinds.pop())) is not None:
        contents = (str(value[kind]) for value in values) if kind in ("S", "N") else ()
        return _guess(name, settings, (), filter(None, contents), rows)
    return _guess(name, _ANYTHING, (), (), rows)


def _guess(name: str, settings: Mapping[str, Any], notes: Iterable[str], texts: Iterable[str], rows: int) -> Guess:
    values = list(texts)
    return Guess(
        name=name, settings=settings, notes=tuple(notes), filled=len(values) == rows,
        longest=max(map(len, values), default=0), values=values,
    )  # fmt: skip


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case NumberText() | int() | float():
            return "number"
        case str():
            return "text"
        case dict():
            return "object"
        case _:
            return "list"
