"""Lambda: environments that start cold, are kept, freeze between invocations, and are killed at any moment."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import Context as Variables
from contextvars import copy_context
from types import ModuleType
from typing import Any

from engine.errors import MillpondError
from engine.handlers.runtime import Process
from tests.simulate.clock import ENVIRONMENT

Json = dict[str, Any]


class Context:
    """Lambda's context, on virtual time."""

    def __init__(self, end: float) -> None:
        self.aws_request_id, self._end = "request", end

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda stops the function."""
        return max(0, int((self._end - asyncio.get_running_loop().time()) * 1000))


class Environment:
    """One execution environment: the engine's own `Process`, a clock, and the moment at which it is killed."""

    def __init__(self, opener: Callable[[Mapping[str, str]], Any], skew: float) -> None:
        self.process: Process[Any] = Process(opener)
        self.skew = skew
        self.is_dead = self.is_shielded = False
        self.calls_left: int | None = None
        """Calls after which it is killed."""
        self.is_heard = False
        """Whether the call at which it is killed still arrives."""
        self.task: asyncio.Task[Any] | None = None
        self.tasks: list[asyncio.Task[Any]] = []

    def kill(self) -> None:
        """End it: nothing that it does arrives any more."""
        self.is_dead = True
        if self.task is not None:
            self.task.cancel()

    def arrives(self) -> bool:
        """Count a call; return whether it arrives."""
        if self.calls_left is None:
            return True
        self.calls_left -= 1
        if self.calls_left > 0:
            return True
        self.calls_left = None
        self.kill()
        return self.is_heard


class Current:
    """Stands for a handler's `process`: runs the work in the environment that the handler was called in."""

    def run(self, work: Callable[[Any], Awaitable[Any]]) -> Awaitable[Any]:
        """Return what is to be awaited."""
        environment = ENVIRONMENT.get()
        assert environment is not None
        return environment.process._run(work)


class Function:
    """A function with its environments; `handler` is the engine's module with the entry point."""

    def __init__(
        self, handler: ModuleType, opener: Any, seconds: float, draw: random.Random, killed: float, skewed: bool
    ) -> None:
        self._handler, self._opener, self._seconds = handler, opener, seconds
        self._draw, self._killed, self._skewed = draw, killed, skewed
        self._idle: list[Environment] = []
        self.counts: Counter[str] = Counter()
        self.running = 0

    async def invoke(self, event: Json, *, is_shielded: bool) -> Json | None:
        """Invoke the function; None if it was killed or has failed. `is_shielded`: no fault may befall it."""
        environment = self._idle.pop() if self._idle else self._started()
        environment.is_shielded = is_shielded
        loop, draw = asyncio.get_running_loop(), self._draw
        variables: Variables = copy_context()
        variables.run(ENVIRONMENT.set, environment)
        end = loop.time() + self._seconds
        self.counts["invocations"] += 1
        self.running += 1
        timer = None
        if not is_shielded and draw.random() < self._killed:
            if draw.random() < 0.7:
                environment.calls_left, environment.is_heard = draw.choice([1, 2, 3, 5, 8, 13]), draw.random() < 0.6
            else:
                timer = loop.call_later(draw.expovariate(5.0), environment.kill)

        async def called() -> Json:
            answer: Json = await self._handler.handler(event, Context(end))
            return answer

        work: asyncio.Task[Json] = loop.create_task(called(), context=variables)
        environment.task = work
        try:
            done, _ = await asyncio.wait([work], timeout=self._seconds)
            assert done, f"the {self._handler.__name__} was stopped by its timeout"
            if environment.is_dead:
                with suppress(asyncio.CancelledError, Exception):
                    work.result()
                self.counts["killed"] += 1
                return None
            environment.calls_left = None
            left = [task for task in environment.tasks if not task.done()]
            assert not left, f"a task is left over: {left}"
            environment.tasks.clear()
            self._idle.append(environment)
            try:
                return work.result()
            except MillpondError:
                self.counts["failed invocations"] += 1
                return None
        finally:
            if timer:
                timer.cancel()
            self.running -= 1

    def _started(self) -> Environment:
        self.counts["cold starts"] += 1
        return Environment(self._opener, self._draw.uniform(-100.0, 100.0) if self._skewed else 0.0)

    async def close(self) -> None:
        """Close all environments."""
        for environment in self._idle:
            await environment.process._close()
        self._idle.clear()
