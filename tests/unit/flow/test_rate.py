"""Slots of time for calls at a stated rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.flow.rate import Rate


def test_slot_holds_as_many_calls_as_a_second_of_the_rate() -> None:
    slot = Rate(100).slot([25] * 10, 60.0)
    assert (slot.seconds, slot.units) == (1.0, [25.0] * 4)
    assert slot.offsets == [0.0, 0.25, 0.5, 0.75]


def test_estimates_that_are_right_leave_no_debt() -> None:
    rate = Rate(100)
    for estimate in (1, 40, 7, 25):
        slot = rate.slot([estimate], 60.0)
        assert (slot.units, slot.debt) == ([estimate], 0)
        rate.reserved(slot)
        rate.settle(estimate, slot.units[0], estimate)


def test_slot_holds_at_least_one_call() -> None:
    slot = Rate(10).slot([25, 25], 0.1)
    assert (slot.seconds, slot.units) == (2.5, [25.0])


def test_slots_get_shorter_as_time_runs_out() -> None:
    assert len(Rate(100).slot([25] * 10, 1.0).units) == 2


def test_what_a_call_cost_beyond_its_reservation_is_paid_by_the_next_slot() -> None:
    rate = Rate(100)
    first = rate.slot([10], 60.0)
    rate.reserved(first)
    rate.settle(10, first.units[0], 40.0)
    second = rate.slot([10], 60.0)
    assert second.units == [40.0]  # four times the estimate, as the first call has shown
    assert second.seconds == pytest.approx((30 + 40) / 100)
    assert second.offsets[0] == pytest.approx(0.3)
    rate.reserved(second)
    assert rate.slot([10], 60.0).debt == 0


@given(
    per_second=st.integers(1, 10_000),
    calls=st.lists(st.tuples(st.integers(1, 25), st.floats(0, 400)), min_size=1, max_size=50),
)
def test_slots_cover_what_calls_cost_but_for_the_last_one(per_second: int, calls: list[tuple[int, float]]) -> None:
    rate = Rate(per_second)
    seconds = spent = 0.0
    for estimate, factor in calls:
        slot = rate.slot([estimate], 60.0)
        rate.reserved(slot)
        seconds += slot.seconds
        assert spent <= seconds * per_second + 1e-6 * (1 + spent)  # all earlier calls are paid for
        rate.settle(estimate, slot.units[0], estimate * factor)
        spent += estimate * factor
