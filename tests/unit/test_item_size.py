"""Write units of an item, from its JSON; the stand-in for DynamoDB counts bytes by itself."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.item_size import write_units
from tests.fakeaws.attributes import item_bytes

TEXT = st.text(st.characters(codec="utf-8"), max_size=40).map(lambda text: text * 40)
NUMBER = st.decimals(-(10**30), 10**30, places=3).map(str) | st.integers(-(10**30), 10**30).map(str)
BINARY = st.binary(max_size=2000).map(lambda data: base64.b64encode(data).decode())
VALUE: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.one_of(
        TEXT.map(lambda text: {"S": text}),
        NUMBER.map(lambda text: {"N": text}),
        BINARY.map(lambda text: {"B": text}),
        st.booleans().map(lambda value: {"BOOL": value}),
        st.just({"NULL": True}),
        st.lists(TEXT, min_size=1, max_size=5, unique=True).map(lambda texts: {"SS": texts}),
        st.lists(st.integers(0, 10**20), min_size=1, max_size=5, unique=True).map(
            lambda each: {"NS": [*map(str, each)]}
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda values: {"L": values})
        | st.dictionaries(TEXT, inner, max_size=4).map(lambda values: {"M": values})
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), VALUE, min_size=1, max_size=10))
def test_units_follow_from_the_bytes_that_dynamodb_counts(item: dict[str, Any]) -> None:
    assert write_units(orjson.dumps(item).decode()) == -(-item_bytes(item) // 1024)


@pytest.mark.parametrize(("size", "units"), [(1, 1), (1020, 1), (1021, 2), (2044, 2), (2045, 3), (400_000, 391)])
def test_each_kib_begun_is_a_unit(size: int, units: int) -> None:
    assert write_units(orjson.dumps({"name": {"S": "x" * size}}).decode()) == units


@pytest.mark.parametrize("broken", ['{"a":"%s"}', '{"a":{"S":["%s"]}}', '{"a":{}, "b":{"S":"%s"}}', '{"a":{"S":"%s"}'])
def test_item_that_dynamodb_refuses_counts_by_its_text(broken: str) -> None:
    assert write_units(broken % ("x" * 2000)) == 2
