"""State of a function's process: opened once, freed after a failure, reopened with new credentials."""

import gc
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest

from engine.errors import ServiceError
from engine.handlers.runtime import Process


class Rows:
    """Stands for the objects of an invocation."""


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.fixture
def opened() -> list[weakref.ref[Rows]]:
    return []


@pytest.fixture
def process(opened: list[weakref.ref[Rows]]) -> Iterator[Process[Rows]]:
    @asynccontextmanager
    async def opener(_env: Mapping[str, str]) -> AsyncIterator[Rows]:
        state = Rows()
        state.itself = state  # type: ignore[attr-defined]  # a reference cycle, as clients have
        opened.append(weakref.ref(state))
        yield state

    made = Process(opener)
    yield made
    made.close()


async def nothing(_state: Rows) -> None:
    """Do nothing."""


def test_objects_held_by_a_failure_are_freed_by_the_next_invocation(process: Process[Rows]) -> None:
    held: list[weakref.ref[Rows]] = []

    async def failing(_state: Rows) -> None:
        rows = Rows()
        held.append(weakref.ref(rows))
        error = ValueError("no")
        raise error  # which refers to this frame, and this frame to it and the rows

    gc.disable()
    with pytest.raises(ValueError, match="no"):
        process.run(failing)
    process.run(nothing)
    assert held[0]() is None


def test_expired_credentials_reopen_all_state_and_free_the_old(
    process: Process[Rows], opened: list[weakref.ref[Rows]]
) -> None:
    async def expired(_state: Rows) -> None:
        raise ServiceError("BatchWriteItem", "ExpiredToken", 403)

    process.run(nothing)
    process.run(nothing)
    assert len(opened) == 1
    for _ in range(3):
        with pytest.raises(ServiceError):
            process.run(expired)
    process.run(nothing)
    assert len(opened) == 4
    gc.collect()
    assert [state() is None for state in opened] == [True, True, True, False]
