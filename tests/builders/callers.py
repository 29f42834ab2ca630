"""A stand-in for a lane: it says what it is told."""

from collections.abc import Iterable

from engine.flow.backoff import Deadline


class Saying:
    """A `Caller` that gives these replies one after the other, and the last one from then on."""

    def __init__(self, replies: Iterable[bytes]) -> None:
        self._replies = list(replies)
        self.calls = 0

    async def call(self, body: bytes, deadline: Deadline, seconds: float | None = None) -> bytes:
        """Return the next reply."""
        self.calls += 1
        return self._replies[min(self.calls, len(self._replies)) - 1]

    async def pause(self, attempt: int, deadline: Deadline) -> None:
        """Do not wait."""
