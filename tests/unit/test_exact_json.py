"""JSON that is read without losing anything. Python's json is the oracle where nothing can get lost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.exact_json import NumberText, loads
from tests.builders.texts import texts

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | texts(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts(6), inner, max_size=4),
    max_leaves=8,
)


def as_python(value: Any) -> Any:
    """Return a value with its numbers as Python's."""
    if isinstance(value, NumberText):
        return int(value)
    if isinstance(value, list):
        return list(map(as_python, value))
    return {name: as_python(each) for name, each in value.items()} if isinstance(value, dict) else value


@given(VALUES)
def test_values_that_python_writes(value: Any) -> None:
    assert as_python(loads(json.dumps(value))) == value


@pytest.mark.parametrize("number", ["1.10", "1e400", "0.1000000000000000055511151231257827", "9" * 5_000, "-0"])
def test_numbers_keep_their_digits(number: str) -> None:
    assert loads(f"[{number}]") == [number]
    assert isinstance(loads(number), NumberText)
    assert not isinstance(loads(f'"{number}"'), NumberText)


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[Infinity]", "-Infinity", '{"a":1,"a":1}', '[{"a":{"b":1,"b":2}}]', "[" * 100_000, "1 2", "'a'"],
)
def test_text_that_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)
