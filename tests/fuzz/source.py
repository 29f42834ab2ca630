"""Fuzzed bytes -> choices. Options are taken from the end, so that the front remains the text under test."""

from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")


class Source:
    """Bytes that are used up from their end; when none are left, each choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def below(self, count: int) -> int:
        """A number from 0."""
        number = self._data[-1] if self._data else 0
        self._data = self._data[:-1]
        return number % count

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """One of at most 256 choices."""
        return choices[self.below(len(choices))]

    def sizes(self) -> list[int]:
        """Sizes of chunks, the last of which is repeated."""
        return [self.pick((1_000_000, 1, 2, 3, 5, 7, 17, 64, 300)) for _ in range(1 + self.below(4))]

    def rest(self, most: int) -> bytes:
        """The first `most` of the bytes that are left."""
        return self._data[:most]


def seed(text: bytes | str, options: int = 12) -> bytes:
    """An input of which every option is the first choice."""
    return (text if isinstance(text, bytes) else text.encode()) + bytes(options)
