"""The attempts at one call: waiting between them, deadlines, and when to give up.

The one place that sleeps for back-off.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from engine.errors import DeadlineExceeded, ServiceError, Verdict
from engine.flow.backoff import Backoff, Deadline

MAX_EXPIRIES = 3
"""How often in a row fresh credentials may be called expired before that is a fault of the settings."""


class Attempts:
    """The attempts at one call: which faults end them, and how long to wait in between."""

    def __init__(
        self, pause: Callable[[int, Deadline], Awaitable[None]], deadline: Deadline, most: int | None = None
    ) -> None:
        """Try until the deadline, or at most so many times in a row without progress; `pause` is a lane's."""
        self._pause, self._deadline, self._most = pause, deadline, most
        self._failed = self._expired = 0

    @property
    def failures(self) -> int:
        """Attempts in a row without progress."""
        return self._failed

    def failed(self, error: ServiceError) -> None:
        """Note an attempt that raised `error`; raises it again if another attempt would be in vain."""
        self._failed += 1
        self._expired = self._expired + 1 if error.verdict is Verdict.EXPIRED else 0
        hopeless = error.verdict in (Verdict.FATAL, Verdict.POISON) or self._expired > MAX_EXPIRIES
        try:
            if hopeless or self._failed == self._most:
                raise error
        finally:
            del error  # as in `Lane.call`

    def refused(self) -> None:
        """Note an attempt of which the service did nothing, without complaint."""
        self._failed += 1

    def progressed(self) -> None:
        """Note that the service has done some of what was asked: the waits begin anew."""
        self._failed = self._expired = 0

    async def wait(self) -> None:
        """Wait before the next attempt; `DeadlineExceeded` if there is no time to."""
        await self._pause(max(0, self._failed - 1), self._deadline)


async def pause(backoff: Backoff, attempt: int, deadline: Deadline, what: str) -> None:
    """Sleep before `what` is tried again after failure number `attempt`; `DeadlineExceeded` if there is no time to."""
    delay = backoff.delay(attempt, random.random())  # noqa: S311 - jitter, not a secret
    if delay >= deadline.remaining(now()):
        raise DeadlineExceeded(f"no time left to try {what} again")
    await asyncio.sleep(delay)


def now() -> float:
    """Return the time of the clock that deadlines are measured on: the event loop's, in seconds."""
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def until(deadline: Deadline, what: str) -> AsyncIterator[None]:
    """Break off what knows of no deadline when `deadline` comes, by `DeadlineExceeded`."""
    try:
        async with asyncio.timeout_at(deadline.at if deadline.at < float("inf") else None) as limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise DeadlineExceeded(f"no time left for {what}") from None
        raise
