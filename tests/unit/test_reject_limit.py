"""How many rejects an object may have."""

import pytest

from engine.reject_limit import RejectLimit


@pytest.mark.parametrize(
    ("limit", "rows", "rejects", "at_end", "exceeded"),
    [
        (RejectLimit(3), 10, 3, True, False),
        (RejectLimit(3), 10, 4, False, True),
        (RejectLimit(0), 10, 0, True, False),
        (RejectLimit(50, is_percentage=True), 9_999, 9_999, False, False),
        (RejectLimit(50, is_percentage=True), 10_000, 5_000, False, False),
        (RejectLimit(50, is_percentage=True), 10_000, 5_001, False, True),
        (RejectLimit(50, is_percentage=True), 2, 1, True, False),
        (RejectLimit(50, is_percentage=True), 3, 2, True, True),
        (RejectLimit(100, is_percentage=True), 3, 3, True, False),
        (RejectLimit(0, is_percentage=True), 0, 0, True, False),
    ],
)
def test_limit_of_rejects(limit: RejectLimit, rows: int, rejects: int, at_end: bool, exceeded: bool) -> None:
    assert (limit.problem(rows, rejects, at_end=at_end) is not None) == exceeded


def test_limit_of_rejects_says_what_happened() -> None:
    limit = RejectLimit(50, is_percentage=True)
    assert limit.problem(10_000, 6_000, at_end=False) == (
        "6,000 of the first 10,000 rows are rejects, more than 50% (MAX_REJECTS); is it the right file for this "
        "schema? The 4,000 valid rows of these were sent"
    )
    assert (RejectLimit(1).problem(3, 2, at_end=True) or "").startswith("2 of the 3 rows are rejects, more than 1 (")


@pytest.mark.parametrize("text", ["0", "100", "0%", "100%"])
def test_limit_as_text(text: str) -> None:
    assert RejectLimit.of(text).text == text
