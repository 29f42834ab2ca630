"""`millpond check`: what it prints, and its exit codes."""

import gzip
import json
import random
import re
from pathlib import Path

import pytest

from engine.cli.command import main

GOOD = "name,mail,phone\nA,a@x.de,1\nB,b@x.de,2\n"


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "good.csv").write_text(GOOD)
    return str(tmp_path / "good.csv")


@pytest.fixture
def bad(tmp_path: Path) -> str:
    (tmp_path / "bad.csv").write_text("mail,name,size\n,A,1\nb@x.de,\x1b[31mB,2\nhot@x.de,C,3\nhot@x.de,D,4\n,E,5\n")
    return str(tmp_path / "bad.csv")


def test_file_of_valid_rows(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", good]) == 0
    said = capsys.readouterr().out
    assert "2 rows: 2 valid, 0 rejected" in said
    assert "2 write units in 1 call" in said


def test_rejects_are_shown_with_their_text_and_no_escape_sequence(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", bad]) == 3
    said = capsys.readouterr().out
    assert "5 rows: 3 valid, 2 rejected" in said
    assert "rejected: mail is required, but empty" in said
    assert "row 1: ,A,1" in said
    assert "columns not in the schema" in said
    assert "size" in said
    assert "\x1b[31m" not in said
    assert "'hot@x.de' has 67% of the rows" in said


def test_json_of_two_files_adds_up(good: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", good, bad, "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert {name: document[name] for name in ("rows", "valid", "rejected", "items", "messages", "writeUnits")} == {
        "rows": 7, "valid": 5, "rejected": 2, "items": 5, "messages": 2, "writeUnits": 5,
    }  # fmt: skip
    assert document["dollars"] == pytest.approx(sum(document["dollarsBy"].values()), abs=2e-6)
    first, second = document["files"]
    assert (first["file"], first["rejects"]) == (good, [])
    assert second["rejects"][0]["rows"] == 2
    assert second["rejects"][0]["first"][0] == {"row": 1, "record": ",A,1"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "x,y\n1,2\n", "would be refused: the header lacks the required columns"),
        ("a.csv", "", "would be refused"),
        ("a.xlsx", "PK", "a.xlsx"),
    ],
)
def test_file_that_would_be_refused(
    name: str, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert main(["check", str(tmp_path / name)]) == 2
    assert said in capsys.readouterr().err


def test_refused_file_keeps_no_other_from_being_shown(
    good: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.csv").write_text("x,y\n1,2\n")
    assert main(["check", str(tmp_path / "wrong.csv"), good]) == 2
    said = capsys.readouterr()
    assert "2 rows: 2 valid, 0 rejected" in said.out
    assert "wrong.csv would be refused: the header lacks" in said.err


def test_file_that_is_refused_in_the_middle_says_what_would_be_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "".join(f"A,{random.Random(row).random()}@x.de,1\n" for row in range(60_000))
    cut = gzip.compress(f"name,mail,phone\n{lines}".encode())[:-100_000]
    (tmp_path / "cut.csv.gz").write_bytes(cut)
    assert main(["check", str(tmp_path / "cut.csv.gz")]) == 2
    assert re.search(
        "would be refused: .*; the [0-9,]+ valid rows before that would be loaded", capsys.readouterr().err
    )


def test_wrong_file_would_fail_by_the_limit_of_rejects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wrong.csv").write_text("name,mail\nA,a@x.de\n,b@x.de\n,c@x.de\n")
    assert main(["check", str(tmp_path / "wrong.csv")]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "would fail after 3 rows: more rejects than MAX_REJECTS=50%" in said


def test_names_are_shown_without_escape_sequences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a\x1b[31m.csv"
    path.write_text("name,mail,\x1b]0;title\x07\nA,a@x.de,1\n")
    assert main(["check", str(path)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_file_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.csv")]) == 2
    assert "does not exist" in capsys.readouterr().err
