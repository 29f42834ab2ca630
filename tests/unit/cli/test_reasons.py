"""Why rows were rejected, each row once, whatever comes twice or from elsewhere."""

from hypothesis import given
from hypothesis import strategies as st

from engine.cli.reasons import Reasons, RowSet
from engine.reading.block import Reject
from engine.rejects import MAX_REASONS, OTHER_REASONS

ROWS = st.lists(st.integers(-3, 40), max_size=60)


@given(ROWS)
def test_row_set_is_a_set(rows: list[int]) -> None:
    found = RowSet(30)
    known: set[int] = set()
    for row in rows:
        assert found.add(row) == (1 <= row <= 30 and row not in known)
        known |= {row} & set(range(1, 31))
    assert len(found) == len(known)
    assert {row for row in range(-5, 50) if row in found} == known


def test_each_rejected_row_has_one_reason() -> None:
    reasons = Reasons(10)
    reasons.add([Reject(2, None, "from the worker", "b"), Reject(11, None, "no row of the file", "c")])
    reasons.add([Reject(1, 17, "empty", "a"), Reject(2, 30, "again", "b"), Reject(4, 40, "empty", "d")])
    assert [(reason.text, reason.rows, reason.first.row) for reason in reasons.by_count()] == [
        ("empty", 2, 1),
        ("from the worker", 1, 2),
    ]


def test_reasons_are_bounded() -> None:
    reasons = Reasons(1_000)
    reasons.add(Reject(row, 0, f"reason {row}", "") for row in range(1, 1_001))
    counted = reasons.by_count()
    assert len(counted) == MAX_REASONS + 1
    assert (counted[0].text, counted[0].rows) == (OTHER_REASONS, 1_000 - MAX_REASONS)
