"""Patterns of columns: what they match, that no text keeps them busy, and what is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SchemaError
from engine.schema.patterns import InvalidPattern, Pattern
from tests.builders.choices import choices
from tests.builders.samples import schema_of

SCHEMA = "[key]\npartition = \"k\"\n[columns.k]\nrequired = true\n[columns.c]\npattern = '%s'\n"
PIECES = [
    *"ab.^$|*+?()[]-\\",
    "(?:",
    "(?i)",
    "(?m:",
    "(?s:",
    "[^a]",
    "[^\\n]",
    "\\s",
    "\\W",
    "\\b",
    "\\n",
    "\\A",
    "\\z",
    "{2}",
]
VALUES = ["", "a", "b", "ab", "aa", "A", "a b", " ", "\t", "a\nb", "\n", "é", "aé", "-", "b-a", "\x00", "\U0001f600"]


def alone(pattern: Pattern, values: list[str]) -> list[int]:
    """The misfits when each value is matched by itself."""
    return [i for i, value in enumerate(values) if pattern.misfits([value])]


@pytest.mark.timeout(10)  # with `re` the first one takes longer than a day
@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+", "(a|b|ab)*c", "(.*)*x", "(a?){100}a{100}", r"(\w+\s?)*\."])
def test_no_text_keeps_a_pattern_busy(pattern: str) -> None:
    column = schema_of(SCHEMA % pattern).columns[1]
    bad: dict[int, str] = {}
    column.clean(["a" * 100_000 + "!", "a" * 40 + "!"], bad)
    assert bad == {0: "c does not match the pattern", 1: "c does not match the pattern"}


@given(choices(PIECES, min_size=1, max_size=10).map("".join), choices(VALUES, max_size=12))
def test_a_column_is_matched_like_each_value_alone(text: str, values: list[str]) -> None:
    try:
        pattern = Pattern(text)
    except InvalidPattern:
        return
    assert pattern.misfits(values) == alone(pattern, values)


@pytest.mark.parametrize(
    "text", ["[A-Z0-9-]+", "[^@ ]+@[^@ ]+", "a|ab|b", "^a.?$", "(?i)A+b*", "a{1,2}", r"(?:\w\b ?)+", ""]
)
@given(values=st.lists(st.text("abAB@- \n", max_size=5), max_size=8))
def test_patterns_mean_what_they_mean_to_python(text: str, values: list[str]) -> None:
    assert Pattern(text).misfits(values) == [i for i, value in enumerate(values) if not re.fullmatch(text, value)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(?=a)b", "invalid perl operator: (?="),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("a++", "bad repetition operator: ++"),
        (r"\Z", r"invalid escape sequence: \Z"),
        ("a{1001}", "invalid repetition size: {1001}"),
        (r"\pL{1000}", "pattern too large"),
        ("a)(b", "unexpected ): a)(b"),
        (r"a\C", r"\C is not supported"),
        (r"\Qa.b", r"\Q is not supported"),
        ("a{,3}", "a repetition is {n}, {n,} or {m,n}"),
        ("a{99999999999}", "a repetition is {n}, {n,} or {m,n}"),
        ("é(", "missing ): é("),
    ],
)
def test_refused_pattern_is_named_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_of(SCHEMA % text)
    assert caught.value.key == "columns.c.pattern"
    assert f"{text!r} is not a valid regular expression: {reason}" in str(caught.value)


def test_escaped_backslash_is_no_unsupported_syntax() -> None:
    assert Pattern(r"\\C").misfits([r"\C", "C"]) == [1]
    assert Pattern(r"\{,3}").misfits(["{,3}", "aaa"]) == [1]


def test_patterns_are_equal_by_their_text() -> None:
    assert Pattern("a") == Pattern("a") != Pattern("b")
