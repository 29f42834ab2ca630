"""Objects of JSON lines -> rows: which member of an object belongs to which column. Pure.

Objects that have the same keys in the same order, as nearly all of a file have, are handled together, a column at a
time; which keys they have to be looked for under is found out once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

from engine.exact_json import NumberText
from engine.reading.format import REST, Path
from engine.reading.json_values import Object

_MAX_SHAPES_BYTES = 4 * 1_048_576
"""About how much memory the keys may take that are remembered in one place: much only comes together where each object
has other keys."""

_KEY_BYTES = 64  # of a key in memory, apart from its text


class _Shape(NamedTuple):
    """What objects with certain keys have: members that lead to columns, the other keys, or a fault."""

    members: list[tuple[str, _Node]]
    others: list[str]
    fault: str | None


class _Node:
    """One object on the way to the columns, or a column's value, or both. `key` is its key as the schema has it."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.column: int | None = None
        self.exact: dict[str, _Node] = {}
        self.folded: dict[str, _Node] = {}
        self._shapes: dict[Path, _Shape] = {}
        self._shapes_bytes = 0

    def shape(self, keys: Path, find: Callable[[_Node, Path], _Shape]) -> _Shape:
        """Return what objects with these keys have; `find` finds it out."""
        shape = self._shapes.get(keys)
        if shape is None:
            self._shapes_bytes += sum(map(len, keys)) + _KEY_BYTES * len(keys)
            if self._shapes_bytes > _MAX_SHAPES_BYTES:
                self._shapes, self._shapes_bytes = {}, 0
            shape = self._shapes[keys] = find(self, keys)
        return shape

    def below(self, path: Path) -> _Node:
        """Return the node at the end of `path`, and make it if there is none."""
        node = self
        for key in path:
            child = node.exact.get(key)
            if child is None:
                child = node.exact[key] = _Node(key)
                node.folded.setdefault(_fold(key), child)
            node = child
        return node


def _fold(key: str) -> str:
    return key.strip().casefold()


class Members:
    """The columns that are wanted of each object, by name, each with the paths that may lead to its value.

    A key is compared exactly first, and then, with `ignore_case`, without regard to case and to blanks around it, as
    a header's names are. `unknown` is what becomes of members at the top that lead to no column: ``ignore``,
    ``store`` (as the `REST` of the row), or ``fail`` (the row is rejected); a stored one may not have one of the
    `reserved` names.
    """

    def __init__(
        self,
        columns: Mapping[str, Iterable[Path]],
        *,
        unknown: str = "ignore",
        reserved: Collection[str] = (),
        ignore_case: bool = True,
    ) -> None:
        self.header = (*columns, *([REST] if unknown == "store" else []))
        """The names of a row's fields."""
        self._names = tuple(columns)
        self._unknown, self._reserved, self._ignore_case = unknown, frozenset(reserved), ignore_case
        self._root = _Node()
        for index, paths in enumerate(columns.values()):
            for path in paths:
                self._root.below(path).column = index

    def rows(self, objects: Sequence[Object]) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
        """Return a row of fields for each object, and why some are to be rejected: ``{index: reason}``.

        A field is None where the object has nothing or null, and `NumberText` where it has a number.
        """
        picked = _Picked(len(objects), len(self.header))
        self._pick(self._root, objects, range(len(objects)), picked)
        return picked.rows(), picked.bad

    def _pick(self, node: _Node, objects: Sequence[Object], places: Sequence[int], picked: _Picked) -> None:
        for keys, group, own in _by_keys(objects, places):
            shape = node.shape(keys, self._shape)
            if shape.fault is not None:
                picked.reject(own, shape.fault)
                continue
            for key, child in shape.members:
                values = list(map(itemgetter(key), group))
                if child.column is not None:
                    picked.put(child.column, self._names[child.column], values, own)
                if child.exact:
                    self._pick_below(child, values, own, picked)
            if shape.others:
                rest = [{key: each[key] for key in shape.others} for each in group]
                picked.put(len(self._names), REST, rest, own)

    def _pick_below(self, node: _Node, values: list[Any], places: Sequence[int], picked: _Picked) -> None:
        if set(map(type, values)) == {dict}:
            self._pick(node, values, places, picked)
            return
        inner = [i for i, value in enumerate(values) if isinstance(value, dict)]
        self._pick(node, [values[i] for i in inner], [places[i] for i in inner], picked)
        if node.column is None:
            other = [places[i] for i, value in enumerate(values) if not isinstance(value, dict) and value is not None]
            picked.reject(other, f"{node.key} is not an object")

    def _shape(self, node: _Node, keys: Path) -> _Shape:
        members, others, unknown = [], [], 0
        for place, key in enumerate(keys, 1):
            child = node.exact.get(key)
            if child is None and self._ignore_case:
                child = node.folded.get(_fold(key))
            if child is not None:
                members.append((key, child))
            elif node is self._root:
                others.append(key)
                unknown = unknown or place
        fault = None
        if others and self._unknown == "fail":
            fault = f"the line has a key that the schema does not know, its key {unknown}, and the schema allows none"
        elif self._unknown == "store":
            taken = next((key for key in others if key in self._reserved), None)
            if taken is not None:
                fault = f"the key {taken} cannot be stored: the schema uses its name for another"
        else:
            others = []
        return _Shape(members, others, fault)


def _by_keys(
    objects: Sequence[Object], places: Sequence[int]
) -> Iterable[tuple[Path, Sequence[Object], Sequence[int]]]:
    """Group objects by their keys, in the order in which these first come."""
    shapes = list(map(tuple, objects))
    if len(set(shapes)) <= 1:
        return [(shapes[0], objects, places)] if shapes else []
    groups: dict[Path, tuple[list[Object], list[int]]] = {}
    for keys, each, place in zip(shapes, objects, places, strict=True):
        group = groups.get(keys)
        if group is None:
            group = groups[keys] = [], []
        group[0].append(each)
        group[1].append(place)
    return ((keys, *group) for keys, group in groups.items())


class _Picked:
    """The fields that have been found, by column; a column of which nothing was found is None."""

    def __init__(self, count: int, width: int) -> None:
        self._count = count
        self._columns: list[list[Any] | None] = [None] * width
        self.bad: dict[int, str] = {}

    def put(self, column: int, name: str, values: list[Any], places: Sequence[int]) -> None:
        """Take the values of a column at these places."""
        types = set(map(type, values))
        if types <= {int, float}:
            values = list(map(NumberText, values))
        elif not types.isdisjoint({int, float}):
            values = [NumberText(value) if type(value) in (int, float) else value for value in values]
        fields = self._columns[column]
        if fields is None and len(values) == self._count:
            self._columns[column] = values
            return
        if fields is None:
            fields = self._columns[column] = [None] * self._count
        for place, value in zip(places, values, strict=True):
            if value is None:
                continue
            if fields[place] is not None:
                self.reject([place], f"the line has {name} twice, under different keys")
            fields[place] = value

    def reject(self, places: Iterable[int], reason: str) -> None:
        """Take a reason to reject the rows at these places; the first one counts."""
        for place in places:
            self.bad.setdefault(place, reason)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the fields by row."""
        if not self._columns:
            return [()] * self._count
        return list(zip(*(repeat(None, self._count) if each is None else each for each in self._columns), strict=True))
