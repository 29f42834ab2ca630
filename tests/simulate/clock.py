"""The event loop of a run: virtual time, a bound on its turns, and tasks that are the same in each process."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tests.fakeaws.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from tests.simulate.functions import Environment
    from tests.simulate.network import Network

ENVIRONMENT: ContextVar[Environment | None] = ContextVar("environment", default=None)
"""The execution environment that code runs in; None for the simulation's own."""

real_time = time.time


class Task(asyncio.Task[Any]):
    """A task with a number: sets of tasks have the same order in each process."""

    environment: Environment | None
    _numbers = itertools.count()

    def __new__(cls, *_args: Any, **_options: Any) -> Task:
        task = super().__new__(cls)
        task._number = next(cls._numbers)  # type: ignore[attr-defined]
        return task

    def __hash__(self) -> int:
        return self._number  # type: ignore[attr-defined, no-any-return]

    def __eq__(self, other: object) -> bool:
        return self is other


def _task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> Task:
    context = options.get("context")
    task = Task(coroutine, loop=loop, **options)
    task.environment = environment = ENVIRONMENT.get() if context is None else context.get(ENVIRONMENT)
    if environment is not None:
        environment.tasks.append(task)
    return task


class Loop(VirtualTimeLoop):
    """A loop whose connections end in the simulated network."""

    def __init__(self, start: float, network: Network, most_turns: int) -> None:
        super().__init__(start, most_turns=most_turns)
        self._network = network
        self.set_task_factory(_task)  # type: ignore[arg-type]  # it takes fewer options than the protocol has

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **_options: Any) -> Any:  # type: ignore[override]
        """Open a connection to a simulated service."""
        return await self._network.connect(factory)


def clock() -> float:
    """Return the time in seconds since 1970 as the clock of the environment has it; stands for `time.time`."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return real_time()
    if not isinstance(loop, Loop):
        return real_time()
    environment = ENVIRONMENT.get()
    return loop.time() + (environment.skew if environment else 0.0)
