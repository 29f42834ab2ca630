"""What lives as long as the process: one event loop, one set of clients.

Lambda calls a plain function, again and again, in one process that it may freeze for minutes in between. The loop and
the clients are made at the first call and kept; connections that went stale are replaced when they are next used, and
after credentials that a service calls expired everything is opened anew.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Generic, Protocol, TypeVar

import uvloop

from engine.errors import ServiceError, Verdict
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.handlers import YOUNG_OBJECTS

State = TypeVar("State")
Result = TypeVar("Result")


class Context(Protocol):
    """What is used of Lambda's context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda stops the function."""


class Process(Generic[State]):
    """Opens a handler's state once and runs each invocation on one loop."""

    def __init__(self, opener: Callable[[Mapping[str, str]], AbstractAsyncContextManager[State]]) -> None:
        self._opener = opener
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stack: AsyncExitStack | None = None
        self._state: State | None = None
        self._failed = False

    def run(self, work: Callable[[State], Awaitable[Result]]) -> Result:
        """Run ``work(state)`` to its end and return its result."""
        if self._failed:
            self._failed = False
            gc.collect()
        if self._loop is None:
            self._loop = uvloop.new_event_loop()
        try:
            return self._loop.run_until_complete(self._run(work))
        except BaseException:
            self._failed = True
            raise

    def close(self) -> None:
        """Close clients and loop; the next `run` begins anew."""
        if self._loop is not None:
            self._loop.run_until_complete(self._close())
            self._loop.close()
            self._loop = None

    async def _run(self, work: Callable[[State], Awaitable[Result]]) -> Result:
        if self._state is None:
            stack = AsyncExitStack()
            self._state = await stack.enter_async_context(self._opener(os.environ))
            self._stack = stack
            # Modules and clients stay for as long as the process does: the collector need not visit them again.
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS)
        try:
            return await work(self._state)
        except ServiceError as error:
            if error.verdict is Verdict.EXPIRED:
                await self._close()
            raise

    async def _close(self) -> None:
        stack, self._stack, self._state = self._stack, None, None
        if stack is not None:
            await stack.aclose()
            gc.unfreeze()  # what was open is garbage now


def deadline_of(context: Context, reserve: float, share: int = 5) -> Deadline:
    """Return the moment `reserve` seconds before the end of the invocation, or ``1 / share`` of its time if less."""
    left = context.get_remaining_time_in_millis() / 1000
    return Deadline(now() + left - min(reserve, left / share))
