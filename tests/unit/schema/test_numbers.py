"""Numbers as people write them. The canonical text of their values is the oracle."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decimal_text import canonical_number
from engine.schema.numbers import Numbers

MARKS = [(".", ","), (",", "."), (" ", ","), ("'", "."), ("\xa0", ","), ("_", "."), (None, ","), (None, ".")]
CURRENCIES: list[tuple[str, ...]] = [(), ("€", "EUR"), ("$",), ("Fr.", "F")]


@settings(max_examples=80)
@given(
    st.lists(st.decimals(-(10**12), 10**12, places=2), min_size=1, max_size=6),
    st.sampled_from(MARKS),
    st.sampled_from(CURRENCIES),
    st.data(),
)
def test_number_in_the_declared_form_is_its_value(
    values: list[Decimal], marks: tuple[str | None, str], currency: tuple[str, ...], data: st.DataObject
) -> None:
    thousands, decimal = marks
    texts = []
    for value in values:
        grouped = data.draw(st.booleans()) and thousands is not None
        text = f"{abs(value):{',' * grouped}.2f}"
        text = "".join({",": thousands or "", ".": decimal}.get(each, each) for each in text)
        sign = "-" * (value < 0)
        money = data.draw(st.sampled_from(["", *currency]))
        blank = data.draw(st.sampled_from(["", " ", "\xa0"])) if money else ""
        forms = [f"{sign}{money}{blank}{text}", f"{money}{blank}{sign}{text}", f"{sign}{text}{blank}{money}"]
        texts.append(data.draw(st.sampled_from(forms)))
    converted = Numbers(thousands=thousands, decimal=decimal, currency=currency).convert(texts)
    assert list(converted) == [canonical_number(f"{value:f}") for value in values]


GERMAN = Numbers(thousands=".", decimal=",", currency=("€", "EUR"))


OTHER_FORMS = ["1.23,4", "1.2345", "0.123", "12.34.567", "1..234", ".123", "1.234.", "1,234,5", "1.234,", ",", "-", "€"]
OTHER_FORMS += [
    "€ €5",
    "€5€",
    "-€-5",
    "5-",
    "(5)",
    "$5",
    "5 €x",
    "\uff11",
    "1 234",
    "1.234E3",
    "1.2E3",
    "1.234\n5",
    "NaN",
]


@pytest.mark.parametrize("text", OTHER_FORMS)
def test_number_in_another_form_is_refused(text: str) -> None:
    assert GERMAN.convert([text]) == [None]
    assert GERMAN.convert(["1", text, "2"]) == ["1", None, "2"]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1.234", "1234"),
        ("1.234.567,80", "1234567.8"),
        ("1234,5", "1234.5"),
        (",5", "0.5"),
        ("-1,0", "-1"),
        ("-0,00", "0"),
        ("+5", "5"),
        ("1,5E-3", "0.0015"),
        ("007", "7"),
        ("5 EUR", "5"),
        ("EUR5", "5"),
        ("-€ 5", "-5"),
    ],
)
def test_number_in_the_declared_form(text: str, canonical: str) -> None:
    assert GERMAN.convert([text]) == [canonical]
    assert GERMAN.convert(["x", text]) == [None, canonical]


@pytest.mark.parametrize("text", ["Rs.500", "-Rs.500", "Rs.5.50"])
def test_point_that_may_belong_to_the_sign_before_it_is_refused(text: str) -> None:
    rupees = Numbers(currency=("Rs",))
    assert rupees.convert([text]) == [None]
    assert rupees.convert(["Rs 500", text, "Rs500.5"]) == ["500", None, "500.5"]
    assert Numbers(currency=("Rs", "Rs.")).convert(["Rs.500"]) == ["500"]
