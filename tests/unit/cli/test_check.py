"""`millpond check`: what it prints, and its exit codes."""

import json
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


def test_file_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.csv")]) == 2
    assert "does not exist" in capsys.readouterr().err
