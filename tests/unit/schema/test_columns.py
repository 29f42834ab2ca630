"""Cleaning rows in blocks: equal to cleaning them one by one; each rejection has a reason without row content."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.schema.columns import Column
from engine.schema.plan import RowPlan
from tests.builders.choices import choices
from tests.builders.samples import PRODUCTS, USERS, schema_of
from tests.builders.texts import texts

USER_PLAN = USERS.plan(["name", "mail", "phone"])
PRODUCT_PLAN = PRODUCTS.plan(["Article No", "price", "stock", "active", "grade", "title", "Colour"])

# For each column of the products: values that it accepts, values that it cleans, values that it refuses.
NOTABLE = ["A-1", " B-2 ", "c-3", "A" * 12, "A" * 13, "", " ", "0", "1.50", "1e3", "9" * 39, "true", "NO", "b", " C "]
NOTABLE += ["d"]
CELLS = st.sampled_from(NOTABLE) | texts(9)
ROWS = st.lists(
    st.lists(CELLS, min_size=7, max_size=7)
    | choices(NOTABLE, min_size=5, max_size=5).map(lambda others: ["A-1", "1", *others])
    | st.lists(CELLS, max_size=9),
    max_size=12,
)


def clean(column: Column, *values: str) -> tuple[list[Any], dict[int, str]]:
    """Return the cleaned values of one column, and the reason for each refused one by index."""
    bad: dict[int, str] = {}
    return list(column.clean(values, bad)), bad


def by_row(
    plan: RowPlan, numbers: Sequence[int], rows: list[list[str]]
) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
    """Return what `plan.clean` returns, called with one row at a time."""
    good: list[tuple[Any, ...]] = []
    bad: dict[int, str] = {}
    for i, (number, row) in enumerate(zip(numbers, rows, strict=True)):
        one, wrong = plan.clean([number], [row])
        assert len(one) + len(wrong) == 1
        good += one
        bad.update((i, reason) for reason in wrong.values())
    return good, bad


@settings(max_examples=80)
@given(ROWS, st.integers(1, 10**9))
def test_cleaning_a_block_equals_cleaning_its_rows(rows: list[list[str]], first: int) -> None:
    numbers = range(first, first + len(rows))
    for plan in (PRODUCT_PLAN, USER_PLAN):
        assert plan.clean(numbers, rows) == by_row(plan, numbers, rows)


@given(ROWS)
def test_every_row_is_either_good_or_bad(rows: list[list[str]]) -> None:
    good, bad = PRODUCT_PLAN.clean(range(len(rows)), rows)
    assert sorted([*(row[0] for row in good), *bad]) == list(range(len(rows)))
    assert all(len(row) == 1 + len(PRODUCT_PLAN.attributes) for row in good)


@given(ROWS)
def test_cleaning_is_idempotent(rows: list[list[str]]) -> None:
    good, _ = USER_PLAN.clean(range(len(rows)), rows)
    again = [[value or "" for value in row[1:]] for row in good]
    assert USER_PLAN.clean([row[0] for row in good], again) == (good, {})


def test_users_are_cleaned() -> None:
    good, bad = USER_PLAN.clean(
        [1, 2, 3, 4, 5],
        [
            [" John Doe ", "\tJohn@Gmail.COM ", " 987 "],
            ["x", "y", ""],
            ["", "y", "1"],
            ["x", "  ", "1"],
            ["x", "Ä@É", " "],
        ],
    )
    assert good == [(1, "John Doe", "john@gmail.com", "987"), (2, "x", "y", "N/A"), (5, "x", "ä@é", "N/A")]
    assert bad == {2: "name is required, but empty", 3: "mail is required, but empty"}


def test_products_are_cleaned() -> None:
    assert PRODUCT_PLAN.attributes == ("sku", "price", "stock", "isActive", "grade", "title", "Colour")
    good, bad = PRODUCT_PLAN.clean(
        range(1, 9),
        [
            [" A-1 ", " 1.50 ", "", "", "", "", ""],
            ["A-2", "1e2", "07", "No", " B ", " as is ", " red "],
            ["a-3", "1", "", "", "", "", ""],
            ["A-4", "cheap", "", "", "", "", ""],
            ["A-5", "1", "many", "", "", "", ""],
            ["A-6", "1", "", "perhaps", "", "", ""],
            ["A-7", "1", "", "", "z", "", ""],
            ["A-8", "1", "", "", "", "too long!", ""],
        ],
    )
    assert good == [
        (1, "A-1", "1.5", "0", True, "N/A", None, None),
        (2, "A-2", "100", "7", False, "b", " as is ", " red "),
    ]
    assert bad == {
        2: "Article No does not match the pattern",
        3: "price is not a number that DynamoDB can hold",
        4: "stock is not a number that DynamoDB can hold",
        5: "active is not a boolean (true or false)",
        6: "grade does not match the pattern",
        7: "title is longer than 8 characters",
    }


def test_columns_missing_from_the_header_get_their_defaults() -> None:
    plan = PRODUCTS.plan(["price", "article"])
    assert plan.attributes == ("sku", "price", "stock", "isActive", "grade", "title")
    assert plan.clean([7], [["2", "A"]]) == ([(7, "A", "2", "0", True, "N/A", None)], {})


def test_rows_of_wrong_width_are_rejected_alone() -> None:
    good, bad = USER_PLAN.clean([4, 5, 6, 7], [["a", "b"], ["x", "y", "z"], ["a"], ["a", "b", "c", "d"]])
    assert good == [(5, "x", "y", "z")]
    assert bad == {
        0: "the row has 2 fields, the header has 3",
        2: "the row has 1 field, the header has 3",
        3: "the row has 4 fields, the header has 3",
    }


def test_empty_block_is_cleaned_to_nothing() -> None:
    assert USER_PLAN.clean([], []) == ([], {})
    assert PRODUCT_PLAN.clean([], []) == ([], {})


@pytest.mark.parametrize(
    ("toml", "column", "most"),
    [
        ('[key]\npartition = "k"\n[columns.k]\nrequired = true', 0, 2_048),
        ('[key]\npartition = "k"\nsort = "s"\n[columns.k]\nrequired = true\n[columns.s]\nrequired = true', 1, 1_024),
    ],
)
@pytest.mark.parametrize(("character", "size"), [("a", 1), ("é", 2), ("€", 3), ("\U0001f600", 4)])
def test_key_is_limited_to_the_bytes_that_dynamodb_accepts(
    toml: str, column: int, most: int, character: str, size: int
) -> None:
    key = schema_of(toml).columns[column]
    fits = character * (most // size) + "a" * (most % size)
    assert clean(key, fits, "a") == ([fits, "a"], {})
    reason = f"{key.name} is longer than {most:,} bytes, the limit for a key"
    assert clean(key, "a", fits + "a", character * most)[1] == ({1: reason} if size == 1 else {1: reason, 2: reason})


def test_only_string_keys_are_limited_in_bytes() -> None:
    numeric = schema_of('[key]\npartition = "k"\n[columns.k]\nrequired = true\ntype = "N"\n[columns.x]')
    assert clean(numeric.columns[0], "1" + "0" * 100) == (["1" + "0" * 100], {})
    assert clean(numeric.columns[1], "x" * 5_000) == (["x" * 5_000], {})


def test_max_length_counts_characters() -> None:
    column = Column(name="c", attribute="c", max_length=3)
    assert clean(column, "€€€", "abcd", "")[1] == {1: "c is longer than 3 characters"}


@given(st.lists(st.sampled_from(["1", "1.50", " 2 ", "", "  ", "x"]), min_size=1), st.booleans())
def test_refused_values_are_looked_at_alone(values: list[str], required: bool) -> None:
    column = Column(name="c", attribute="c", type="N", required=required)
    cleaned, bad = clean(column, *values)
    one_by_one = [clean(column, value) for value in values]
    assert bad == {i: found[0] for i, (_, found) in enumerate(one_by_one) if found}
    assert [cleaned[i] for i in range(len(values)) if i not in bad] == [
        row[0] for row, found in one_by_one if not found
    ]


@pytest.mark.parametrize("text", ["true", "T", "Yes", "y", "1", " TRUE "])
def test_texts_for_true(text: str) -> None:
    assert clean(Column(name="c", attribute="c", type="BOOL"), text, text.upper()) == ([True, True], {})


@pytest.mark.parametrize("text", ["false", "F", "No", "n", "0", " FALSE\t"])
def test_texts_for_false(text: str) -> None:
    assert clean(Column(name="c", attribute="c", type="BOOL"), text) == ([False], {})


def test_false_and_zero_are_not_replaced_by_the_default() -> None:
    assert clean(Column(name="c", attribute="c", type="BOOL", default=True), "0", "", "no")[0] == [False, True, False]
    assert clean(Column(name="c", attribute="c", type="N", default="7", required=False), "0", "")[0] == ["0", "7"]


def test_first_fault_is_the_reason() -> None:
    schema = schema_of(
        '[key]\npartition = "k"\n[columns.k]\nrequired = true\nmax_length = 2\npattern = "[a-z]+"\n'
        '[columns.n]\nrequired = true\ntype = "N"\nmax_length = 2'
    )
    rows = [["ABC", "x"], ["ab", "xyz"], ["AB", "x"], ["", ""], ["ab"]]
    assert schema.plan(["k", "n"]).clean(range(5), rows)[1] == {
        0: "k is longer than 2 characters",
        1: "n is longer than 2 characters",
        2: "k does not match the pattern",
        3: "k is required, but empty",
        4: "the row has 1 field, the header has 2",
    }


@given(st.lists(st.lists(texts(20, min_size=1).map(lambda text: f"secret{text}"), min_size=1, max_size=9), min_size=1))
def test_reason_never_contains_row_content(rows: list[list[str]]) -> None:
    _, bad = PRODUCT_PLAN.clean(range(len(rows)), rows)
    assert len(bad) == len(rows)
    assert not any("secret" in reason for reason in bad.values())
