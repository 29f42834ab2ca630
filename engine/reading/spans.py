"""A huge object -> spans that readers can read at once, with the position of the first record of each. Pure.

Only UTF-8 text that is not compressed can be split: see `can_split`. The object's first bytes are read as usual, up to
a first position after the header (`first_position`). Then the object is cut into ranges of equal size, and each one is
scanned by itself, in any order (`engine.reading.scan`). `join` follows the runs from one range to the next. Where a
reader arrives at the start of a run of the next range, its row number is known, and a span can begin there.

Where it does not, because no guess was right or broken records have cost too much, that range is scanned again from
where the reader arrives: nothing is guessed then. Until that is done, or if nobody does it, the last span goes on to
the end of the object. That happens only where records are damaged, and where a range begins in a record that is not
quoted in the usual way.

So the spans follow from the object and the size of the ranges, and reading them all gives the same rows, row numbers
and rejects as one reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from engine.reading.block import FILE_START, Position
from engine.reading.encoding import UTF_8
from engine.reading.limits import USUAL_LIMITS, Limits
from engine.reading.reader import Found, ObjectReader
from engine.reading.scan import Run, ScannedRange


class Missing(NamedTuple):
    """A range to be scanned again: its place among the ranges, and where a reader arrives in it."""

    place: int
    reached: Position


class Plan(NamedTuple):
    """Where spans begin, each up to the next; the last one ends with the object.

    `rows`: how many records the object has; None if a range is `missing`.
    """

    spans: list[Position]
    rows: int | None
    missing: Missing | None


def can_split(found: Found) -> bool:
    """Return whether an object can be read in spans: an offset in its text must be one in its bytes."""
    return found.compression == "none" and found.encoding == UTF_8


def first_position(reader: ObjectReader, head: bytes) -> Position | None:
    """Feed a new reader the first bytes of an object; return a position after the header.

    Returns None if the object cannot be split, or no record is complete yet. Raises `BadFile`.
    """
    position = None
    for block in reader.feed(head):
        if block.end is not None and not block.end.in_long_record:
            position = block.end
    return position if reader.found is not None and can_split(reader.found) else None


def ranges(first: Position, head: int, size: int, span_bytes: int) -> list[tuple[int, int]]:
    """Return the ranges of an object of `size` bytes: they begin at `first` and at multiples of `span_bytes`.

    `head`: how many bytes were read to come to `first`. They are in the first range, since what is read of them may
    depend on all of them.
    """
    multiple = -(-max(head, first.offset + 1) // span_bytes) * span_bytes
    edges = [first.offset, *range(multiple, size, span_bytes), size]
    return list(pairwise(edges)) if first.offset < size else []


def join(first: Position, scanned: Sequence[ScannedRange], limits: Limits = USUAL_LIMITS) -> Plan:
    """Return the spans of an object whose ranges were scanned, the first one from `first` on."""
    spans, reached = [FILE_START], first
    for index, each in enumerate(scanned):
        # Records may be longer than ranges. What ends the object is no start.
        if reached.offset > each.end or reached.offset == scanned[-1].end:
            continue
        run = next((run for run in each.runs if _is_right(run, reached, limits)), None)
        if run is None:
            return Plan(spans, None, Missing(index, reached))
        if index:
            spans.append(reached)
        reached = reached._replace(
            offset=run.end, row=reached.row + run.rows, rescanned=reached.rescanned + run.rescanned
        )
    return Plan(spans, reached.row - 1, None)


def _is_right(run: Run, reached: Position, limits: Limits) -> bool:
    """Return whether a reader that arrives at a position reads on as the run says.

    However much broken records have cost, it does if the run adds nothing, or if the sum stays within the allowance.
    """
    if run.start != reached.offset:
        return False
    allowed = limits.waste_allowed + limits.waste_share * run.start
    return run.before == reached.rescanned or not run.rescanned or reached.rescanned + run.rescanned <= allowed
