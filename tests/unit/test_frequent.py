"""The most frequent values in bounded memory, against counting all of them."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from engine.frequent import Frequent


@given(st.lists(st.lists(st.integers(0, 60), max_size=30), max_size=30), st.integers(4, 20))
def test_no_count_is_too_high_or_lower_than_it_says(parts: list[list[int]], most: int) -> None:
    frequent = Frequent(most)
    for part in parts:
        frequent.add(part)
        assert len(frequent) <= most
    counts = Counter(value for part in parts for value in part)
    assert frequent.total == counts.total()
    assert frequent.uncertain <= 2 * frequent.total / most
    kept = dict(frequent.top(most))
    for value, count in counts.items():
        assert count - frequent.uncertain <= kept.get(value, 0) <= count
    assert frequent.is_exact == (frequent.uncertain == 0)


def test_value_that_is_half_of_all_stays_first() -> None:
    frequent = Frequent(10)
    for start in range(0, 1_000, 10):
        frequent.add([*range(start, start + 10), *["hot"] * 10])
    ((value, count),) = frequent.top(1)
    assert value == "hot"
    assert 800 <= count <= 1_000
