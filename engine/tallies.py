"""Tallies: what became of messages, by number, in the items of the ledger, and the sums of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

FAN_OUT = 100
"""Messages in a tally. DynamoDB bills each KB of an item that is written, and 100 of 500 rows take 0.9 KB."""

Item = Mapping[str, Mapping[str, Any]]
"""Attributes by name, as DynamoDB's JSON has them."""


def run_suffix(before: str, run: int) -> str:
    """Return what tells the keys and names of a run from those of the first one."""
    return f"{before}{run}" if run else ""


class Counts(NamedTuple):
    """What became of rows that were sent: in the table, refused by it, or older than what it holds."""

    written: int = 0
    rejected: int = 0
    superseded: int = 0

    @property
    def rows(self) -> int:
        """All rows that are accounted for."""
        return sum(self)

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(*map(sum, zip(self, other, strict=True)))

    @property
    def text(self) -> str:
        """The counts as a tally holds them: zeros at the end are left out."""
        return f"{self.written} {self.rejected} {self.superseded}".removesuffix(" 0").removesuffix(" 0")

    @classmethod
    def of(cls, text: str) -> Counts:
        """Read `text`."""
        return cls(*map(int, text.split()))


class Node(NamedTuple):
    """A tally of one span."""

    span: int
    level: int
    number: int
    run: int = 0

    @property
    def part(self) -> str:
        """The sort key of its item."""
        return f"tally {self.span:015d} {self.level} {self.number:010d}{run_suffix(' ', self.run)}"

    @property
    def parent(self) -> Node:
        """The tally of the level above that it is noted in."""
        return self._replace(level=self.level + 1, number=self.number // FAN_OUT)


class Tally(NamedTuple):
    """A tally as it stands: its children's counts by number, how many there will be, and whether it is the last one."""

    children: dict[int, Counts]
    expected: int = FAN_OUT
    is_root: bool = False

    @property
    def is_full(self) -> bool:
        """Whether nothing is missing.

        A run that could not go on with an object expects fewer messages than an earlier one may have sent.
        """
        return all(number in self.children for number in range(self.expected))

    @property
    def total(self) -> Counts:
        """The sum of its children."""
        return total(self.children.values())


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of counts."""
    return Counts(*map(sum, zip(Counts(), *counts, strict=True)))


def read_tally(item: Item) -> Tally:
    """Return the tally that an item of the ledger holds."""
    return Tally(
        {int(name[1:]): Counts.of(value["S"]) for name, value in item.items() if _is_child(name)},
        int(item["expected"]["N"]) if "expected" in item else FAN_OUT,
        "root" in item,
    )


def child_name(number: int) -> str:
    """Return the attribute under which a message or tally is noted in its tally."""
    return f"c{number % FAN_OUT}"


def _is_child(name: str) -> bool:
    return name[0] == "c" and name[1:].isdigit()


def by_node(span: int, messages: Mapping[int, Counts], run: int = 0) -> dict[Node, dict[str, str]]:
    """Return what to note of messages, for each tally of level 0."""
    nodes: dict[Node, dict[str, str]] = {}
    for number, counts in messages.items():
        nodes.setdefault(Node(span, 0, number // FAN_OUT, run), {})[child_name(number)] = counts.text
    return nodes


class Mark(NamedTuple):
    """What the producer tells a tally at the end of its span: how many children complete it."""

    node: Node
    expected: int
    is_root: bool


def marks(span: int, messages: int, run: int = 0) -> list[Mark]:
    """Return the marks for a span of so many messages: the last tally of each level, up to one that is alone."""
    found = []
    level, count = 0, messages
    while count:
        nodes = -(-count // FAN_OUT)
        found.append(Mark(Node(span, level, nodes - 1, run), count - (nodes - 1) * FAN_OUT, nodes == 1))
        if nodes == 1:
            break
        level, count = level + 1, nodes
    return found
