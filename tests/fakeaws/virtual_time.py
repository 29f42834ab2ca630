"""An event loop under virtual time: when nothing is ready, its clock jumps to the next timer.

    answer = run(scenario())  # hours of sleeping take milliseconds

Inside, `now` and ``asyncio.get_running_loop().time()`` are the virtual time. Everything must happen inside the loop:
both ends of a socket too, since the clock does not wait for anything outside. What is meant for a thread runs at once.
"""

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

RESOLUTION = 1e-10
"""Seconds; below the resolution of the clock that asyncio reckons with, which is 1 ns."""


class Deadlock(RuntimeError):
    """Nothing is ready, and no timer is set: the awaited event can never come."""


class Livelock(RuntimeError):
    """The loop has turned more often than was allowed: something is ready again and again, and nothing comes of it."""


class _Clock(selectors.DefaultSelector):
    """A selector that never waits: what would be a wait moves the clock on."""

    def __init__(self, start: float, most_turns: float) -> None:
        super().__init__()
        self.now, self._turns = start, most_turns

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turns -= 1
        if self._turns < 0:
            raise Livelock(f"at {self.now:.3f} s of virtual time the loop has made all the turns it was given")
        # The loop's own pipe is always there. Without sockets a look at the system's selector is saved.
        if len(self.get_map()) > 1 and (ready := super().select(0)):
            return ready
        if timeout is None:
            raise Deadlock(f"at {self.now:.3f} s of virtual time every task waits, and no timer is set")
        self.now += max(0.0, timeout)
        if math.ulp(self.now) > RESOLUTION:  # the loop takes a timer only when the time is past it
            self.now += 2 * math.ulp(self.now)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop with a clock of its own, in seconds from `start`.

    `most_turns`: how often it may turn until it raises `Livelock`.
    """

    def __init__(self, start: float = 0.0, *, most_turns: float = math.inf) -> None:
        self._clock = _Clock(start, most_turns)
        super().__init__(self._clock)

    def time(self) -> float:
        """Return the virtual time."""
        return self._clock.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Call `func` at once, and return a future that is done."""
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


def run(main: Coroutine[Any, Any, T], start: float = 0.0) -> T:
    """Run a coroutine to its end under virtual time, which begins at `start` seconds; return what it returns.

    Raises `Deadlock` when nothing could ever happen again.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(start)) as runner:
        return runner.run(main)


def now() -> float:
    """Return the time of the running loop, in seconds."""
    return asyncio.get_running_loop().time()
