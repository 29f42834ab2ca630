"""Rejects -> CSV files of bounded size that are safe in spreadsheets -> the same rejects."""

import csv
import io
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadFile
from engine.reading.block import Reject
from engine.rejects import MAX_REASONS, OTHER_REASONS, RejectFiles, folder_of, read_rejects, span_part
from tests.builders.samples import SOURCE
from tests.builders.texts import texts

# Characters that start a formula in a spreadsheet, the escape itself, and all that may start a new cell.
FORMULAS = st.text(st.sampled_from("=+-@'\t\r\n;,\" \xa0\u3000\uff1d\uff0b\uff0d\uff20|a1"), max_size=12)


def reject_at(place: tuple[int, int | None], reason: str, record: str) -> Reject:
    row, offset = place
    return Reject(row, offset, reason, record)


REJECTS = st.lists(
    st.builds(
        reject_at,
        st.sampled_from(list(product([0, 1, 25, 10**12], [None, 0, 1, 10**13]))),
        st.sampled_from("abc") | FORMULAS,
        texts(40) | FORMULAS,
    ),
    max_size=20,
)


def written(rejects: list[Reject]) -> bytes:
    """Return the file of these rejects."""
    files = RejectFiles("", "p")
    (file,) = files.add(rejects) + files.flush()
    return file.body


def cells_of(body: bytes, **form: str) -> list[list[str]]:
    """Return the cells of a file below its header, as any CSV reader sees them."""
    return list(csv.reader(io.StringIO(body.decode(), newline=""), **form))[1:]  # type: ignore[arg-type]


@settings(max_examples=80)
@given(st.lists(REJECTS, max_size=4), st.integers(1, 200))
def test_written_rejects_are_read_back_unchanged(groups: list[list[Reject]], file_bytes: int) -> None:
    files = RejectFiles("rejects/", "span-0", file_bytes)
    put = [file for group in groups for file in files.add(group)] + files.flush()
    every = [reject for group in groups for reject in group]
    assert [reject for file in put for reject in read_rejects(file.body)] == every
    rows = [[reject.row for reject in read_rejects(file.body)] for file in put]
    assert [file.key for file in put] == [f"rejects/span-0-{each[0]:012d}-{each[-1]:012d}.csv" for each in rows]
    assert all(len(cells_of(file.body)) >= 1 for file in put)
    assert files.count == sum(files.reasons.values()) == len(every)
    assert files.flush() == []


@settings(max_examples=80)
@given(REJECTS.filter(bool))
def test_no_cell_starts_like_a_formula(rejects: list[Reject]) -> None:
    body = written(rejects)
    for row in cells_of(body):
        assert not any(cell.lstrip(" \xa0\u3000").startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20")) for cell in row)
        assert not any(cell.startswith(("\t", "\r", "\n")) for cell in row)
    # Where semicolons or tabs separate cells, as in many countries, quotes do not protect what follows one.
    for piece in body.decode().replace("\t", ";").replace("\r", ";").replace("\n", ";").split(";"):
        assert not piece.lstrip(" \xa0\u3000").startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20"))


@pytest.mark.parametrize(
    ("record", "cell"),
    [
        ("=1+1,a@x", "'=1+1,a@x"),
        ("+49 30,a", "'+49 30,a"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        ("'quoted'", "''quoted'"),
        ("a;=1", "a;'=1"),
        ("a;'b", "a;''b"),
        ('"two\n-lines",x', '"two\n\'-lines",x'),
        ("Ann,ann@x,1-2=3", "Ann,ann@x,1-2=3"),
        ("a\tb\r\n\tc", "a\tb\r\n\tc"),
        ("it's;fine", "it's;fine"),
        ("", ""),
    ],
)
def test_records_are_escaped_for_spreadsheets(record: str, cell: str) -> None:
    body = written([Reject(1, 2, "why", record)])
    assert cells_of(body) == [["1", "2", "why", cell]]
    assert read_rejects(body) == [Reject(1, 2, "why", record)]


def test_format_of_the_file() -> None:
    rejects = [Reject(7, 120, "name is required, but empty", ",a@x"), Reject(8, None, "why", "é")]
    assert written(rejects).decode() == (
        'row,offset,reason,record\r\n7,120,"name is required, but empty",",a@x"\r\n8,,why,é\r\n'
    )


def test_record_of_a_megabyte_is_read_back() -> None:
    reject = Reject(1, 0, "why", '"\n' * 524_288)
    assert read_rejects(written([reject])) == [reject]


def test_lone_surrogate_is_written_as_its_escape() -> None:
    assert read_rejects(written([Reject(1, None, "why", "a\ud800b")])) == [Reject(1, None, "why", r"a\ud800b")]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "does not begin with the header row,offset,reason,record"),
        (b"name,mail\r\na,b\r\n", "does not begin with the header row,offset,reason,record"),
        (b"row,offset,reason,record\r\nsecret\r\n", "the file of rejects is damaged"),
        (b"row,offset,reason,record\r\nsecret,0,a,b\r\n", "the file of rejects is damaged"),
        (b"row,offset,reason,record\r\n1,secret,a,b\r\n", "the file of rejects is damaged"),
        (b'row,offset,reason,record\r\n1,0,a,"secret', "the file of rejects is damaged"),
        (b"row,offset,reason,record\r\n1,0,a,secret\xff\r\n", "the file of rejects is damaged"),
    ],
)
def test_other_files_are_refused(body: bytes, text: str) -> None:
    with pytest.raises(BadFile) as caught:
        read_rejects(body)
    assert text in str(caught.value)
    assert "secret" not in str(caught.value)


def test_file_is_returned_when_it_reaches_its_size() -> None:
    files = RejectFiles("", "p")
    reject = Reject(1, 0, "r", "x" * 1_048_576)
    assert [len(files.add([reject])) for _ in range(8)] == [0, 0, 0, 1, 0, 0, 0, 1]
    assert files.flush() == []


def test_no_rejects_yield_no_file() -> None:
    files = RejectFiles("", "p")
    assert files.add([]) == files.flush() == []


def test_number_of_distinct_reasons_is_bounded() -> None:
    files = RejectFiles("", "p")
    files.add(Reject(n, 0, f"reason {n % 60}", "") for n in range(120))
    assert len(files.reasons) == MAX_REASONS + 1
    assert files.reasons["reason 0"] == 2
    assert files.reasons[OTHER_REASONS] == 20


def test_folder_contains_object_key_and_ingestion() -> None:
    assert folder_of("rejects/", SOURCE) == f"rejects/uploads/users.csv/{SOURCE.ingestion}/"


@pytest.mark.parametrize("key", ["k" * 1_024, "€" * 341, "k" * 900])
def test_key_is_never_too_long_for_s3(key: str) -> None:
    source = SOURCE._replace(key=key)
    folder = folder_of("rejects/", source)
    assert folder == f"rejects/{source.ingestion}/"
    assert len(f"{folder}message-{'0' * 15}-{'0' * 6}-{'0' * 12}-{'0' * 12}.csv".encode()) <= 1_024


def test_part_names_sort_by_their_first_byte() -> None:
    assert span_part(0) == "span-000000000000000"
    assert span_part(5 * 2**40) == "span-005497558138880"
