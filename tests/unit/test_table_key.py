"""The key of a table, compared with that of a schema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.table_key import described_key, key_problem
from tests.builders.samples import PRODUCTS, USERS

NAMES = st.sampled_from(["email", "createdAt", "sku", "id"])
KEYS = st.lists(st.tuples(NAMES, st.sampled_from("SNB")), min_size=1, max_size=2, unique_by=lambda key: key[0])


def table(key: list[tuple[str, str]], others: list[tuple[str, str]]) -> dict[str, Any]:
    """What DescribeTable shows, sort key and attributes of indexes first."""
    kinds = zip(key, ("HASH", "RANGE"), strict=False)
    return {
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for (name, _), kind in kinds][::-1],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": type_} for name, type_ in [*others, *key]],
    }


@given(KEYS)
def test_key_is_read_in_order_and_compared_with_types(key: list[tuple[str, str]]) -> None:
    described = described_key(table(key, [("of an index", "S")]))
    assert described == key
    for schema, own in ((USERS, [("email", "S"), ("createdAt", "N")]), (PRODUCTS, [("sku", "S")])):
        assert (key_problem("t", described, schema) is None) == (key == own)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ([("email", "S")], "email (S), that of the schema email (S), createdAt (N)"),
        ([("email", "S"), ("createdAt", "S")], "email (S), createdAt (S), that of the schema email (S), createdAt (N)"),
    ],
)
def test_both_keys_are_named(key: list[tuple[str, str]], said: str) -> None:
    assert key_problem("t", key, USERS) == f"the key of the table t is {said}"
