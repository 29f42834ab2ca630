"""Back-off, deadlines and windows: arithmetic, checked at its edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.flow.backoff import NEVER, Backoff, Deadline
from engine.flow.window import Window

DRAWS = st.floats(0, 1, exclude_max=True)
BACKOFFS = st.builds(Backoff, base=st.floats(0.001, 1), cap=st.floats(1, 60))


@given(BACKOFFS, st.integers(0, 10**30), DRAWS)
def test_delay_is_between_zero_and_the_bound(backoff: Backoff, attempt: int, draw: float) -> None:
    bound = min(backoff.cap, backoff.base * 2 ** min(attempt, 100))
    assert backoff.delay(attempt, draw) == pytest.approx(draw * bound)
    assert 0 <= backoff.delay(attempt, draw) <= backoff.cap
    assert backoff.delay(attempt, 0.0) == 0.0


@given(BACKOFFS, st.integers(0, 200))
def test_bound_grows_to_the_cap(backoff: Backoff, attempt: int) -> None:
    this, following = backoff.delay(attempt, 0.5), backoff.delay(attempt + 1, 0.5)
    assert following == pytest.approx(min(2 * this, backoff.cap / 2))


def test_default_back_off() -> None:
    assert [Backoff().delay(attempt, 0.5) for attempt in range(9)] == [
        0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.5, 2.5
    ]  # fmt: skip


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_deadline_has_time_left_until_it_passes(at: float, now: float) -> None:
    deadline = Deadline(at)
    assert deadline.passed(now) == (now >= at)
    assert deadline.remaining(now) == max(0, at - now)
    assert (deadline.remaining(now) > 0) != deadline.passed(now)


def test_never_does_not_expire() -> None:
    assert not NEVER.passed(1e300)
    assert NEVER.remaining(1e300) == float("inf")


@st.composite
def windows(draw: st.DrawFn) -> Window:
    floor, initial, ceiling = sorted(draw(st.tuples(*[st.integers(1, 40)] * 3)))
    return Window(initial, ceiling, floor)


@given(windows(), st.lists(st.booleans(), max_size=200))
def test_window_stays_within_its_bounds(window: Window, outcomes: list[bool]) -> None:
    for good in outcomes:
        before = window.limit
        if good:
            window.succeeded(window.epoch, 0.01)
            assert before <= window.limit <= before + 1
        else:
            window.throttled(window.epoch)
            assert window.limit == max(window.floor, int(before * 0.67))
        assert window.floor <= window.limit <= window.ceiling


@given(windows(), st.integers(1, 50))
def test_throttled_calls_of_one_epoch_shrink_the_window_once(window: Window, calls: int) -> None:
    epoch, before = window.epoch, window.limit
    for _ in range(calls):
        window.throttled(epoch)
    assert window.limit == max(window.floor, int(before * 0.67))
    assert window.epoch == epoch + 1
    window.throttled(epoch + 1)
    assert window.epoch == epoch + 2


def test_each_success_adds_a_call_until_the_first_throttling() -> None:
    window = Window(2, 6)
    limits = []
    for _ in range(6):
        window.succeeded(window.epoch, 0.01)
        limits.append(window.limit)
    assert limits == [3, 4, 5, 6, 6, 6]


def test_after_throttling_a_window_of_successes_adds_one_call() -> None:
    window = Window(5, 5)
    window.throttled(window.epoch)
    assert window.limit == 3
    limits = []
    for _ in range(14):
        window.succeeded(window.epoch, 0.01)
        limits.append(window.limit)
    assert limits == [3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5]


def test_busy_process_adds_no_calls_beyond_what_keeps_it_busy() -> None:
    window = Window(2, 99, busy_limit=32)
    for _ in range(99):
        window.succeeded(window.epoch, 0.01, busy=True)
    assert window.limit == window.busy_limit
    window.succeeded(window.epoch, 0.01)
    assert window.limit == window.busy_limit + 1


def test_throttled_call_resets_the_count_of_successes() -> None:
    window = Window(15, 20)
    window.throttled(window.epoch)
    assert window.limit == 10
    for _ in range(9):
        window.succeeded(window.epoch, 0.01)
    window.throttled(window.epoch)
    assert window.limit == 6
    for _ in range(5):
        window.succeeded(window.epoch, 0.01)
    assert window.limit == 6
    window.succeeded(window.epoch, 0.01)
    assert window.limit == 7


def test_window_shrinks_and_recovers() -> None:
    window = Window(32, 32, floor=2)
    for _ in range(20):
        window.throttled(window.epoch)
    assert window.limit == 2
    for _ in range(sum(range(2, 32))):
        window.succeeded(window.epoch, 0.01)
    assert window.limit == 32


@pytest.mark.parametrize(("initial", "ceiling", "floor"), [(0, 5, 0), (1, 5, 2), (6, 5, 1), (3, 2, 1), (1, 1, 0)])
def test_invalid_bounds_are_refused(initial: int, ceiling: int, floor: int) -> None:
    with pytest.raises(ValueError, match="a window needs 1 <= floor <= initial <= ceiling"):
        Window(initial, ceiling, floor)


def serial(window: Window, calls: int, seconds: float) -> list[float]:
    """Return the latency of each call to a serial server that takes `seconds` a call, kept busy by the window."""
    latencies: list[float] = []
    sent: list[tuple[float, int]] = []
    free = 0.0
    for _ in range(calls):
        while len(sent) < window.limit:
            free = max(free, sent[-1][0] if sent else free)
            sent.append((free - seconds * len(sent), window.epoch))
        began, epoch = sent.pop(0)
        free += seconds
        latencies.append(free - began)
        window.succeeded(epoch, free - began)
    return latencies


@pytest.mark.parametrize("seconds", [0.05, 0.2, 1.0, 3.0])
def test_serial_server_is_not_flooded(seconds: float) -> None:
    window = Window(1, 160)
    serial(window, 400, seconds)
    assert window.limit * seconds <= max(1.5, 2.5 * seconds)


def test_quick_answers_never_shrink_the_window() -> None:
    window = Window(1, 160)
    for _ in range(1_000):
        window.succeeded(window.epoch, 0.2)
    assert window.limit == 160


def test_timeouts_shrink_the_window_and_it_recovers() -> None:
    window = Window(64, 160)
    for _ in range(10):
        window.lagged(window.epoch, 10.0)
    assert window.limit == 1
    assert window.alone == 10.0
    for _ in range(20_000):
        window.succeeded(window.epoch, 0.01)
    assert window.limit == 160


def test_slow_calls_of_one_epoch_shrink_the_window_once() -> None:
    window = Window(64, 160)
    epoch = window.epoch
    for _ in range(64):
        window.succeeded(epoch, 2.0)
    assert window.limit == 32


def test_server_with_constant_high_latency_gets_many_calls() -> None:
    window = Window(1, 160)
    for _ in range(20_000):
        window.succeeded(window.epoch, 5.0)
    assert window.limit == 160
