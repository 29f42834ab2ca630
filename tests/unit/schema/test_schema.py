"""Schema files: the two in the repository, and how headers are matched to columns."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadFile
from engine.rejects import HEADER
from engine.schema.parse import parse_schema
from tests.builders.samples import PRODUCTS, USERS, schema_of

DOCS = Path(__file__).parents[3] / "docs" / "schema.md"


def sources(header: list[str]) -> dict[str, int | None]:
    """Return the index in a users' header of each attribute."""
    return {column.attribute: index for column, index in USERS.plan(header).columns}


def test_users_schema() -> None:
    assert USERS.keys == ("email", "createdAt")
    assert USERS.key_limits == {"email": 2_048, "createdAt": 1_024}
    assert (USERS.collection, USERS.unknown_columns) == ("users", "ignore")
    assert USERS.types == {
        "name": "S",
        "email": "S",
        "phone": "S",
        "createdAt": "N",
        "processedAt": "S",
        "expirationTime": "N",
    }


def test_products_schema() -> None:
    assert PRODUCTS.keys == ("sku",)
    assert PRODUCTS.key_limits == {"sku": 2_048}
    assert (PRODUCTS.collection, PRODUCTS.unknown_columns) == ("products", "store")
    assert set(PRODUCTS.types.values()) == {"S", "N", "BOOL"}
    assert not set(PRODUCTS.types) & set(USERS.types)
    assert [column.default for column in PRODUCTS.columns] == [None, None, "0", True, "N/A", None]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (["name", "mail", "phone"], {"name": 0, "email": 1, "phone": 2}),
        (["phone", "name", "mail"], {"name": 1, "email": 2, "phone": 0}),
        ([" NAME ", "\tEmail", "Phone\xa0"], {"name": 0, "email": 1, "phone": 2}),
        (["id", "mail", "", "name", "", "notes"], {"name": 3, "email": 1, "phone": None}),
    ],
)
def test_header_is_matched_to_columns(header: list[str], expected: dict[str, int | None]) -> None:
    assert sources(header) == expected
    assert USERS.plan(header).width == len(header)


@given(st.permutations(["name", "EMAIL", "phone", "x", "y"]))
def test_columns_may_be_in_any_order(header: list[str]) -> None:
    row = [f"value of {name.lower()}" for name in header]
    expected = [(1, "value of name", "value of email", "value of phone")]
    assert USERS.plan(header).clean([1], [row]) == (expected, {})


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (["name"], "the header lacks the required column mail: of its 1 columns the schema knows name"),
        (["phone"], "the header lacks the required columns name, mail: of its 1 columns the schema knows phone"),
        (
            [],
            "the header lacks the required columns name, mail: of its 0 columns the schema knows none "
            "(is the first line a header?)",
        ),
        (
            ["name;mail;phone"],
            "the header lacks the required columns name, mail: are its columns separated by ;? (delimiter in [format])",
        ),
        (
            [*HEADER],
            "the header lacks the required columns name, mail: this is a rejects file: put the corrected texts of its "
            "column record under the original header, and upload that",
        ),
        (
            ["name", *map(str.upper, HEADER)],
            "the header lacks the required column mail: this is a rejects file: put the corrected texts of its "
            "column record under the original header, and upload that",
        ),
        (["name", "mail", "E-Mail", "email"], "the header has the column mail twice: in places 2 and 4"),
        (["Name", "mail", " name"], "the header has the column name twice: in places 1 and 3"),
    ],
)
def test_header_that_does_not_match_is_a_bad_file(header: list[str], text: str) -> None:
    with pytest.raises(BadFile) as caught:
        USERS.plan(header)
    assert str(caught.value) == text


def test_unknown_columns_are_stored_under_their_names() -> None:
    plan = PRODUCTS.plan([" Colour ", "article", "price", "", "colour"])
    assert plan.attributes[-3:] == ("Colour", "column_4", "colour")
    assert plan.clean([1], [["red", "A", "1", "no name", ""]])[0][0][-3:] == ("red", "no name", None)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (["article", "price", "x", " x "], "the header has an unknown column twice, which cannot be stored"),
        (["article", "price", "changed"], "the column in place 3 cannot be stored"),
    ],
)
def test_unknown_columns_that_cannot_be_stored_are_refused(header: list[str], text: str) -> None:
    with pytest.raises(BadFile, match=re.escape(text)):
        PRODUCTS.plan(header)


@pytest.mark.parametrize(
    ("header", "text"),
    [(["k", "x"], "an unknown column in place 2"), (["k", " "], "a column without a name in place 2")],
)
def test_unknown_columns_may_be_forbidden(header: list[str], text: str) -> None:
    schema = schema_of('unknown_columns = "fail"\n[key]\npartition = "k"\n[columns.k]\nrequired = true')
    assert schema.plan(["K"]).width == 1
    with pytest.raises(BadFile, match=re.escape(text)):
        schema.plan(header)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (["k", "n" * 65_536], "the column in place 2 cannot be stored: its name is longer than 65,535 bytes"),
        (["k", "é" * 32_768], "the column in place 2 cannot be stored: its name is longer than 65,535 bytes"),
        (
            ["k", *map(str, range(16_385))],
            "the header has 16,385 columns that the schema does not know; at most 16,384",
        ),
    ],
)
def test_unknown_columns_are_limited(header: list[str], text: str) -> None:
    fields = '[key]\npartition = "k"\n[columns.k]\nrequired = true'
    with pytest.raises(BadFile, match=re.escape(text)):
        schema_of(f'unknown_columns = "store"\n{fields}').plan(header)
    assert schema_of(fields).plan(header).attributes == ("k",)


@pytest.mark.parametrize(
    ("name", "known"), [("mail", True), ("EMAIL", True), ("Phone", True), ("createdAt", False), ("v", False)]
)
def test_names_known_to_the_schema(name: str, known: bool) -> None:
    assert USERS.knows_any([name]) is USERS.knows_any(["other", name]) is known
    assert not USERS.knows_any([])


@pytest.mark.parametrize(
    ("kind", "type_"), [("version", "N"), ("row_number", "N"), ("modified", "N"), ("ingestion", "S")]
)
def test_deterministic_generated_attribute_may_be_a_key(kind: str, type_: str) -> None:
    schema = schema_of(f'[key]\npartition = "a"\nsort = "g"\n[columns.a]\nrequired = true\n[generated]\ng = "{kind}"')
    assert schema.keys == ("a", "g")
    assert schema.types["g"] == type_


def test_schema_in_the_docs_is_valid() -> None:
    block = re.search(r"```toml\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert block is not None
    assert parse_schema(block[1], "docs/schema.md").collection == "products"


def test_columns_that_header_or_schema_lack() -> None:
    plan = USERS.plan(["fax", " Mail ", "", "NAME"])
    assert (plan.ignored, plan.absent) == (("fax", 3), ("phone",))
    assert USERS.plan(["name", "mail", "phone"]).ignored == ()
    stored = PRODUCTS.plan(["article", "price", "fax", ""])
    assert stored.ignored == ()  # stored under its place
    # Where not even two columns are known by their names, the first line may be a row: then nothing of it is repeated.
    optional = schema_of('[key]\npartition = "at"\n[columns.a]\n[columns.b]\n[generated]\nat = "version"\n')
    with pytest.raises(BadFile, match="has no column of the schema: of its 2 columns the schema knows none") as caught:
        optional.plan(["John", "j@x.org"])
    assert "John" not in str(caught.value)
    assert optional.plan(["b", "fax", "A"]).ignored == ("fax",)
