"""How many calls at a time, and at what pace: what keeps a service busy without hammering it, and memory bounded.

The arithmetic is in `engine.flow.window` and `engine.flow.pace`; here is what waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from engine.errors import DeadlineExceeded
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.flow.pace import Pace
from engine.flow.window import Window

BUSY_SAMPLE = 16
"""Calls between two looks at how much of the processor this process has used."""

BUSY_SHARE = 0.85


class Gate:
    """Lets as many calls at a time through as its `Window` allows: ``async with gate as epoch``.

    First come, first served. The window may shrink and grow while calls are inside. Inside, `turn` keeps the pace.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.pace = Pace()
        self._turn = asyncio.Lock()
        self._successes = 0
        self._busy = False
        self._wall = self._cpu = 0.0
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> int:
        """Wait for room; returns the window's epoch, which `Window.throttled` wants to know."""
        if self._inside < self.window.limit and not self._waiting:
            self._inside += 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # the place was given just before: pass it on
                    self._leave()
                raise
        return self.window.epoch

    async def __aexit__(self, *_: object) -> None:
        """Make room."""
        self._leave()

    def succeeded(self) -> None:
        """Note a call that the service took without complaint."""
        self._successes += 1
        if self._successes % BUSY_SAMPLE == 0:
            wall, cpu = time.monotonic(), time.process_time()
            self._busy = cpu - self._cpu > BUSY_SHARE * (wall - self._wall)
            self._wall, self._cpu = wall, cpu
        self.window.succeeded(busy=self._busy)

    def throttled(self, epoch: int, sent: float) -> None:
        """Note a call that the service refused in part or whole: entered in `epoch`, sent at `sent`."""
        self.window.throttled(epoch)
        self.pace.throttled(now(), sent)

    async def turn(self, items: int, deadline: Deadline) -> float:
        """Wait until the pace allows to send so many items; returns the time then, which `Pace` wants to know.

        Raises `DeadlineExceeded` at once when that would be past the deadline.
        """
        if self.pace.rate < float("inf"):
            # One after the other: whoever waits behind must have the pace of then, not of now.
            async with self._turn:
                wait = self.pace.delay(now())
                if wait >= deadline.remaining(now()):
                    raise DeadlineExceeded("no time left at the pace that the service allows")
                if wait > 0:
                    await asyncio.sleep(wait)
                self.pace.take(now(), items)  # only now: whoever gave up before has sent nothing
        return now()

    def _leave(self) -> None:
        self._inside -= 1
        while self._waiting and self._inside < self.window.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)
