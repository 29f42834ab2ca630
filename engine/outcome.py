"""What becomes of the items of an invocation, and how the batch at fault is taken apart. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

ERRORS_BEFORE_SPLIT = 3
"""Broken answers in a row to one batch before it is split: a single item may be the cause.

A broken answer is a server error or one that cannot be read, see `ServiceError.is_broken_answer`.
"""

ERRORS_BEFORE_GIVING_UP = 8
"""Broken answers in a row to a single item before this invocation stops trying it: about 10 s of back-off."""


@dataclass(slots=True)
class Outcome:
    """What became of each item, by index.

    `written[i]` is 1, or `refused` has the reason, or the item is unfinished: time was up, or the last answers to it
    were broken, and then `failing` has it too. `superseded` has those of the written ones that are not in the table
    because a newer version of their key is. `throttled` counts the throttled calls by reason, as far as the service
    gave one, and `unprocessed` the items of calls that it took only in part, for which it gives none.
    """

    written: bytearray
    refused: dict[int, str] = field(default_factory=dict)
    failing: set[int] = field(default_factory=set)
    superseded: set[int] = field(default_factory=set)
    out_of_time: bool = False
    throttled: Counter[str] = field(default_factory=Counter)
    unprocessed: int = 0

    def note_written(self, part: Sequence[int], left: Sequence[int]) -> None:
        """Note that the items of `part` are written, apart from those in `left`."""
        if isinstance(part, range):
            self.written[part.start : part.stop] = b"\1" * len(part)
        else:
            for index in part:
                self.written[index] = 1
        for index in left:
            self.written[index] = 0

    def settled(self, own: range) -> bool:
        """Return whether nothing is left to do for these items."""
        return not self.written.count(0, own.start, own.stop) or self.refused.keys() >= set(self.unwritten(own))

    def is_failing(self, own: range) -> bool:
        """Return whether the last answers to unwritten items among these were broken."""
        return not self.failing.isdisjoint(self.unwritten(own))

    def unwritten(self, own: range) -> list[int]:
        """Return those of these items that are not written, refused ones included."""
        return [index for index in own if not self.written[index]]


class Parts:
    """What is left to do of a batch: parts that each fit one call, the next one last.

    A part is cut in halves when the service refuses it, or when all answers to it are broken.
    """

    __slots__ = ("_errors", "_outcome", "todo")

    def __init__(self, batch: Sequence[int], outcome: Outcome) -> None:
        self.todo = [batch]
        self._outcome = outcome
        self._errors = 0  # broken answers in a row, to the next part

    def written(self, left: Sequence[int]) -> None:
        """Note that the next part is written, apart from the items in `left`."""
        todo = self.todo
        self._outcome.note_written(todo[-1], left)
        self._errors = 0
        if left:
            todo[-1] = left
        else:
            todo.pop()

    def refused(self, reason: str) -> None:
        """Note that the service refuses the content of the next part."""
        part = self.todo[-1]
        if len(part) == 1:
            self._outcome.refused[part[0]] = reason
            self._replace()
        else:
            self._halve()

    def failed(self, *, broken_answer: bool) -> None:
        """Note that the next part was not taken, which is not its own fault unless it gets only broken answers."""
        part, outcome = self.todo[-1], self._outcome
        self._errors = self._errors + 1 if broken_answer else 0
        if not self._errors:
            return
        outcome.failing.update(part)
        if self._errors == ERRORS_BEFORE_SPLIT and len(part) > 1:
            self._halve()
        elif self._errors >= ERRORS_BEFORE_GIVING_UP and any(outcome.written):
            self._replace()  # others are written: this one is left for another invocation

    def _halve(self) -> None:
        part = self.todo[-1]
        middle = len(part) // 2
        self._replace(part[middle:], part[:middle])

    def _replace(self, *parts: Sequence[int]) -> None:
        self.todo[-1:] = parts
        self._errors = 0
