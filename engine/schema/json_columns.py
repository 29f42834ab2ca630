r"""Columns of JSON texts -> attribute values, by their shapes. Pure.

Most cells of a column differ only in a few texts and numbers. A quote ends or begins a string wherever there is no
backslash before it, so one split at the quotes of the whole column separates strings from what is between them. What
remains of a cell without its numbers is its shape, such as ``{S: N, S: [S]}``. A shape with the same names in it is
read once, into a template that each of its cells fills in.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain, count, pairwise
from typing import Any, Final

import orjson

from engine.decimal_text import canonical_numbers, plain_numbers
from engine.schema.values import Attribute, Encoded
from engine.text import is_text

Read = Callable[[str], Attribute | None]

_STRING, _NUMBER = "\0", "\1"
"""What strings and numbers are in a shape. No JSON text has these characters."""

_BACKSLASH, _QUOTE = "\2", "\3"
"""Stand for those characters where a backslash is before them."""

_UNUSUAL: Final = bytes({*range(32)} - {*b"\n"})

_NUMBERS = re.compile(r"([-0-9][-+.0-9eE]*+)")
_NUMBER_LINES = re.compile(r"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?\n)*+")
_SLOTS = re.compile(rf"{_STRING} *:|{_STRING}|{_NUMBER}")

_ANY_NUMBER: Final = "3" * 38
"""Stands for any number while a template is made: no other number is left in a shape."""

_ANY_STRING: Final = r"\u0000"
"""Stands for any string: no name has it."""

_FEW = 4
"""Cells that a shape must have on average: reading one and filling it in takes longer than reading four cells."""


def by_shape(texts: Sequence[str], read: Read) -> list[Attribute | Encoded | None] | None:
    """Return what `read` returns for each JSON text, encoded; None if that is left to `read`.

    `read` returns the attribute value of a JSON text, None if it is refused.
    """
    lines = "\n".join(texts)
    if not is_text(lines) or len(lines.encode().translate(None, _UNUSUAL)) < len(lines.encode()):
        return None
    escaped = "\\" in lines
    if escaped:
        lines = lines.replace(r"\\", _BACKSLASH).replace(r"\"", _QUOTE)
    pieces = lines.split('"')
    strings = _unescaped(pieces[1::2]) if escaped else pieces[1::2]
    between = _NUMBERS.split(_STRING.join(pieces[::2]))
    numbers = between[1::2]
    shapes = _NUMBER.join(between[::2]).split("\n")
    # A quote without its partner: what is outside of strings there is inside of them from the next one on.
    if len(shapes) != len(texts) or lines.count("\n") != len(texts) - 1 or len(strings) * 2 + 1 != len(pieces):
        return None
    kinds = set(shapes)
    canonical = _canonical(numbers)
    if len(kinds) * _FEW > len(texts) or canonical is None:
        return None
    if len(kinds) == 1:
        return _filled(shapes[0], texts, strings, canonical, read)
    strings_of, numbers_of = _of_each(strings, shapes, _STRING), _of_each(canonical, shapes, _NUMBER)
    result: list[Attribute | Encoded | None] = [None] * len(texts)
    for shape, places in _places(shapes).items():
        own_strings, own_numbers = (
            list(chain.from_iterable([of[i] for i in places])) for of in (strings_of, numbers_of)
        )
        filled = _filled(shape, [texts[i] for i in places], own_strings, own_numbers, read)
        for i, value in zip(places, filled, strict=True):
            result[i] = value
    return result


def _unescaped(strings: Sequence[str]) -> Sequence[str]:
    """Return what is in strings as `orjson` writes it, which has one text for each; nothing if one is no string."""
    text = '","'.join(strings).replace(_BACKSLASH, r"\\").replace(_QUOTE, r"\"")
    try:
        # One a line: no string has a line break in it.
        written = orjson.dumps(orjson.loads(f'["{text}"]'), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return []
    return [] if _ANY_STRING in written else written[5:-3].split('",\n  "')


def _canonical(numbers: Sequence[str]) -> Sequence[str] | None:
    """Return the canonical text of each number; None if one is not as JSON has it, or DynamoDB rejects it."""
    plain = plain_numbers(numbers)
    if plain is not None or not _NUMBER_LINES.fullmatch("\n".join([*numbers, ""])):
        return plain
    canonical = list(filter(None, canonical_numbers(numbers)))
    return canonical if len(canonical) == len(numbers) else None


def _of_each(values: Sequence[str], shapes: Sequence[str], slot: str) -> list[Sequence[str]]:
    """Return for each cell those of the values of all cells that are in its slots."""
    counts = {shape: shape.count(slot) for shape in set(shapes)}
    ends = accumulate(map(counts.__getitem__, shapes), initial=0)
    return [values[start:end] for start, end in pairwise(ends)]


def _places(keys: Iterable[Any]) -> dict[Any, list[int]]:
    """Return where each of the keys is."""
    places = defaultdict(list)
    for i, key in enumerate(keys):
        places[key].append(i)
    return places


def _filled(
    shape: str, texts: Sequence[str], strings: Sequence[str], numbers: Sequence[str], read: Read
) -> list[Attribute | Encoded | None]:
    """Return the cells of one shape; `strings` and `numbers` are those of all of them, one cell after the other."""
    slots = _SLOTS.findall(shape)
    # Columns of what is in each slot of the shape.
    figures = (numbers[i :: slots.count(_NUMBER)] for i in count())
    others = (strings[i :: len(slots) - slots.count(_NUMBER)] for i in count())
    columns = [next(figures if slot == _NUMBER else others) for slot in slots]
    names = [column for slot, column in zip(slots, columns, strict=True) if slot.endswith(":")]
    values = [column for slot, column in zip(slots, columns, strict=True) if not slot.endswith(":")]
    if all(name.count(name[0]) == len(name) for name in names):
        template = _template(shape, [name[0] for name in names], read)
        return [None] * len(texts) if template is None else _written(template, values, len(texts))
    groups = _places(zip(*names, strict=True))
    if len(groups) * _FEW > len(texts):
        return list(map(read, texts))
    result: list[Attribute | Encoded | None] = [None] * len(texts)
    for each, places in groups.items():
        template = _template(shape, each, read)
        if template is not None:
            written = _written(template, [[column[i] for i in places] for column in values], len(places))
            for i, value in zip(places, written, strict=True):
                result[i] = value
    return result


def _written(template: Sequence[str], values: Sequence[Sequence[str]], rows: int) -> list[Attribute | Encoded | None]:
    """Return cells: in each of them the parts of the template with a value between every two."""
    stride = 2 * len(values) + 1
    pieces = [""] * (stride * rows)
    for i, part in enumerate(template):
        pieces[2 * i :: stride] = [part] * rows
    for i, column in enumerate(values):
        pieces[2 * i + 1 :: stride] = column
    return list(map(Encoded, "".join(pieces).split("\n")[:-1]))


def _template(shape: str, names: Sequence[str], read: Read) -> Sequence[str] | None:
    """Return the parts of the attribute value, in JSON, of all cells with a shape and names: what is around values."""
    following = iter(names)

    def example(slot: re.Match[str]) -> str:
        if slot[0] == _NUMBER:
            return _ANY_NUMBER
        return f'"{next(following)}":' if slot[0].endswith(":") else f'"{_ANY_STRING}"'

    attribute = read(_SLOTS.sub(example, shape))
    if attribute is None:
        return None
    written = orjson.dumps(attribute).decode().replace(f'{{"N":"{_ANY_NUMBER}"}}', f'{{"N":"{_ANY_STRING}"}}')
    return f"{written}\n".split(_ANY_STRING)
