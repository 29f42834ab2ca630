"""Lanes: what arithmetic of large integers makes of all bytes at once, against one byte after the other."""

from hypothesis import given
from hypothesis import strategies as st

from engine.schema.lanes import chosen, reached, total, values

SMALL = st.integers(0, 127)


@given(st.lists(st.tuples(SMALL, SMALL), min_size=1))
def test_arithmetic_of_lanes_is_that_of_their_bytes(pairs: list[tuple[int, int]]) -> None:
    first, second = (bytes(lane) for lane in zip(*pairs, strict=True))
    assert total(first, second) == bytes(a + b for a, b in pairs)
    assert reached(first, second) == bytes(128 * (a >= b) for a, b in pairs)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 255), st.integers(0, 255)), min_size=1))
def test_chosen_bytes(rows: list[tuple[bool, int, int]]) -> None:
    mask, yes, no = (bytes(lane) for lane in zip(*rows, strict=True))
    assert chosen(bytes(255 * each for each in mask), yes, no) == bytes(b if a else c for a, b, c in rows)


def test_digits_are_numbers() -> None:
    texts = [b"%02d" % number for number in range(100)]
    assert values(*(bytes(text[i] for text in texts) for i in (0, 1))) == bytes(range(100))
