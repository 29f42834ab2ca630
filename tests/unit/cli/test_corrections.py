"""Names of files of rejected rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.corrections import corrected_by, marked_name
from engine.events import is_data_file

ID, OTHER = "0123456789abcdef0123", "f" * 20


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("uploads/users.csv", f"users.corrects-{ID}.csv"),
        ("users.v2.tsv", f"users.v2.corrects-{ID}.tsv"),
        ("uploads/2026/users.csv.GZ", f"users.corrects-{ID}.csv"),
        (f"uploads/users.corrects-{OTHER}.csv", f"users.corrects-{ID}.csv"),
    ],
)
def test_name_is_that_of_the_object_and_tells_the_ingestion(key: str, name: str) -> None:
    assert marked_name(key, ID) == name
    assert corrected_by(name) == ID


@pytest.mark.parametrize("name", ["users.csv", f"corrects-{ID}.csv", f"users.corrects-{ID}0.csv", "a.corrects-x.csv"])
def test_other_names_tell_nothing(name: str) -> None:
    assert corrected_by(name) is None


@given(st.text(min_size=1, max_size=20), st.sampled_from([".csv", ".jsonl", ".txt.zst", ".csv.bz2"]))
def test_each_name_of_a_data_file_stays_one(stem: str, suffix: str) -> None:
    key = f"uploads/{stem.replace('/', '')}{suffix}"
    if is_data_file(key):
        name = marked_name(key, ID)
        assert is_data_file(name)
        assert corrected_by(name) == ID
        assert corrected_by(marked_name(name, OTHER)) == OTHER
