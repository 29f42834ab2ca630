"""Guessing columns: each guess takes every value of the sample, and nothing is guessed that reads in two ways."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.infer import accepts, guess_column, key_candidates


def settings(*values: str, name: str = "value") -> dict[str, Any]:
    return dict(guess_column(name, values, {}).settings)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", "3.5", "1e5"], {"type": "N"}),
        (["true", "False", ""], {"type": "BOOL"}),
        (["1", "0", "1"], {"type": "N"}),
        (["00501", "10001"], {"trim": True}),
        (["+49 30 1", "+49 30 2"], {"trim": True}),
        (["abc", "1"], {"trim": True}),
        (["", ""], {"trim": True}),
        (["1", "NA", "3"], {"type": "N", "null_values": ["NA"]}),
        (["x", "\\N", "NA"], {"trim": True, "null_values": ["\\N"]}),
        (["1,234", "56", "7,890.5"], {"type": "N", "thousands": ","}),
        (["1.234,5", "56"], {"type": "N", "thousands": ".", "decimal": ","}),
        (["$1,200.50", "$3"], {"type": "N", "thousands": ",", "currency": ["$"]}),
        (["2024-02-29", "1999-12-31"], {"type": "date"}),
        (["2024-02-29T10:00:00Z", "1999-12-31T23:59:59Z"], {"type": "datetime"}),
        (["31.12.1999", "01.02.2003"], {"type": "date", "input": ["%d.%m.%Y"]}),
        (["12/31/1999", "01/02/2003"], {"type": "date", "input": ["%m/%d/%Y"]}),
        (["01/02/2003", "03/04/2005"], {"trim": True}),
    ],
)
def test_type_of_a_column(values: list[str], expected: dict[str, Any]) -> None:
    assert settings(*values) == expected


def test_dates_that_read_in_two_ways_stay_text_with_a_note() -> None:
    guess = guess_column("day", ["01/02/2003"], {})
    assert guess.type == "S"
    assert "two ways" in guess.notes[0]


def test_phone_numbers_and_postal_codes_stay_text() -> None:
    for name in ("phone", "Zip Code", "customer_tel", "plz"):
        assert settings("12345", "67890", name=name) == {"trim": True}


def test_doubtful_null_in_text_is_noted() -> None:
    assert any("NA comes 1 times" in note for note in guess_column("country", ["DE", "NA"], {}).notes)


@given(st.lists(st.text(alphabet="0123456789.,-/$€:TZ aeNA\\", max_size=12), min_size=1, max_size=8))
def test_every_value_of_the_sample_is_accepted(values: list[str]) -> None:
    assert accepts(settings(*values), values)


def test_key_is_a_unique_column_or_pair() -> None:
    order = guess_column("order_id", ["1", "1", "2"], {})
    line = guess_column("line", ["1", "2", "1"], {})
    price = guess_column("price", ["1.5", "2.5", "3.5"], {})
    assert [guess.name for guess in key_candidates([order, line, price], 3)[0].columns] == ["price"]
    same = guess_column("price", ["1.5", "1.5", "1.5"], {})
    found = key_candidates([order, line, same], 3)[0]
    assert ([guess.name for guess in found.columns], found.distinct) == (["order_id", "line"], 3)


def test_column_with_gaps_is_no_key() -> None:
    assert key_candidates([guess_column("id", ["1", ""], {})], 2) == []
