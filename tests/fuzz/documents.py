"""JSON that is nearly right: documents with some of their values replaced, left out, repeated or put elsewhere.

Bytes that are changed at random are rarely JSON, and what is not JSON gets no further than its parser.
"""

import copy
import random
from collections.abc import Iterator, Sequence
from typing import Any

from tests.fuzz.source import Source

MOST_CHANGES = 6

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 10**18, 10**25, 1e308, "", "x", "1", "é\u2028\uffff", "\0", "a" * 300, [], {}, [[]], [{}]),
    *({"S": "x"}, {"N": "1"}, {"N": "x"}, {"N": "1e-130"}, {"L": [{"S": ""}]}, {"M": {"": {"S": "x"}}}, {"S": None}, {"SS": []}),
    *({"NULL": True}, {"B": "YQ=="}, {"S": "x", "N": "1"}, ["x", 1], {"x": 1}, "2026-04-04T00:00:00.000Z", "=1+1", "\ud800"),
)  # fmt: skip


DRAWN = [random.Random(number).randbytes(24) for number in range(30)]
"""Inputs from which changes follow: more kinds of them than are thought of."""


def changed(document: Any, source: Source) -> Any:
    """A copy of the document with up to so many changes, as the source says."""
    document = copy.deepcopy(document)
    for _ in range(source.below(MOST_CHANGES + 1)):
        places = list(_places(document))
        if not places:
            return document
        _change(source.pick(places[:250]), source, places)
    return document


Place = tuple[Any, Any]
"""A list or an object, and the index or name of one of its values."""


def _places(value: Any) -> Iterator[Place]:
    if isinstance(value, dict | list):
        for key, each in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from _places(each)


def _change(place: Place, source: Source, places: Sequence[Place]) -> None:
    within, key = place
    match source.below(6):
        case 0:
            within[key] = copy.deepcopy(source.pick(VALUES))
        case 1:
            del within[key]
        case 2:
            other, name = source.pick(places[:250])
            within[key] = copy.deepcopy(other[name])
        case 3 if isinstance(within, list):
            within.insert(key, copy.deepcopy(within[key]))
        case 3:
            _, name = source.pick(places[:250])
            within[str(name)] = within.pop(key)
        case 4 if isinstance(within[key], str):
            within[key] += source.pick(("", " ", "x", "\n", '"', "\\", "é", "=")) + within[key][: source.below(20)]
        case 4:
            within[key] = [within[key]]
        case _:
            name = source.pick(("x", "", "v", "rows", "kind", "S", "N", "body"))
            within[name if isinstance(within, dict) else key] = copy.deepcopy(source.pick(VALUES))
