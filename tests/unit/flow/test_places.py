"""Places: never more than the limit, first come first served, and no place is ever lost."""

import asyncio
import random

import pytest

from engine.flow.places import Places


class Crowd:
    """Callers that wait for places, and leave when told to."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.places = Places(self)
        self.inside: list[int] = []
        self.came: list[int] = []
        self.go: dict[int, asyncio.Event] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    async def _pass(self, number: int) -> None:
        await self.places.take()
        self.inside.append(number)
        self.came.append(number)
        try:
            await self.go[number].wait()
        finally:
            self.inside.remove(number)
            self.places.give_back()

    async def come(self, *numbers: int) -> None:
        for number in numbers:
            self.go[number] = asyncio.Event()
            self.tasks[number] = asyncio.create_task(self._pass(number))
            await settle()

    async def leave(self, *numbers: int) -> None:
        for number in numbers:
            self.go[number].set()
        await settle()

    async def give_up(self, *numbers: int) -> None:
        for number in numbers:
            self.tasks[number].cancel()
        await settle()

    async def all_leave(self) -> None:
        """Each caller leaves as soon as it is in: any caller left at the end has lost its place."""
        for go in self.go.values():
            go.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks.values(), return_exceptions=True), 5)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_window_limits_the_holders_and_waiters_are_served_in_order() -> None:
    crowd = Crowd(2)
    await crowd.come(1, 2, 3, 4, 5)
    assert crowd.inside == [1, 2]
    await crowd.leave(2)
    assert crowd.inside == [1, 3]
    await crowd.come(6)
    await crowd.leave(1, 3)
    assert crowd.inside == [4, 5]
    await crowd.all_leave()
    assert crowd.came == [1, 2, 3, 4, 5, 6]


async def test_newcomer_does_not_overtake_waiters() -> None:
    crowd = Crowd(1)
    await crowd.come(1, 2)
    crowd.limit = 3  # there is room now, but no waiter has been woken
    await crowd.come(3)
    assert crowd.inside == [1]
    await crowd.leave(1)
    assert crowd.inside == [2, 3]
    await crowd.all_leave()


async def test_shrunken_window_admits_nobody_until_enough_have_left() -> None:
    crowd = Crowd(4)
    await crowd.come(1, 2, 3, 4, 5)
    crowd.limit = 2
    await crowd.leave(1, 2)
    assert crowd.inside == [3, 4]
    await crowd.leave(3)
    assert crowd.inside == [4, 5]
    await crowd.all_leave()


async def test_cancelled_waiter_loses_no_place() -> None:
    crowd = Crowd(1)
    await crowd.come(1, 2, 3, 4)
    await crowd.give_up(2, 4)
    await crowd.leave(1)
    assert crowd.inside == [3]
    await crowd.leave(3)
    await crowd.come(5)
    assert crowd.inside == [5]
    await crowd.all_leave()


async def test_place_given_to_a_cancelled_waiter_goes_to_the_next() -> None:
    crowd = Crowd(1)
    await crowd.come(1, 2, 3)
    # 2 is given the place as 1 leaves, and is cancelled before it has run.
    crowd.go[1].set()
    await asyncio.sleep(0)
    crowd.tasks[2].cancel()
    await settle()
    assert crowd.inside == [3]
    await crowd.all_leave()
    await crowd.come(4)
    assert crowd.inside == [4]
    await crowd.all_leave()


@pytest.mark.parametrize("seed", range(20))
async def test_no_place_is_lost_under_random_cancellation(seed: int) -> None:
    chance = random.Random(seed)
    crowd = Crowd(chance.randint(1, 4))
    for number in range(60):
        await crowd.come(number)
        if chance.random() < 0.3:
            crowd.limit = chance.randint(1, 5)
        limit = max(crowd.limit, len(crowd.inside))
        for other in chance.sample(range(number + 1), min(number + 1, 2)):
            crowd.go[other].set()
            if chance.random() < 0.5:
                crowd.tasks[other].cancel()
            if chance.random() < 0.5:
                await asyncio.sleep(0)
            assert len(crowd.inside) <= limit
    await crowd.all_leave()
    assert (crowd.places.taken, crowd.inside) == (0, [])
    crowd.limit = 3
    await crowd.come(100, 101, 102, 103)
    assert crowd.inside == [100, 101, 102]
    await crowd.all_leave()
