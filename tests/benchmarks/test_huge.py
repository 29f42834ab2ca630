"""The generated huge file, the check of its rows, and a small file through real producers."""

import asyncio
import json

import pytest

from benchmarks import huge, quoted
from benchmarks.huge import CheckingQueue, Wrong


def test_any_range_is_made_without_what_is_before() -> None:
    stored = quoted.of_size(3_000_000)
    whole = b"".join(stored.pieces(0, stored.size))
    assert len(whole) == stored.size
    for first, behind in [
        (0, 1),
        (3, 20),
        (15, 17),
        (16, 900_000),
        (977_000, 2_000_003),
        (stored.size - 1, stored.size),
    ]:
        assert b"".join(stored.pieces(first, behind)) == whole[first:behind]
    assert quoted.quoted("bench", stored.key) == stored


def message(first: int, numbers: list[int], shift: int = 0) -> str:
    rows = [[number, "name", f"user{number - 1 + shift:010d}@example.com", "1"] for number in numbers]
    return json.dumps({"span": 0, "message": first, "rows": rows})


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([message(0, [1, 2]), message(1, [3, 4])], None),
        ([message(1, [3, 4]), message(0, [1, 2]), message(1, [3, 4])], None),
        ([message(0, [1, 2])], "after row 2 comes row 5"),
        ([message(0, [1, 2]), message(1, [4])], "after row 2 comes row 4"),
        ([message(0, [1, 2]), message(1, [2, 3, 4])], "after row 2 comes row 2"),
        ([message(0, [1, 2]), message(1, [3, 5])], "other rows than 3 to 5"),
        ([message(0, [1, 2]), message(1, [3, 4], shift=1)], "other rows than 3 to 4"),
        ([message(0, [1, 2]), message(1, [3, 4]), message(1, [3])], "has come with other rows"),
    ],
)
def test_each_row_must_come_once_with_its_number(messages: list[str], problem: str | None) -> None:
    queue = CheckingQueue()
    for each in messages:
        queue.send(each, {}, 0.0)
    if problem is None:
        queue.check(4)
    else:
        with pytest.raises(Wrong, match=problem):
            queue.check(4)


def test_a_file_of_some_spans_through_producers() -> None:
    report = asyncio.run(huge.load(3_000_000, 1_000_000, 2))
    assert (report.spans, report.rows) == (3, 30_000)
    assert {kind: work.runs for kind, work in report.work.items()} == {"event": 1, "scan": 3, "span": 3}
    assert report.lines()[2] == "| file | 2.93 MB, 30,000 rows |"
