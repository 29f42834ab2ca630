"""A limited number of places, given out in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol


class Limit(Protocol):
    """Says how many places there are, which may change at any time."""

    limit: int


class Places:
    """As many places as a limit says. First come, first served."""

    __slots__ = ("_of", "_taken", "_waiting")

    def __init__(self, of: Limit) -> None:
        self._of = of
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def taken(self) -> int:
        """Places taken at present; more than the limit after it has shrunk."""
        return self._taken

    def take_free(self) -> bool:
        """Take a place if one is free and nobody waits; return whether that was so. Spares a coroutine where it is."""
        if self._taken < self._of.limit and not self._waiting:
            self._taken += 1
            return True
        return False

    async def take(self, *, first: bool = False) -> None:
        """Wait for a place, behind those who wait already or, with `first`, before them."""
        if self._taken < self._of.limit and (first or not self._waiting):
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if first:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place was given just before: pass it on
                self.give_back()
            raise

    def take_at_once(self) -> None:
        """Take a place also where there is none."""
        self._taken += 1

    def give_back(self) -> None:
        """Give a place back."""
        self._taken -= 1
        while self._waiting and self._taken < self._of.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)
