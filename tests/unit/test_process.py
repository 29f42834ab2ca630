"""What lives as long as a function's process: opened once, tidied up after a failure, opened anew when it must be."""

import gc
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest

from engine.errors import ServiceError
from engine.handlers.runtime import Process


class Rows:
    """Stands for what an invocation holds."""


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
        state.itself = state  # type: ignore[attr-defined]  # as clients do, in their ways
        opened.append(weakref.ref(state))
        yield state

    made = Process(opener)
    yield made
    made.close()


async def nothing(_state: Rows) -> None:
    """Work that does none."""


def test_what_a_failure_held_is_gone_by_the_next_invocation_but_one(process: Process[Rows]) -> None:
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


def test_expired_credentials_have_everything_opened_anew_and_nothing_kept(
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
