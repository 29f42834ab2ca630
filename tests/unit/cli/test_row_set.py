"""Sets of row numbers."""

from engine.cli.reasons import RowSet


def test_set_takes_no_memory_for_rows_that_are_not_in_it() -> None:
    rows = RowSet(10**15)
    assert 10**15 not in rows
    assert rows.add(9)
    assert rows.add(1)
    assert not rows.add(9)
    assert not rows.add(10**15 + 1)
    assert [row for row in range(20) if row in rows] == [1, 9]
    assert (len(rows), rows.last) == (2, 9)
