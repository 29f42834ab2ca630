"""Rows that later ones of their file replace are counted: exactly up to a number of keys, then as a lower bound."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.repeats import MAX_KEYS, RepeatedKeys

VALUES = st.sampled_from(["", "a", "b", "ab", "1", "é"])
ROWS = st.lists(st.tuples(st.integers(0, 99), VALUES, VALUES, VALUES))


@given(st.lists(ROWS, max_size=5), st.sampled_from([(1,), (2, 3), (3, 1), ()]))
def test_each_row_that_repeats_a_key_replaces_one(
    blocks: list[list[tuple[int, str, str, str]]], places: tuple[int, ...]
) -> None:
    repeated = RepeatedKeys(places)
    for rows in blocks:
        repeated.add(rows)
    keys = [tuple(row[place] for place in places) for rows in blocks for row in rows]
    assert repeated.count == len(keys) - len(set(keys))
    assert repeated.is_exact


@given(st.lists(st.lists(st.integers(0, 300), max_size=60), max_size=20), st.integers(1, 100))
def test_beyond_the_bound_it_is_a_lower_bound(blocks: list[list[int]], most: int) -> None:
    repeated = RepeatedKeys((1,), most=most)
    for numbers in blocks:
        repeated.add([(0, str(number)) for number in numbers])
    numbers = [number for block in blocks for number in block]
    assert repeated.count <= len(numbers) - len(set(numbers))
    assert repeated.is_exact is (len(set(numbers)) <= most)
    if repeated.is_exact:
        assert repeated.count == len(numbers) - len(set(numbers))


def test_keys_of_a_share_are_still_counted_beyond_the_bound() -> None:
    keys = [str(number) for number in range(8_000)] * 2
    random.Random(1).shuffle(keys)
    repeated = RepeatedKeys((0,), most=1_000)
    for at in range(0, len(keys), 100):
        repeated.add([(key,) for key in keys[at : at + 100]])
    assert not repeated.is_exact
    assert 500 < repeated.count < 4_000
    assert len(repeated._hashes) <= 1_000


def test_bound_is_just_below_what_doubles_the_set() -> None:
    """Otherwise the reason beside the limit would no longer hold."""
    hashes = set(range(MAX_KEYS))
    at_the_bound = hashes.__sizeof__()
    hashes.update(range(350_000))
    assert at_the_bound < 9 * 2**20 < 17 * 2**20 < hashes.__sizeof__() + 2**20


@pytest.mark.parametrize("text", ["a", "é" * 1_000])
def test_one_row_replaces_nothing(text: str) -> None:
    repeated = RepeatedKeys((0,))
    repeated.add([(text,)])
    repeated.add([])
    assert (repeated.count, repeated.is_exact) == (0, True)
