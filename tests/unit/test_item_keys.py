"""Keys of items: equal where DynamoDB takes them for the same, and as its JSON has them."""

from engine.item_keys import key_of, wire_key
from tests.builders.samples import USERS


def test_two_texts_of_one_number_are_one_key() -> None:
    items = [{"email": {"S": "1.0"}, "createdAt": {"N": number}, "name": {"S": "x"}} for number in ("17.50", "1.75E1")]
    assert {key_of(item, USERS) for item in items} == {("1.0", "17.5")}


def test_key_as_dynamodb_has_it() -> None:
    assert wire_key(("a@x.org", "17.5"), USERS) == {"email": {"S": "a@x.org"}, "createdAt": {"N": "17.5"}}
