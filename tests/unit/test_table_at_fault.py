"""Refusals of items, or of the table: when most of a batch is refused for one reason, no row is to blame."""

import pytest

from engine.errors import table_at_fault

TOO_LARGE = "ValidationException: Item size has exceeded the maximum allowed size"
BAD_NAME = "ValidationException: 1 validation error detected: Value '{x!=[secret]}' at 'requestItems' failed to satisfy"
INDEX = "ValidationException: One or more parameter values were invalid: Type mismatch for Index Key at Expected: S"


@pytest.mark.parametrize("reason", [BAD_NAME, INDEX, "ValidationException: some sentence nobody has seen"])
def test_most_of_a_batch_for_one_reason_is_the_tables_fault(reason: str) -> None:
    assert table_at_fault([reason] * 30, 0)
    assert table_at_fault([reason] * 20, 10)
    assert table_at_fault([reason], 0)  # nothing was written, so this cannot be known


@pytest.mark.parametrize("reason", [BAD_NAME, INDEX])
def test_few_refused_items_are_rejects(reason: str) -> None:
    assert table_at_fault([reason], 1) is None
    assert table_at_fault([reason] * 10, 20) is None


@pytest.mark.parametrize(
    "reason",
    [
        TOO_LARGE,
        "ValidationException: Number overflow. Attempting to store a number with magnitude larger than supported range",
        "ValidationException: One or more parameter values are not valid. The AttributeValue for a key attribute "
        "cannot contain an empty string value. Key: email",
        "SerializationException: NUMBER_VALUE cannot be converted to String",
        "RequestEntityTooLarge: ",
    ],
)
def test_reasons_about_an_item_never_blame_the_table(reason: str) -> None:
    assert table_at_fault([reason] * 500, 0) is None


def test_message_has_no_row_content() -> None:
    said = table_at_fault([BAD_NAME] * 30, 0)
    assert said is not None
    assert "secret" not in said
    assert said.startswith(
        "30 of 30 rows are refused for one reason (ValidationException: 1 validation error detected)"
    )


def test_no_refused_item_is_no_fault() -> None:
    assert table_at_fault([], 0) is None
