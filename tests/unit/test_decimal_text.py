"""Numbers: one canonical text for each value that DynamoDB can hold. Python's decimal is the oracle."""

import re
from decimal import Context, Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.decimal_text import are_canonical, canonical_number, canonical_numbers

EXACT = Context(prec=10_000, Emin=-99_999, Emax=99_999)
CANONICAL = re.compile(r"0|-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
EXPONENTS = st.none() | st.integers(-12, 12) | st.integers(-180, 180) | st.integers(-9999, 9999)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Numbers as people and programs write them, many of them near the limits of digits and exponents."""
    digits = draw(st.text("0123456789", min_size=1, max_size=draw(st.sampled_from([3, 40, 60]))))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(digits)))
        digits = f"{digits[:at]}.{digits[at:]}"
    exponent = draw(EXPONENTS)
    power = (
        "" if exponent is None else f"{draw(st.sampled_from(['e', 'E']))}{draw(st.sampled_from(['', '+']))}{exponent}"
    )
    return draw(st.sampled_from(["", "-", "+"])) + digits + power.replace("+-", "-")


def held(text: str) -> bool:
    """Return whether DynamoDB can hold a number: 38 significant digits, 1E-130 to 9.99…E+125."""
    number = Decimal(text)
    return not number or (len(number.normalize(EXACT).as_tuple().digits) <= 38 and -130 <= number.adjusted() <= 125)


@settings(max_examples=150)
@given(numbers())
@example("-0")
@example("0E-9999")
@example("+1" + "0" * 125)
def test_canonical_number_equals_its_decimal_value(text: str) -> None:
    canonical = canonical_number(text)
    assert (canonical is not None) == held(text)
    if canonical is not None:
        assert Decimal(canonical) == Decimal(text)
        assert CANONICAL.fullmatch(canonical)
        assert canonical_number(canonical) == canonical


@settings(max_examples=60)
@given(numbers(), st.integers(0, 5), st.integers(-5, 5))
def test_equal_values_have_one_canonical_text(text: str, zeros: int, shift: int) -> None:
    value = Decimal(text)
    sign, digits, exponent = value.as_tuple()
    other = f"{'-' * sign}{'0' * zeros}{''.join(map(str, digits))}{'0' * zeros}E{int(exponent) - zeros}"
    assert Decimal(other) == value
    assert canonical_number(other) == canonical_number(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("-0.00", "0"),
        ("007", "7"),
        ("+5", "5"),
        ("5.", "5"),
        (".5", "0.5"),
        ("1.50", "1.5"),
        ("100", "100"),
        ("1e2", "100"),
        ("12E-1", "1.2"),
        ("9" * 38, "9" * 38),
        ("-" + "9" * 38, "-" + "9" * 38),
        ("1" + "0" * 60, "1" + "0" * 60),
        ("1E125", "1" + "0" * 125),
        ("9." + "9" * 37 + "E125", "9" * 38 + "0" * 88),
        ("1e-130", "0." + "0" * 129 + "1"),
        ("9" * 39, None),
        ("1" + "0" * 37 + "1", None),
        ("1E126", None),
        ("-1E126", None),
        ("9.9E-131", None),
        ("1E-130000", None),
    ],
)
def test_limits_of_digits_and_exponents(text: str, canonical: str | None) -> None:
    assert canonical_number(text) == canonical


NOT_NUMBERS = ["", "-", "+", ".", "e5", "1e", "1e+", "--1", "+-1", "1_000", "1,5", "1 000", " 1", "1 ", "1\n", "1.2.3"]
NOT_NUMBERS += ["0x1", "NaN", "sNaN", "Infinity", "-inf", "one", "\u0661", "\uff11", "½", "1e99999", "0" * 401]


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_text_that_is_not_a_number(text: str) -> None:
    assert canonical_number(text) is None


LINES = st.sampled_from(
    [
        "1\n2",
        "\n",
        "",
        "0\n",
        " 1",
        "-0",
        "-0.0",
        "-0.00",
        "0.10",
        "100",
        "007",
        "1.",
        ".5",
        "x",
        "9" * 39,
        "1e5\n2",
        "0e5",
    ]
)


@settings(max_examples=120)
@given(st.lists(numbers() | LINES | st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str), max_size=8))
def test_column_of_numbers_equals_its_numbers_one_by_one(column: list[str]) -> None:
    assert list(canonical_numbers(column)) == list(map(canonical_number, column))


@given(numbers() | LINES | st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str))
@example("0.50")
@example("-0")
@example("-0.5")
@example("9" * 39)
@example("9" * 19 + "." + "9" * 19)
def test_what_is_canonical_stays(text: str) -> None:
    lines = f"{text}\n".encode()
    if are_canonical(lines):
        assert list(map(canonical_number, text.split("\n"))) == text.split("\n")
    usual = len(text) < 20 and canonical_number(text) == text
    assert are_canonical(lines) or not usual


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=8), st.integers(0, 6))
def test_column_of_plain_decimals_equals_its_numbers_one_by_one(column: list[int], places: int) -> None:
    texts = [f"{Decimal(each).scaleb(-places):f}" for each in column]
    assert list(canonical_numbers(texts)) == list(map(canonical_number, texts))


@given(
    st.lists(
        numbers() | st.sampled_from(["1e5\n2", "1e400", "-0.0e5", "٣e1", "1e5 ", "1_0e5", "1e00005", "1e-0000", "nan"]),
        min_size=1,
        max_size=5,
    )
)
def test_column_of_numbers_is_converted_as_its_values(texts: list[str]) -> None:
    assert list(canonical_numbers(texts)) == list(map(canonical_number, texts))
