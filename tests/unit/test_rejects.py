"""Rejects -> CSV files that a spreadsheet opens, of bounded size, the same on each run."""

import csv
import io
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import rejects
from engine.reading.block import Reject
from engine.rejects import OTHER_REASONS, RejectFile, RejectFiles, folder_of
from tests.builders.samples import SOURCE, texts

REJECTS = st.lists(
    st.builds(Reject, st.integers(1, 10**9), st.none() | st.integers(0, 10**12), st.sampled_from("abc"), texts(40)),
    max_size=20,
)


def rows_of(files: list[RejectFile]) -> list[list[str]]:
    """The rows of all files below their headers."""
    rows = []
    for file in files:
        header, *rest = csv.reader(io.StringIO(file.body.decode(), newline=""))
        assert header == ["row", "offset", "reason", "record"]
        assert rest
        rows += rest
    return rows


@given(st.lists(REJECTS, max_size=4), st.integers(1, 200))
def test_every_reject_is_in_a_file_as_it_was(groups: list[list[Reject]], file_bytes: int) -> None:
    with patch.object(rejects, "FILE_BYTES", file_bytes):
        files = RejectFiles("rejects/", "span-0")
        put = [file for group in groups for file in files.add(group)] + files.flush()
    every = [reject for group in groups for reject in group]
    offsets = ["" if reject.offset is None else str(reject.offset) for reject in every]
    assert rows_of(put) == [[str(r.row), at, r.reason, r.record] for r, at in zip(every, offsets, strict=True)]
    assert [file.key for file in put] == [f"rejects/span-0-{n:05d}.csv" for n in range(len(put))]
    assert files.count == sum(files.reasons.values()) == len(every)
    assert files.flush() == []


def test_a_file_is_put_when_it_has_grown_to_its_size() -> None:
    files = RejectFiles("", "p")
    reject = Reject(1, 0, "r", "x" * 1_048_576)
    assert [len(files.add([reject])) for _ in range(8)] == [0, 0, 0, 1, 0, 0, 0, 1]
    assert files.flush() == []


def test_without_rejects_there_is_no_file() -> None:
    files = RejectFiles("", "p")
    assert files.add([]) == files.flush() == []


def test_reasons_are_counted_one_by_one_up_to_a_bound() -> None:
    files = RejectFiles("", "p")
    files.add(Reject(n, 0, f"reason {n % 60}", "") for n in range(120))
    assert len(files.reasons) == rejects.MAX_REASONS + 1
    assert files.reasons["reason 0"] == 2
    assert files.reasons[OTHER_REASONS] == 20


def test_the_folder_names_object_and_ingestion() -> None:
    assert folder_of("rejects/", SOURCE) == f"rejects/uploads/users.csv/{SOURCE.ingestion}/"


@pytest.mark.parametrize("key", ["k" * 1_024, "€" * 341, "k" * 900])
def test_a_key_never_grows_too_long_for_s3(key: str) -> None:
    source = SOURCE._replace(key=key)
    folder = folder_of("rejects/", source)
    assert folder == f"rejects/{source.ingestion}/"
    assert len(f"{folder}message-{'0' * 15}-{'0' * 6}-00000.csv".encode()) <= 1_024
