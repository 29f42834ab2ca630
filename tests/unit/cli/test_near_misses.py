"""Which ignored column may be an absent one under another name."""

import pytest

from engine.cli.near_misses import near_misses


@pytest.mark.parametrize(
    ("ignored", "absent"),
    [
        ("telephone", "phone"),
        ("e-mail", "mail"),
        ("Phone_Number", "phone number"),
        ("adress", "address"),
        ("prize", "price"),
        ("Größe", "grösse"),
    ],
)
def test_near_miss(ignored: str, absent: str) -> None:
    assert list(near_misses(["zip", ignored, 3], ["colour", absent])) == [(ignored, absent)]


@pytest.mark.parametrize(
    ("ignored", "absent"),
    [("first name", "last name"), ("city", "county"), ("id", "phone"), ("", "x"), ("x", "y"), ("notes", "sku")],
)
def test_no_near_miss(ignored: str, absent: str) -> None:
    assert list(near_misses([ignored], [absent])) == []


def test_likest_name_is_chosen_for_each_column() -> None:
    ignored = ["phone2", "mobile phone", "phones"]
    assert list(near_misses(ignored, ["phone", "mobile_phone", "x"])) == [
        ("phones", "phone"),
        ("mobile phone", "mobile_phone"),
    ]


def test_many_columns_are_compared_in_no_time() -> None:
    many = [f"{'x' * 1_000}{number}" for number in range(20_000)]
    assert len(list(near_misses(many, many))) == 50
