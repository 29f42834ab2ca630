r"""Columns of JSON texts -> attribute values, by their shapes. Pure.

Most cells of a column differ only in a few texts and numbers. A quote ends or begins a string wherever there are no
backslashes, so one split at the quotes of the whole column separates strings from what is between them. What remains
of a cell without its numbers is its shape, such as ``{S: N, S: [S]}``. A shape with the same names in it is read once,
into a template that each of its cells fills in.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

import orjson

from engine.decimal_text import canonical_numbers
from engine.schema.values import Attribute, Encoded
from engine.text import is_text

Read = Callable[[str], Attribute | None]

_STRING, _NUMBER = "\0", "\1"
"""What strings and numbers are in a shape. No JSON text has these characters."""

_UNUSUAL: Final = bytes({*range(32)} - {*b"\n"}) + b"\\"

# Not after a sign: "--1" is no number, but the shape that is left would be one with any other number in it.
_NUMBERS = re.compile(r"((?<!-)-?[0-9][0-9.eE+-]*+)")
_NUMBER_LINES = re.compile(r"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?\n)*+")
_SLOTS = re.compile(rf"{_STRING} *:|{_STRING}|{_NUMBER}")

_ANY_NUMBER: Final = "3" * 38
"""Stands for any number while a template is made: no other number is left in a shape."""

_FEW = 4
"""Cells that a shape must have on average: reading one and filling it in takes longer than reading four cells."""


def by_shape(texts: Sequence[str], read: Read) -> list[Attribute | Encoded | None] | None:
    """Return what `read` returns for each JSON text, encoded; None if that is left to `read`.

    `read` returns the attribute value of a JSON text, None if it is refused.
    """
    lines = "\n".join(texts)
    if not is_text(lines) or len(lines.encode().translate(None, _UNUSUAL)) < len(lines.encode()):
        return None
    pieces = lines.split('"')
    strings, between = pieces[1::2], _NUMBERS.split(_STRING.join(pieces[::2]))
    numbers = between[1::2]
    shapes = _NUMBER.join(between[::2]).split("\n")
    # A quote without its partner: what is outside of strings there is inside of them from the next one on.
    if len(shapes) != len(texts) or lines.count("\n") != len(texts) - 1 or len(pieces) % 2 == 0:
        return None
    kinds = set(shapes)
    if len(kinds) * _FEW > len(texts) or not _NUMBER_LINES.fullmatch("\n".join([*numbers, ""])):
        return None
    strings_of = _slices(strings, list(map({kind: kind.count(_STRING) for kind in kinds}.__getitem__, shapes)))
    numbers_of = _slices(
        canonical_numbers(numbers), list(map({kind: kind.count(_NUMBER) for kind in kinds}.__getitem__, shapes))
    )
    cells = defaultdict(list)
    for i, shape in enumerate(shapes):
        cells[shape].append(i)
    result: list[Attribute | Encoded | None] = [None] * len(texts)
    for shape, places in cells.items():
        filled = _filled(shape, [strings_of[i] for i in places], [numbers_of[i] for i in places], read)
        if filled is None:
            filled = [read(texts[i]) for i in places]
        for i, value in zip(places, filled, strict=True):
            result[i] = value
    return result


def _slices(values: Sequence[Any], lengths: Iterable[int]) -> list[Sequence[Any]]:
    return [values[start:stop] for start, stop in pairwise(accumulate(lengths, initial=0))]


def _filled(
    shape: str, strings: list[Sequence[str]], numbers: list[Sequence[str | None]], read: Read
) -> list[Attribute | Encoded | None] | None:
    """Return the cells of one shape with these strings and numbers; None if they have too many different names."""
    # Columns of what is in each place of the shape.
    texts, figures = iter(zip(*strings, strict=True)), iter(zip(*numbers, strict=True))
    slots = _SLOTS.findall(shape)
    columns = [next(figures) if slot == _NUMBER else next(texts) for slot in slots]
    names = [column for slot, column in zip(slots, columns, strict=True) if slot.endswith(":")]
    values = [column for slot, column in zip(slots, columns, strict=True) if not slot.endswith(":")]
    names_of = list(zip(*names, strict=True)) if names else [()] * len(strings)
    different = set(names_of)
    if len(different) * _FEW > len(strings):
        return None
    templates = {each: _template(shape, each, read) for each in different}
    filled: list[Attribute | Encoded | None] = []
    rows = zip(*values, strict=True) if values else [()] * len(strings)
    for each, row in zip(names_of, rows, strict=True):
        template = templates[each]
        filled.append(None if template is None or None in row else Encoded(template % row))
    return filled


def _template(shape: str, names: Sequence[str], read: Read) -> str | None:
    """Return the attribute value of all cells with a shape and names in JSON, with ``%s`` for each value."""
    following = iter(names)

    def example(slot: re.Match[str]) -> str:
        if slot[0] == _NUMBER:
            return _ANY_NUMBER
        return f'"{next(following)}":'.replace("%", "%%") if slot[0].endswith(":") else '"%s"'

    attribute = read(_SLOTS.sub(example, shape))
    if attribute is None:
        return None
    return orjson.dumps(attribute).decode().replace(f'{{"N":"{_ANY_NUMBER}"}}', '{"N":"%s"}')
