"""How many calls at a time, and at what pace: what keeps a service busy without overloading it, and memory bounded.

The arithmetic is in `engine.flow.window` and `engine.flow.pace`; here is what waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from engine.errors import DeadlineExceeded, ServiceError, Verdict
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.flow.pace import Pace
from engine.flow.places import Places
from engine.flow.window import Window

BUSY_SAMPLE = 16
"""Calls between two looks at how much of the processor this process has used."""

BUSY_SHARE = 0.85

MIN_PATIENCE, MAX_PATIENCE = 10.0, 60.0
"""Seconds to wait for an answer. Services answer in tens of milliseconds: past the lower bound a call hangs, unless the
service has shown to be that slow. The upper bound is that of the whole invocation of a function in most deployments."""

PATIENCE_RATIO = 4.0
"""How many times as long as a call takes alone one waits for an answer."""


class Processor:
    """How busy this process keeps its processor."""

    def __init__(self) -> None:
        self._calls = 0
        self._busy = False
        self._wall = self._cpu = 0.0

    def is_busy(self) -> bool:
        """Return whether the process has used all its processor time lately. To be asked once for each call."""
        self._calls += 1
        if self._calls % BUSY_SAMPLE == 0:
            wall, cpu = time.monotonic(), time.process_time()
            self._busy = cpu - self._cpu > BUSY_SHARE * (wall - self._wall)
            self._wall, self._cpu = wall, cpu
        return self._busy


Sent = tuple[float, int]
"""A call under way: when it was sent, and the window's epoch at that time."""


class Gate:
    """Lets as many batches in at a time as its `Window` allows, and as many calls: ``async with gate``.

    A batch keeps its place until it is done, retries included, so that what was begun first is finished first and the
    others wait untouched. Inside, each call is announced by `turn` or `sent`, its outcome by `answered` or
    `failed`, and its end by `ended`.
    """

    def __init__(self, window: Window, is_busy: Callable[[], bool] | None = None) -> None:
        self._window = window
        self._is_busy = is_busy or Processor().is_busy
        self.pace = Pace()
        self._turn = asyncio.Lock()
        # Two counts: where the window shrinks, the batches that are inside already share fewer calls.
        self._batches, self._calls = Places(window), Places(window)

    async def __aenter__(self) -> None:
        """Wait for a place."""
        if not self._batches.take_free():
            await self._batches.take()

    async def __aexit__(self, *_: object) -> None:
        """Give the place up."""
        self._batches.give_back()

    @asynccontextmanager
    async def outside(self) -> AsyncIterator[None]:
        """Leave the place to another batch while the block runs; after it, be the next to get one.

        For a batch that gets nowhere, as where one partition of a table is throttled and the others are not.
        """
        self._batches.give_back()
        try:
            yield
            await self._batches.take(first=True)
        except BaseException:
            self._batches.take_at_once()  # to be given up in turn by leaving the gate
            raise

    @property
    def patience(self) -> float:
        """Seconds to wait for an answer."""
        patience = PATIENCE_RATIO * self._window.alone
        return MIN_PATIENCE if patience < MIN_PATIENCE else min(patience, MAX_PATIENCE)

    async def sent(self) -> Sent:
        """Wait until another call may be under way, and announce it."""
        if not self._calls.take_free():
            await self._calls.take()
        return now(), self._window.epoch

    async def turn(self, items: int, deadline: Deadline) -> Sent:
        """Wait until another call may be under way and the pace allows to send so many items; announce the call.

        Raises `DeadlineExceeded` at once when there would be no time left for the answer, as far as answers to
        earlier calls tell: a call that is abandoned is often done all the same, and then done twice.
        """
        if not self._calls.take_free():
            await self._calls.take()
        try:
            if self.pace.rate < float("inf"):
                # One after the other, so that each waits as long as the pace says when its turn comes.
                async with self._turn:
                    wait = self.pace.delay(now())
                    if wait + self._window.latency >= deadline.remaining(now()):
                        raise DeadlineExceeded("no time left at the pace that the service allows")
                    if wait > 0:
                        await asyncio.sleep(wait)
                    self.pace.take(now(), items)  # only now: a call that was given up above has sent nothing
            at = now()
            if self._window.latency >= deadline.remaining(at):
                raise DeadlineExceeded("no time left for an answer")
        except BaseException:
            self.ended()
            raise
        return at, self._window.epoch

    def ended(self) -> None:
        """Note that a call is over."""
        self._calls.give_back()

    def answered(self, sent: Sent, taken: int, left: int) -> None:
        """Note a call of which the service took so many items, and left others because it came too fast."""
        at, epoch = sent
        time = now()
        if taken:
            self.pace.accepted(time, at, taken)
        if left:
            self._window.throttled(epoch)
            self.pace.throttled(time, at)
        else:
            self._window.succeeded(epoch, time - at, busy=self._is_busy())

    def failed(self, sent: Sent, error: ServiceError) -> None:
        """Note a call that failed as a whole. Only throttling and timeouts say that the calls came too fast."""
        if error.verdict is Verdict.THROTTLE:
            self.answered(sent, 0, 1)
        elif error.code == "CallTimedOut":
            at, epoch = sent
            self._window.lagged(epoch, now() - at)
