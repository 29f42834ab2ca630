"""Columns of JSON texts: converted by their shapes as they are one by one."""

from itertools import cycle, islice

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.schema.conversions import Json
from engine.schema.values import Encoded

NUMBERS = [
    "0",
    "-0",
    "7",
    "-1.50",
    "1e3",
    "2.5E-7",
    "0.0",
    "1E400",
    "9" * 39,
    "3" * 38,
    "01",
    "1.",
    "+1",
    "1-2",
    "1a",
    "--1",
]
TEXTS = ['"x"', '""', '"%s"', '"é, "', '"1: 2"', '"\x1f"', '"\\n"', '"\ud800"', '"\x7f"', '"a\nb"', '"']
TEXTS += ['"\\","', r'"\"', r'"\\"', r'"\u00e9\t\/"', r'"\ud83d\ude00"', r'"\u0000"', r'"\\u0000"', r'"\x"']
LEAVES = st.sampled_from([*NUMBERS, *TEXTS, "true", "null", "NaN", "[]", "{}"])
NAMES = st.sampled_from(["a", "b", "%", "%s", "N", "3" * 38, "ü", "", "a:", r"\"", r"\u0061", r"\u0000"])


def _object(members: list[tuple[str, str]], comma: str, colon: str) -> str:
    return "{" + comma.join(f'"{name}"{colon}{value}' for name, value in members) + "}"


# JSON texts with an @ for each leaf.
SHAPES = st.recursive(
    st.just("@"),
    lambda inner: (
        st.builds(
            _object,
            st.lists(st.tuples(NAMES, inner), max_size=3),
            st.sampled_from([",", ", "]),
            st.sampled_from([":", ": ", " : "]),
        )
        | st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]")
    ),
    max_leaves=6,
)
RUBBISH = st.text('{}[]:," @-.e%t\n\\', min_size=1, max_size=9)


@st.composite
def columns(draw: st.DrawFn) -> list[str]:
    """Columns of few shapes, each filled in differently."""
    shapes = draw(st.lists(SHAPES | RUBBISH, min_size=1, max_size=2))
    leaves = draw(st.lists(LEAVES, min_size=1, max_size=3) | st.just(["1", '"x"']))
    following = cycle(leaves)
    count = draw(st.integers(1, 12))
    return ["".join(next(following) if c == "@" else c for c in shape) for shape in islice(cycle(shapes), count)]


@settings(max_examples=300)
@given(columns())
@example(['{"a": 1}', '{"a": 2}'] * 4)
@example(["[1", "2]", "3", "4"] * 2)
@example(['["a', 'b"]'] * 4)
@example(['["a\nb"]'] * 4)
@example([*["1"] * 7, '1"a'])
@example(["--1", "--12", '{"a": --1}', "-"] * 8)
@example(['["\\ud800"]'] * 4)
@example([r'"\","', r'{"\u0061": 1}', r'{"a": "\\"}'] * 4)
@example([r'{"\u0061": 1, "a": 2}'] * 4)
@example(["\\"] * 4)
@example(['{"' + "3" * 38 + '":1}'] * 8)
@example(['{"a":"' + "3" * 38 + '"}'] * 8)
@example(["[" * 31 + '{"a":1}' + "]" * 31] * 8)
@example(["[" * 32 + '{"a":1}' + "]" * 32] * 8)
def test_column_of_json_is_converted_as_its_texts(column: list[str]) -> None:
    one_by_one = [Json().convert([text])[0] for text in column]
    assert list(map(orjson.dumps, Json().convert(column))) == list(map(orjson.dumps, one_by_one))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": ["x", "y"], "c": {"d": true, "e": null}}',
        r'{"a\"": "\u00e9", "b": "C:\\d\n"}',
        '{"a":1.5,"b":"é"}',
        '{"%":"%s"}',
        "[]",
        "-1e5",
        '"x"',
    ],
)
def test_usual_json_is_converted_by_its_shape(text: str) -> None:
    assert all(isinstance(value, Encoded) for value in Json().convert([text] * 8))
