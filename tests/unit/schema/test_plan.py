"""Plans: headers matched by place, path and name; what is ignored or absent; padding; computed attributes."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadFile
from engine.exact_json import NumberText
from engine.reading.format import Format
from engine.schema.model import Schema
from engine.schema.plan import RowPlan
from tests.builders.samples import ORDERS, PRODUCTS, USERS, schema_of
from tests.builders.texts import texts

KEYED = '[key]\npartition = "k"\n[columns.k]\nrequired = true\n'


def keyed(toml: str, top: str = "") -> Schema:
    """A schema with a key column `k`; `top` goes before the tables."""
    return schema_of(f"{top}\n{KEYED}{toml}")


def clean(plan: RowPlan, *rows: list[Any]) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
    """Return the good rows without their numbers, and the reasons for the bad ones."""
    good, bad = plan.clean(range(len(rows)), list(rows))
    return [row[1:] for row in good], bad


def test_ignored_and_absent_columns_are_named() -> None:
    plan = USERS.plan(["name", "mail", "telephone", "", "Fax"])
    assert (plan.ignored, plan.absent) == (("telephone", 4, "Fax"), ("phone",))
    whole = USERS.plan(["name", "mail", "phone"])
    assert (whole.ignored, whole.absent) == ((), ())
    assert PRODUCTS.plan(["article", "price", "x"]).ignored == ()


def test_ignored_columns_have_places_where_no_column_was_found_by_name() -> None:
    schema = keyed("", 'unknown_columns = "ignore"')
    by_place = replace(schema, columns=(replace(schema.columns[0], place=1),))
    assert by_place.plan(["Ann", "secret@example.com"]).ignored == (2,)
    assert by_place.plan(["k", "a", "b"], "json").ignored == ("a", "b")


def test_first_line_in_which_one_field_is_the_name_of_a_column_may_be_a_row() -> None:
    schema = schema_of('[key]\npartition = "at"\n[columns.city]\n[columns.mail]\n[generated]\nat = "version"\n')
    assert schema.plan(["Mail", "secret@example.com"]).ignored == (2,)
    assert schema.plan(["Mail", "City", "Fax"]).ignored == ("Fax",)
    assert schema.plan(["Mail", "Fax"], "message").ignored == ("Fax",)
    # Names in the schema are no data.
    declared = replace(schema, format=Format(header_lines=0, names=("mail", "fax")))
    assert declared.plan(["mail", "fax"]).ignored == ("fax",)


def test_columns_by_place() -> None:
    schema = keyed("[columns.second]\nplace = 3\n[columns.first]\nplace = 2", 'unknown_columns = "store"')
    plan = schema.plan(["k", "x", "x", "y", ""])
    assert plan.attributes == ("k", "second", "first", "y", "column_5")
    assert clean(plan, ["1", "2", "3", "4", "5"])[0] == [("1", "3", "2", "4", "5")]
    # A place replaces the header's name, which at another place is an unknown column's.
    with pytest.raises(BadFile, match="the column in place 4 cannot be stored: the schema uses its name for another"):
        schema.plan(["k", "x", "x", "second"])
    assert schema.plan(["k", "a", "b"]).attributes == ("k", "second", "first")
    assert schema.plan(["k"]).absent == ("second", "first")


def test_required_column_whose_place_is_missing() -> None:
    schema = keyed("[columns.x]\nplace = 3\nrequired = true")
    with pytest.raises(BadFile, match=r"lacks the required column x \(place 3\)"):
        schema.plan(["k", "x"])


def test_nameless_columns_are_stored_by_place() -> None:
    schema = keyed("", 'unknown_columns = "store"')
    plan = schema.plan(["", "k", " "])
    assert plan.attributes == ("k", "column_1", "column_3")
    assert clean(plan, ["a", "b", ""])[0] == [("b", "a", None)]
    with pytest.raises(BadFile, match="an unknown column twice"):
        schema.plan(["", "k", "column_1"])


def test_columns_by_path() -> None:
    schema = keyed('[columns.city]\npath = "address.city"\n[columns.dotted]\npath = ["a.b", "c"]')
    assert [column.path for column in schema.columns] == [(), ("address", "city"), ("a.b", "c")]
    plan = schema.plan(["K", "city", "address.city"], "json")
    assert clean(plan, ["1", "no", "Ulm"])[0] == [("1", "Ulm", None)]
    assert plan.ignored == ("city",)
    # A CSV file and a plain message have no paths.
    assert clean(schema.plan(["k", "city"]), ["1", "Ulm"])[0] == [("1", "Ulm", None)]
    assert clean(schema.plan(["k", "city"], "message"), ["1", "Ulm"])[0] == [("1", "Ulm", None)]


def test_places_and_paths_that_are_taken_are_refused() -> None:
    with pytest.raises(Exception, match=r"columns\.b\.place: is already that of 'a'"):
        keyed("[columns.a]\nplace = 2\n[columns.b]\nplace = 2")
    with pytest.raises(Exception, match=r"columns\.b\.path: is already that of 'a'"):
        keyed('[columns.a]\npath = "x"\n[columns.b]\npath = ["x"]')


@pytest.mark.parametrize(
    "columns",
    [
        '[columns.a]\npath = ["x.y"]\n[columns.b]\npath = ["x", "y"]',
        '[columns."x.y"]\n[columns.b]\npath = "x.y"',
        '[columns.a]\npath = "x.y"\n[columns.b]\naliases = ["X.Y"]',
        '[columns.a]\npath = "b"\n[columns.b]',
    ],
)
def test_two_columns_of_json_lines_under_one_name_are_refused(columns: str) -> None:
    with pytest.raises(Exception, match="is already that of"):
        keyed(columns)


def test_numbers_of_json_are_not_read_in_the_declared_form() -> None:
    schema = keyed('[columns.n]\ntype = "N"\nthousands = "."\ndecimal = ","')
    plan = schema.plan(["k", "n"], "json")
    values = [NumberText("1.234"), "1.234", NumberText("5"), "1,5", None, True, NumberText("1E999")]
    rows, bad = plan.clean(range(7), [["k", value] for value in values])
    assert [row[2] for row in rows] == ["1.234", "1234", "5", "1.5", None]
    assert sorted(bad) == [5, 6]


def test_json_columns_take_any_attribute_value_as_it_is() -> None:
    plan = keyed('[columns.j]\ntype = "json"').plan(["k", "j"], "dynamodb")
    values: list[Any] = [{"S": "a"}, {"N": "1.50"}, {"BOOL": True}, {"B": "YQ=="}, {"M": {}}, {"NULL": True}, None]
    rows, bad = plan.clean(range(7), [[{"S": "k"}, value] for value in values])
    assert [row[2] for row in rows] == [{"S": "a"}, {"N": "1.5"}, *values[2:]]
    assert not bad


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("S", "5", "5"),
        ("S", NumberText("1.50"), "1.5"),
        ("S", True, "true"),
        ("S", None, None),
        ("S", ["a"], "x is a JSON list or object, not a single value"),
        ("S", {}, "x is a JSON list or object, not a single value"),
        ("N", NumberText("1.50"), "1.5"),
        ("N", "1.50", "1.5"),
        ("N", True, "x is not a number that DynamoDB can hold"),
        ("N", [1], "x is not a number that DynamoDB can hold"),
        ("BOOL", False, False),
        ("BOOL", NumberText("1"), True),
        ("BOOL", "maybe", "x is not a boolean (true or false)"),
        ("date", "2024-01-31", "2024-01-31"),
        ("date", {}, "x is not a date"),
        ("list", ["a"], {"L": [{"S": "a"}]}),
        ("list", "a", "x is text, and the schema has no separator for it"),
        ("list", True, "x is text, and the schema has no separator for it"),
        ("set", [], None),
        ("set", ["a", "a"], {"SS": ["a"]}),
        ("set", [1], "x is not a set of texts that are not empty"),
        ("json", {"a": [1, None]}, {"M": {"a": {"L": [{"N": "1"}, {"NULL": True}]}}}),
        ("json", "{}", {"S": "{}"}),
        ("json", NumberText("1.0"), {"N": "1"}),
        ("json", True, {"BOOL": True}),
        ("json", None, None),
        ("binary", "YQ==", "YQ=="),
        ("binary", ["YQ=="], "x is not Base64 in its canonical form"),
    ],
)
def test_json_values_become_values_of_the_columns_type(type_: str, value: Any, expected: Any) -> None:
    plan = keyed(f'[columns.x]\ntype = "{type_}"').plan(["k", "x"], "json")
    good, bad = clean(plan, ["1", value], ["2", None])
    assert good[-1] == ("2", None)
    assert (bad.get(0), expected) == (expected, expected) or good[0] == ("1", expected)


EMPTIES = [("", "omit", None), ("", "null", {"NULL": True}), ("", "text", "")]


@pytest.mark.parametrize(("text", "policy", "value"), EMPTIES)
def test_empty_values(text: str, policy: str, value: Any) -> None:
    for schema in (keyed("[columns.x]", f'empty = "{policy}"'), keyed(f'[columns.x]\nempty = "{policy}"')):
        assert clean(schema.plan(["k", "x"]), ["1", text], ["2", "b"])[0] == [("1", value), ("2", "b")]
        assert clean(schema.plan(["k"]), ["1"])[0] == [("1", None)]


def test_empty_values_of_other_types_are_never_text() -> None:
    schema = keyed('[columns.n]\ntype = "N"\n[columns.d]\ndefault = "x"', 'empty = "text"\nunknown_columns = "store"')
    assert clean(schema.plan(["k", "n", "d", "u"]), ["1", "", "", ""])[0] == [("1", None, "x", "")]


def test_null_values() -> None:
    top = 'null_values = ["NA", "-999"]\nunknown_columns = "store"'
    schema = keyed('[columns.n]\ntype = "N"\n[columns.own]\nnull_values = ["-"]\nlower = true\ntrim = true', top)
    plan = schema.plan(["k", "n", "own", "other"])
    rows = [["1", " NA ", "NA", "NA"], ["2", "-999", " - ", "-999"], ["3", "5", "x", " NA"], ["NA", "1", "", ""]]
    good, bad = clean(plan, *rows)
    assert good == [("1", None, "na", None), ("2", None, None, None), ("3", "5", "x", " NA")]
    assert bad == {3: "k is required, but empty"}


def test_null_values_of_json() -> None:
    schema = keyed('[columns.x]\ntype = "json"\n[columns.n]\ntype = "N"', 'null_values = ["NA", "-999"]')
    rows: list[list[Any]] = [
        ["1", "NA", NumberText("-999")],
        ["2", NumberText("-999"), " NA "],
        ["3", ["NA"], None],
        ["4", 10**30, 5],
    ]
    assert clean(schema.plan(["k", "x", "n"], "json"), *rows)[0] == [
        ("1", None, None),
        ("2", None, None),
        ("3", {"L": [{"S": "NA"}]}, None),
        ("4", {"N": "1" + "0" * 30}, "5"),
    ]


def test_null_values_are_lower_cased_with_the_values() -> None:
    schema = keyed('[columns.x]\nnull_values = ["NA"]\nlower = true')
    assert clean(schema.plan(["k", "x"]), ["1", "na"], ["2", "NA"], ["3", "Nab"])[0] == [
        ("1", None),
        ("2", None),
        ("3", "nab"),
    ]


PADDED = replace(USERS.plan(["name", "mail", "phone", "x"]), pad=True)


def test_short_rows_are_padded_where_declared() -> None:
    good, bad = clean(PADDED, ["a", "b"], ["a", "b", "c", "d"], ["a"], ["a", "b", "c"], ["a", "b", "c", "d", "e"])
    assert good == [("a", "b", "N/A"), ("a", "b", "c"), ("a", "b", "c")]
    assert bad == {2: "mail is required, but empty", 4: "the row has 5 fields, the header has 4"}


@given(st.lists(st.lists(texts(3), max_size=5), max_size=8))
def test_padding_equals_rows_of_the_headers_width(rows: list[list[str]]) -> None:
    whole = [row + [""] * (PADDED.width - len(row)) for row in rows]
    assert clean(PADDED, *rows)[0] == clean(PADDED, *whole)[0]
    assert set(clean(PADDED, *rows)[1]) == set(clean(PADDED, *whole)[1])


def test_lists_and_json_longer_than_an_item_are_refused_unread() -> None:
    schema = keyed('[columns.a]\ntype = "json"\n[columns.b]\ntype = "list"\nseparator = ","\n[columns.c]')
    half, rest = f'"{"x" * 204_798}"', "y" * 204_801
    rows = [["1", half, rest[1:], rest], ["2", half, rest, ""], ["3", "[", "", ""], ["4"]]
    reason = "its lists, sets and JSON are longer than 409,600 characters, and an item has at most 400 KB"
    good, bad = clean(schema.plan(["k", "a", "b", "c"]), *rows)
    assert [row[0] for row in good] == ["1"]
    assert (bad[1], set(bad)) == (reason, {1, 2, 3})
    assert clean(schema.plan(["k", "a"], "json"), ["1", ["x" * 409_600]], ["2", [True]])[1] == {0: reason}


COMPUTED = """[computed]
pk = "ORDER#{order}"
label = "{{{name}}} 100% of {order}: {active}, {n}"
[columns.order]
trim = true
[columns.name]
[columns.active]
type = "BOOL"
default = true
[columns.n]
type = "N"
"""


def computed(toml: str = COMPUTED, key: str = "pk") -> Schema:
    return schema_of(f'[key]\npartition = "{key}"\n{toml}')


def test_computed_attributes_are_joined_from_cleaned_values() -> None:
    plan = computed().plan(["order", "name", "active", "n"])
    assert plan.attributes == ("order", "name", "active", "n", "pk", "label")
    good, bad = clean(
        plan, [" A ", "x{y}%s", "no", "1.50"], ["B", "", "", "2"], ["", "n", "", "1"], ["C", "n", "?", "1"]
    )
    assert good == [("A", "x{y}%s", False, "1.5", "ORDER#A", "{x{y}%s} 100% of A: false, 1.5")]
    assert bad == {
        1: "label needs name, which is empty",
        2: "pk needs order, which is empty",
        3: "active is not a boolean (true or false)",
    }


def test_computed_attribute_needs_its_columns_in_the_header() -> None:
    with pytest.raises(BadFile, match="lacks the column name: label is computed from it"):
        computed().plan(["order", "n"])


def test_empty_values_of_any_policy_are_no_part_of_a_computed_attribute() -> None:
    for policy in ("omit", "null", "text"):
        schema = keyed(f'[columns.x]\nempty = "{policy}"\n[computed]\nc = "{{x}}"')
        assert clean(schema.plan(["k", "x"]), ["1", ""])[1] == {0: "c needs x, which is empty"}


def test_computed_key_is_limited_to_the_bytes_that_dynamodb_accepts() -> None:
    plan = computed('[columns.order]\n[computed]\npk = "ORDER#{order}"').plan(["order"])
    good, bad = clean(plan, ["é" * 1_021], ["é" * 1_022], ["x" * 5_000])
    assert len(good) == 1
    assert set(bad.values()) == {"pk is longer than 2,048 bytes, the limit for a key"}


TEMPLATES = [
    ("{no}", "'no' is the name of no column"),
    ("plain", "it names no column"),
    ("{order", "a brace { must begin"),
    ("{}", "a brace { must begin"),
    ("order}", "a brace } stands alone"),
    ("{a{order}", "a brace { must begin"),
    ("{order}{name}", "a key needs a text between two columns"),
    ("{tags}", "the column 'tags' has values that are neither text nor numbers"),
]


@pytest.mark.parametrize(("template", "reason"), TEMPLATES)
def test_template_that_is_refused(template: str, reason: str) -> None:
    toml = f'[computed]\npk = "{template}"\n[columns.order]\n[columns.name]\n[columns.tags]\ntype = "set"'
    with pytest.raises(Exception, match=re.escape(reason)):
        computed(toml)


def test_doubled_braces_between_columns_are_text() -> None:
    schema = computed('[columns.a]\n[columns.b]\n[computed]\npk = "{a}}}{b}%s"')
    assert clean(schema.plan(["a", "b"]), ["1", "2"])[0] == [("1", "2", "1}2%s")]


def test_reasons_never_have_the_name_of_an_unknown_column() -> None:
    schema = keyed("", 'unknown_columns = "store"')
    bad = clean(schema.plan(["k", "secret"], "json"), ["1", ["secret"]])[1]
    assert bad == {0: "the column in place 2 is a JSON list or object, not a single value"}


def test_types_of_all_attributes() -> None:
    assert {name: ORDERS.types[name] for name in ("pk", "kind", "schema", "version", "ordered", "shipped")} == {
        "pk": "S",
        "kind": "S",
        "schema": "N",
        "version": "N",
        "ordered": "S",
        "shipped": "N",
    }
    assert (ORDERS.types["tags"], ORDERS.types["sizes"], ORDERS.types["address"]) == ("SS", "L", "any")
    assert (ORDERS.types["signature"], ORDERS.conflict, USERS.conflict) == ("B", "newest", "replace")
    assert [schema.is_plain for schema in (USERS, PRODUCTS, ORDERS)] == [True, True, False]


def test_value_of_a_plain_message_may_be_nested_where_its_column_is() -> None:
    assert [ORDERS.takes_nested(name) for name in ("TAGS", "sizes", "address", "total", "no")] == [True] * 3 + [
        False
    ] * 2
