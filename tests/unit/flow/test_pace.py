"""The pace of writing to a table of limited capacity, simulated on a virtual clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from engine.flow.backoff import Backoff
from engine.flow.pace import Pace
from engine.flow.window import Window

BATCH = 25
SECONDS = 15
TASKS = 128
CPU_SECONDS = BATCH / 250_000


@dataclass
class Worker:
    """One process: tasks that each write one batch after the other, through a window and at a pace."""

    pace: Pace = field(default_factory=Pace)
    window: Window = field(default_factory=lambda: Window(8, TASKS))
    inside: int = 0
    busy_until: float = 0.0
    queue: list[tuple[int, int]] = field(default_factory=list)
    turns: list[tuple[int, int]] = field(default_factory=list)
    written: int = 0
    calls: int = 0
    wasted: int = 0


class Simulation:
    """Workers on one table, a token bucket that holds a second's worth at first."""

    def __init__(self, capacity: float, workers: int, latency: float, partial: bool, seed: int = 1) -> None:
        self.capacity, self.latency, self.partial = capacity, latency, partial
        self.tokens, self.filled = capacity, 0.0
        self.chance = random.Random(seed)
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.count = 0
        self.by_second = [0] * (SECONDS + 1)
        self.workers = [Worker() for _ in range(workers)]
        for worker in self.workers:
            for _ in range(TASKS):
                self.at(self.chance.random() / 10_000, self.wanting(worker, BATCH, 0))

    def run(self) -> None:
        while self.events:
            time, _, event = heapq.heappop(self.events)
            if time > SECONDS:
                return
            event(time)

    def at(self, time: float, event: Callable[[float], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (time, self.count, event))

    def wanting(self, worker: Worker, items: int, attempt: int) -> Callable[[float], None]:
        def want(time: float) -> None:
            worker.queue.append((items, attempt))
            self.admit(worker, time)

        return want

    def admit(self, worker: Worker, time: float) -> None:
        while worker.queue and worker.inside < worker.window.limit:
            worker.inside += 1
            worker.turns.append(worker.queue.pop(0))
            if len(worker.turns) == 1:
                self.next_turn(worker, time)

    def next_turn(self, worker: Worker, time: float) -> None:
        items, attempt = worker.turns[0]
        sent = time + worker.pace.delay(time)
        epoch = worker.window.epoch

        def send(now: float) -> None:
            worker.turns.pop(0)
            worker.pace.take(now, items)
            if worker.turns:
                self.next_turn(worker, now)
            worker.busy_until = max(worker.busy_until, now) + CPU_SECONDS
            latency = self.latency * self.chance.lognormvariate(0, 0.7) if self.latency else 0.0001
            self.at(worker.busy_until + latency, lambda then: self.reply(worker, items, attempt, epoch, sent, then))

        self.at(sent, send)

    def reply(self, worker: Worker, items: int, attempt: int, epoch: int, sent: float, time: float) -> None:
        self.tokens = min(self.capacity, self.tokens + (time - self.filled) * self.capacity)
        self.filled = time
        taken = items if self.tokens >= items else int(self.tokens) if self.partial else 0
        self.tokens -= taken
        worker.calls += 1
        worker.written += taken
        self.by_second[int(time)] += taken
        if taken:
            worker.pace.accepted(time, sent, taken)
        if taken < items:
            worker.wasted += not taken
            worker.pace.throttled(time, sent)
            worker.window.throttled(epoch)
            wait = Backoff().delay(attempt, self.chance.random())
            self.at(time + wait, self.wanting(worker, items - taken, 1 if taken else attempt + 1))
        else:
            worker.window.succeeded(epoch, time - sent)
            self.at(time, self.wanting(worker, BATCH, 0))
        worker.inside -= 1
        self.admit(worker, time)


@pytest.mark.parametrize("partial", [False, True], ids=["exceptions", "unprocessed"])
@pytest.mark.parametrize("latency", [0.0, 0.01])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("capacity", [5_000, 20_000])
def test_capacity_is_used_with_few_throttled_calls(capacity: int, workers: int, latency: float, partial: bool) -> None:
    simulation = Simulation(capacity, workers, latency, partial)
    simulation.run()
    used = sum(simulation.by_second[2:SECONDS]) / (SECONDS - 2)
    assert used >= 0.95 * capacity
    calls = sum(worker.calls for worker in simulation.workers)
    # Each of several workers has to find its own share of the capacity.
    assert sum(worker.wasted for worker in simulation.workers) < (0.1 if workers == 1 else 0.125) * calls
    share = sum(worker.written for worker in simulation.workers) / workers
    assert all(0.6 * share < worker.written < 1.4 * share for worker in simulation.workers)


def test_nothing_waits_without_throttling() -> None:
    pace = Pace()
    for time in range(100):
        assert pace.delay(time) == 0
        pace.take(time, 25)
        pace.accepted(time, time, 25)
    assert pace.rate == float("inf")


def test_throttling_of_calls_sent_before_the_last_change_is_ignored() -> None:
    pace = Pace()
    pace.accepted(10.0, 9.9, 500)
    pace.throttled(10.0, 9.9)
    rate = pace.rate
    for _ in range(100):
        pace.throttled(10.2, 9.95)
    assert pace.rate == rate


def test_rate_has_a_lower_bound() -> None:
    pace = Pace()
    for tenth in range(10_000):
        pace.throttled(tenth / 10, tenth / 10)
    assert pace.rate == Pace.MINIMUM


def test_rate_rises_when_capacity_grows() -> None:
    pace = Pace()
    pace.accepted(0.0, 0.0, 100)
    pace.throttled(0.0, 0.0)
    for second in range(1, 61):
        pace.accepted(second, second, 25)
    assert pace.rate > 20_000


def test_calls_are_spread_in_time() -> None:
    pace = Pace()
    pace.accepted(0.0, 0.0, 100)
    pace.throttled(0.0, 0.0)
    assert pace.rate == 1_000
    now, waits = 1.0, []
    for _ in range(4):
        waits.append(round(pace.delay(now), 6))
        now += waits[-1]
        pace.take(now, 25)
    assert waits == [0, 0.025, 0.025, 0.025]


def test_asking_for_the_delay_reserves_no_time() -> None:
    pace = Pace()
    pace.throttled(0.0, 0.0)
    pace.take(1.0, 25)
    for _ in range(1_000):
        assert pace.delay(1.0) == pytest.approx(25 / pace.rate)
