"""Lists, sets, JSON and binary as attribute values; boto3's own deserializer is the oracle."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import exact_json
from engine.schema.booleans import Booleans
from engine.schema.conversions import Binary, Elements, Json
from engine.schema.values import Conversion, Encoded, attribute_of, is_attribute
from tests.builders.texts import texts
from tests.builders.values import decoded

SCALARS = st.none() | st.booleans() | st.integers(-(10**37), 10**37) | texts()
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts(6, min_size=1), inner, max_size=4),
    max_leaves=8,
)


def plain(attribute: Any) -> Any:
    """Return what an attribute value stands for, as boto3 reads it."""
    assert is_attribute(attribute)
    value = TypeDeserializer().deserialize(attribute)
    return {Decimal(each) if isinstance(each, Decimal) else each for each in value} if isinstance(value, set) else value


def convert(conversion: Conversion, text: str) -> Any:
    (value,) = decoded(conversion.convert([text]))
    return value


@settings(max_examples=60)
@given(JSON, st.sampled_from([(",", ":"), (", ", ": ")]), st.sampled_from([None, 2]), st.booleans())
def test_json_text_is_its_value(value: Any, separators: tuple[str, str], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, separators=separators, indent=indent, ensure_ascii=ascii_only)
    assert plain(convert(Json(), text)) == value
    assert Json().nested(exact_json.loads(text)) == convert(Json(), text)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e120, max_value=1e120))
@example(1e16)
@example(1.5e-07)
@example(1e22)
@example(5e-324)
def test_json_floats_keep_their_digits(number: float) -> None:
    for text in (json.dumps(number), f" {number!r}"):
        value = convert(Json(), text)
        if value is None:
            assert 0 < abs(number) < 1e-130
        else:
            assert Decimal(value["N"]) == Decimal(text.strip())


REFUSED_JSON = ["", "abc", "{", "NaN", "[1e126]", "9" * 39, '{"a":1,"a":2}', '{"a": 1, "a": 1}', '{"":1}', '"\\ud800"']
REFUSED_JSON += [
    '{"\\udc00":1}',
    "[" * 33 + "]" * 33,
    "[" * 255 + "]" * 255,
    '{"a":' * 1_024 + "1" + "}" * 1_024,
    "[" * 5_000 + "]" * 5_000,
    "1e-131",
    "'a'",
    "01",
    '["\x01"]',
    "[1,]",
]


@pytest.mark.parametrize("text", REFUSED_JSON)
def test_json_that_dynamodb_cannot_hold_is_refused(text: str) -> None:
    assert convert(Json(), text) is None
    assert Json().reason(text).startswith("is not JSON that DynamoDB can hold")


def test_json_may_have_as_many_levels_as_dynamodb_allows() -> None:
    value = convert(Json(), "[" * 32 + "1" + "]" * 32)
    assert is_attribute(value)
    assert not is_attribute({"L": [value]})


ELEMENTS = st.lists(texts(5, min_size=1).filter(lambda text: "|" not in text), min_size=1, max_size=5)


@given(st.lists(ELEMENTS, max_size=4))
def test_lists_and_sets_of_texts(columns: list[list[str]]) -> None:
    column = ["|".join(elements) for elements in columns]
    lists = decoded(Elements(unique=False, separator="|").convert(column))
    assert list(map(plain, lists)) == columns
    sets = decoded(Elements(unique=True, separator="|").convert(column))
    assert list(map(plain, sets)) == [set(elements) for elements in columns]
    assert [value["SS"] for value in sets if isinstance(value, dict)] == [list(dict.fromkeys(e)) for e in columns]


@given(st.lists(st.lists(st.decimals(-1000, 1000, places=1), min_size=1, max_size=5), max_size=4))
def test_lists_and_sets_of_numbers(columns: list[list[Decimal]]) -> None:
    column = [" ; ".join(map(str, elements)) for elements in columns]
    lists = decoded(Elements(unique=False, numbers=True, separator=";").convert(column))
    assert list(map(plain, lists)) == columns
    sets = decoded(Elements(unique=True, numbers=True, separator=";").convert(column))
    assert list(map(plain, sets)) == [set(elements) for elements in columns]


@pytest.mark.parametrize(
    ("conversion", "text"),
    [
        (Elements(unique=False, separator="|"), "a||b"),
        (Elements(unique=False, separator="|"), "a|"),
        (Elements(unique=True, separator="|"), "|"),
        (Elements(unique=False, separator="|", trim=True), "a| "),
        (Elements(unique=False, numbers=True, separator="|"), "1|x"),
        (Elements(unique=True, numbers=True, separator="|"), "1|NaN"),
        (Elements(unique=True, numbers=True, separator="|"), ""),
        (Elements(unique=False), "a"),
    ],
)
def test_elements_that_are_missing_or_no_numbers_are_refused(conversion: Elements, text: str) -> None:
    assert convert(conversion, text) is None
    assert conversion.reason(text).startswith("is ")
    assert convert(conversion, "1|2") == decoded(conversion.convert(["1|2", text]))[0]


def test_set_holds_equal_numbers_once() -> None:
    assert convert(Elements(unique=True, numbers=True, separator=","), "1,1.0,1e0,2") == {"NS": ["1", "2"]}
    assert convert(Elements(unique=True, separator=",", trim=True), "a, a,b") == {"SS": ["a", "b"]}


@pytest.mark.parametrize(
    ("conversion", "text", "value"),
    [
        (Elements(unique=False), '["a", "", "a"]', {"L": [{"S": "a"}, {"S": ""}, {"S": "a"}]}),
        (Elements(unique=False), "[]", {"L": []}),
        (Elements(unique=False), '["a", 1]', None),
        (Elements(unique=False), '["a", null]', None),
        (Elements(unique=False), '[["a"]]', None),
        (Elements(unique=False), '{"a": 1}', None),
        (Elements(unique=True), '["a", "b", "a"]', {"SS": ["a", "b"]}),
        (Elements(unique=True), "[]", ""),
        (Elements(unique=True, numbers=True), "[1, 1.0, 2.50]", {"NS": ["1", "2.5"]}),
        (Elements(unique=True, numbers=True), "[1, true]", None),
        (Elements(unique=True, numbers=True), '[1, "x"]', None),
        (Elements(unique=False, numbers=True), '["1"]', {"L": [{"N": "1"}]}),
        (Json(), "true", {"BOOL": True}),
        (Json(), "1.50", {"N": "1.5"}),
        (Json(), '"5"', {"S": "5"}),
        (Binary(), "[1]", None),
        (Booleans(), "{}", None),
    ],
)
def test_json_values(conversion: Conversion, text: str, value: Any) -> None:
    assert conversion.nested(exact_json.loads(text)) == value


def test_numbers_of_json_may_be_pythons_own() -> None:
    assert Elements(unique=False, numbers=True).nested([1, 2.5, 1e-07]) == {
        "L": [{"N": "1"}, {"N": "2.5"}, {"N": "0.0000001"}]
    }
    assert Json().nested({"a": [1, 2.5]}) == {"M": {"a": {"L": [{"N": "1"}, {"N": "2.5"}]}}}
    for conversion in (Json(), Elements(unique=False, numbers=True)):
        assert conversion.nested([float("nan")]) is None


@given(st.binary(min_size=1, max_size=20))
def test_binary(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert convert(Binary(), text) == text
    assert (
        convert(Binary(hexadecimal=True), data.hex()) == convert(Binary(hexadecimal=True), data.hex().upper()) == text
    )


@pytest.mark.parametrize("text", ["YQ", "YR==", "YQ==\n", "Y Q==", "YQ===", "-_8=", "é===", "====", "YQ==YQ=="])
def test_base64_that_is_not_canonical_is_refused(text: str) -> None:
    assert convert(Binary(), text) is None


@pytest.mark.parametrize("text", ["0", "0x00", "0g", "00 ff", "\uff10\uff10", "é0"])
def test_text_that_is_not_hexadecimal_is_refused(text: str) -> None:
    assert convert(Binary(hexadecimal=True), text) is None


NO_ATTRIBUTES: list[Any] = [None, "a", {}, {"S": 1}, {"N": 1}, {"S": "a", "N": "1"}, {"NULL": False}, {"BOOL": "true"}]
NO_ATTRIBUTES += [
    {"SS": []},
    {"NS": [1]},
    {"L": [1]},
    {"L": "a"},
    {"M": []},
    {"M": {"a": 1}},
    {"M": {"": {"S": "a"}}},
    {"X": ""},
]


@pytest.mark.parametrize("value", NO_ATTRIBUTES)
def test_shape_that_is_no_attribute_value(value: Any) -> None:
    assert not is_attribute(value)
    assert not is_attribute({"L": [value]})


@given(JSON)
def test_every_json_value_is_an_attribute_value(value: Any) -> None:
    attribute = attribute_of(value)
    assert is_attribute(attribute)
    assert plain(attribute) == value


@given(
    column=st.lists(st.text('ab1 \t|\n"\\-0.\x1f,[]{}é', max_size=6), min_size=1, max_size=4),
    separator=st.sampled_from(["|", "||", ",", " ", "\n", "\t", '"', "\\", "é"]),
    unique=st.booleans(),
    numbers=st.booleans(),
    trim=st.booleans(),
)
def test_column_of_lists_is_converted_as_its_values(column: list[str], separator: str, **kind: bool) -> None:
    elements = Elements(separator=separator, **kind)
    # A text with a backslash is no number and no JSON text: with it, the values are converted one by one.
    one_by_one = elements.convert([*column, "\\"])
    assert not any(isinstance(value, Encoded) for value in one_by_one)
    assert decoded(elements.convert(column)) == one_by_one[:-1]
