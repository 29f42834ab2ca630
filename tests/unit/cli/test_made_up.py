"""Rows that are made up for a schema, and the examples that commands name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.cli.example import example_of, first_key, item_path
from engine.cli.made_up import NoShapeError, made_up
from engine.convert import Converter
from engine.errors import BadFile
from engine.schema.model import Schema
from tests.builders.samples import ORDER_LINES_TOML, PRODUCTS, SOURCE, USERS, schema_of

ORDERS = schema_of(ORDER_LINES_TOML.read_text().partition("\n\n")[2])

CHOOSY = schema_of(
    '[key]\npartition = "id"\n'
    '[columns.id]\nrequired = true\npattern = "[0-9a-f]{8}-.*"\n'
    '[columns.code]\npattern = "[A-Z]"\n'
    '[columns.day]\npattern = "20[0-9]{2}-[0-9]{2}-[0-9]{2}"\n'
    "[columns.short]\nmax_length = 1\n"
    '[columns.flag]\ntype = "BOOL"\nrequired = true\n'
)


def accepted(schema: Schema, data: bytes) -> tuple[int, int]:
    """How many rows the engine takes, and how many it rejects."""
    converter = Converter(SOURCE, schema, records_per_message=100, max_message_bytes=61_440)
    done = [*converter.feed(data, ""), *converter.finish("")]
    return sum(each.valid for each in done), sum(len(each.rejects) for each in done)


@pytest.mark.parametrize("schema", [USERS, PRODUCTS, ORDERS, CHOOSY], ids=["users", "products", "orders", "choosy"])
@pytest.mark.parametrize(("rows", "seed"), [(1, 1), (400, 1), (2_500, 7)])
def test_made_up_file_has_the_valid_rows_that_it_says(schema: Schema, rows: int, seed: int) -> None:
    pieces = list(made_up(schema, rows, seed=seed))
    assert pieces == list(made_up(schema, rows, seed=seed))
    valid = sum(valid for _, valid in pieces)
    assert accepted(schema, b"".join(piece for piece, _ in pieces)) == (valid, rows - valid)
    assert rows - valid == (rows - 1) // 400


GERMAN = (
    '[columns.id]\nrequired = true\n[columns.day]\nrequired = true\ntype = "date"\ninput = ["%d.%m.%Y"]\n'
    '[columns.ort]\nplace = 5\n[columns.price]\ntype = "N"\nthousands = "."\ndecimal = ","\n[key]\npartition = "id"\n'
)


@pytest.mark.parametrize(
    "form",
    [
        'delimiter = ";"',
        'delimiter = "\\t"\nquote = "none"',
        'delimiter = \'|\'\nquote = "\'"\nescape = "backslash"',
        'encoding = "utf-16-le"',
        'encoding = "utf-16"',
        'encoding = "cp1252"\ncomment = "#"\nskip_lines = 2',
        'header_lines = 0\nnames = ["day", "x", "ID", "price", "ort"]',
        'header_lines = 2\nnames = ["day", "x", "ID", "price", "ort"]',
        "header_lines = 3",
        "multiline = false",
    ],
)
def test_made_up_file_is_of_the_declared_format(form: str) -> None:
    schema = schema_of(f"{GERMAN}[format]\n{form}\n")
    pieces = list(made_up(schema, 1_500))
    assert accepted(schema, b"".join(piece for piece, _ in pieces)) == (sum(valid for _, valid in pieces), 3)


@pytest.mark.parametrize("form", ['type = "jsonl"', 'type = "dynamodb-json"', 'compression = "gzip"'])
def test_what_the_demo_makes_no_files_of_is_refused(form: str) -> None:
    with pytest.raises(NoShapeError, match=r"plain CSV files only, .*millpond local --schema FILE"):
        next(made_up(schema_of(f"{GERMAN}[format]\n{form}\n"), 10))


def test_another_seed_has_other_keys() -> None:
    one, two = ({line for piece, _ in made_up(ORDERS, 50, seed=seed) for line in piece.splitlines()} for seed in (1, 2))
    assert len(one & two) == 1  # the header


def test_column_whose_rules_are_too_special_is_named() -> None:
    schema = schema_of('[key]\npartition = "id"\n[columns.id]\nrequired = true\npattern = "=[0-9]+="\n')
    with pytest.raises(NoShapeError, match=r"the column id: .*millpond local --schema FILE"):
        next(made_up(schema, 10))


def test_example_is_the_file_of_the_collection(tmp_path: Path) -> None:
    users = asyncio.run(example_of(USERS))
    assert users is not None
    assert (users.path.name, users.rows, users.key) == ("users.csv", 10, "john@gmail.com")
    assert item_path(USERS, users) == "users/john@gmail.com"
    assert asyncio.run(example_of(ORDERS, tmp_path)) is None
    assert item_path(ORDERS, None) == "things/KEY"
    path = tmp_path / "things.csv"
    path.write_text("order_id,sku,quantity\n,pen,1\nA 1/2,pen,1\n")
    found = asyncio.run(example_of(ORDERS, tmp_path))
    assert found is not None
    assert (found.rows, item_path(ORDERS, found)) == (1, "things/A%201%2F2")
    assert asyncio.run(first_key(path, ORDERS)) == "A 1/2"
    path.write_text("order_id,sku,quantity\n,pen,1\n")
    with pytest.raises(BadFile, match=r"no row of things\.csv fits the schema"):
        asyncio.run(first_key(path, ORDERS))
    path.write_text("another,header\n1,2\n")
    assert asyncio.run(example_of(ORDERS, tmp_path)) is None
