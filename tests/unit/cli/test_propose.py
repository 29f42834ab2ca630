"""What `millpond schema` proposes reads each row of its sample, whatever the kind of file."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from engine.cli.errors import CliError
from engine.cli.propose import sample_of
from engine.reading.reader import ObjectReader
from engine.schema.model import ORIGINS, Schema
from engine.schema.parse import parse_schema
from engine.schema.proposal import propose


def proposed(path: Path, encoding: str | None = None) -> tuple[str, Schema]:
    text = propose(sample_of(path, 1_000, encoding))
    return text, parse_schema(text, "proposed")


def loaded(path: Path, schema: Schema) -> list[dict[str, Any]]:
    """Return the attributes of each row of the file, read by the schema; no row may be rejected."""
    reader = ObjectReader(schema.format, schema.wanted)
    blocks = [*reader.feed(path.read_bytes()), *reader.finish()]
    assert reader.found is not None
    plan = schema.plan(reader.header or [], ORIGINS[reader.found.type])
    items = []
    for block in blocks:
        rows, bad = plan.clean(block.numbers, block.rows)
        assert (block.rejects, bad) == ([], {})
        items += [dict(zip(plan.attributes, row[1:], strict=True)) for row in rows]
    return items


def json_file(folder: Path, name: str, lines: list[Any]) -> Path:
    path = folder / name
    data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def types(schema: Schema) -> dict[str, str]:
    return {name: type_ for name, type_ in schema.types.items() if name not in schema.generated}


def test_json_lines(tmp_path: Path) -> None:
    path = json_file(
        tmp_path,
        "orders.jsonl.gz",
        [
            {"id": "A-1", "line": 1, "zip": "10115", "paid": True, "on": "2024-01-31", "to": {"city": "Ulm"}, "x": 1},
            {"id": "A-1", "line": 2, "zip": "80331", "paid": False, "on": "2024-02-29", "tags": ["a", 1], "x": "one"},
        ],
    )
    text, schema = proposed(path)
    assert "all 2 rows" in text
    assert types(schema) == {
        "id": "S", "line": "N", "zip": "S", "paid": "BOOL", "on": "S", "to": "any", "tags": "any", "x": "any"
    }  # fmt: skip
    assert schema.format.type == "jsonl"
    assert list(schema.keys) == ["line"]
    assert len(loaded(path, schema)) == 2


def test_dynamodb_export(tmp_path: Path) -> None:
    values = {
        "id": {"S": " 1"}, "n": {"N": "1.50"}, "b": {"BOOL": True}, "m": {"M": {"a": {"S": "x"}}}, "l": {"L": []},
        "ss": {"SS": ["a"]}, "ns": {"NS": ["1"]}, "bin": {"B": "AA=="}, "nil": {"NULL": True},
    }  # fmt: skip
    path = json_file(tmp_path, "x.json.gz", [{"Item": values}, {"Item": {"id": {"S": "2"}, "bs": {"BS": ["AA=="]}}}])
    _, schema = proposed(path)
    assert set(types(schema)) == {*values, "bs"}
    assert list(schema.keys) == ["id"]
    assert len(loaded(path, schema)) == 2


def test_names_that_differ_in_case_only_are_one_column(tmp_path: Path) -> None:
    path = json_file(tmp_path, "x.jsonl", [{"id": 1, "Name": "a"}, {"ID": 2, "name": "b"}])
    _, schema = proposed(path)
    assert list(types(schema)) == ["id", "Name"]
    assert [item["Name"] for item in loaded(path, schema)] == ["a", "b"]


def test_numbers_beyond_those_of_dynamodb_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "a", "n": 1e300}\n')
    text, schema = proposed(path)
    assert "beyond those of DynamoDB" in text
    assert types(schema)["n"] == "S"


@pytest.mark.parametrize("name", ["version", "processedAt", "ingestion", "rowNumber"])
def test_columns_named_like_generated_attributes(tmp_path: Path, name: str) -> None:
    for rows in ("1,a\n1,a\n", "1,a\n2,a\n", ",a\n2,\n"):
        path = tmp_path / "x.csv"
        path.write_text(f"{name},other\n{rows}")
        _, schema = proposed(path)
        assert name in types(schema)
        assert len(loaded(path, schema)) == 2


def test_file_of_another_encoding_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("id;Ort\n1;Köln\n2;Ulm an der Größe\n".encode("cp1252"))
    with pytest.raises(CliError, match=r"no row .* UTF-8 text.* --encoding cp1252"):
        sample_of(path, 10, None)
    _, schema = proposed(path, "cp1252")
    assert schema.format.encoding == "cp1252"
    assert loaded(path, schema)[0]["Ort"] == "Köln"


def test_header_of_another_encoding_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("id;Straße\n1;x\n".encode("cp1252"))
    with pytest.raises(CliError, match=r"header line cannot be read.* --encoding cp1252"):
        sample_of(path, 10, None)


def test_unknown_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n")
    with pytest.raises(CliError, match="--encoding must be a text encoding that Python knows"):
        sample_of(path, 10, "klingon")


def test_first_unreadable_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"id,name\n1,a\n2,\xff\n3\n")
    text, _ = proposed(path)
    assert "# 2 rows could not be read, first row 2: the row is not UTF-8 text; if" in text


def test_first_line_that_may_be_data_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("1\tCA-1\t2016-11-08\n2\tCA-2\t2016-11-09\n")
    text, _ = proposed(path)
    assert '# names like values: "1", "2016-11-08"; if the first line is data, use millpond schema --no-header' in text
    schema = parse_schema(propose(sample_of(path, 10), header=False), "proposed")
    assert [item["column_2"] for item in loaded(path, schema)] == ["CA-1", "CA-2"]


def test_usual_header_is_not_doubted(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,name,Größe\n1,a,2\n")
    text, _ = proposed(path)
    assert "names like values" not in text


def test_dropped_blanks_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,name\n1,a \n2,b\n")
    text, _ = proposed(path)
    assert "# 1 value begins or ends with a blank, which trim drops" in text
