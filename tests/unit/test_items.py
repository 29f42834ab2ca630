"""Records -> put requests -> batches: deterministic text, versions in order, no duplicate keys in a batch."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.identity import split_version
from engine.items import MAX_BATCH_BYTES, MAX_BATCH_ITEMS, Items, batch_body, batches, canonical_key, put_body
from engine.messages.message import Message
from engine.messages.parse import parse_message
from tests.builders.choices import choices
from tests.builders.messages import UPLOAD, USER_COLUMNS, items_of, puts, received
from tests.builders.samples import PROCESSED_AT, PRODUCTS, USERS, schema_of, version_of
from tests.builders.texts import texts

DIGITS = version_of(0, 0, UPLOAD.ingestion)[-10:]
PLAIN = "abcé€\U0001f600 ,'{}[]:"
NUMBERS = [0, *(10**digits + more for digits in range(12) for more in (-1, 0, 1)), 10**12 - 1]


def user_rows(cells: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[Any]]]:
    return st.builds(
        lambda numbers, rows: [[number, *row] for number, row in zip(numbers, rows, strict=False)],
        choices(NUMBERS, min_size=12, max_size=12),
        st.lists(st.tuples(cells, keys, cells), max_size=12),
    )


KEYS = texts(min_size=1)
ROWS = user_rows(st.text(PLAIN, max_size=8), st.text(PLAIN, min_size=1, max_size=8))
ROWS |= user_rows(texts(), KEYS) | user_rows(texts() | st.none(), KEYS)
PRODUCT_ROWS = choices(
    [[number, sku, "1.5", active] for number in range(17) for sku in "ABCDE" for active in (True, False, None)],
    max_size=35,
)


def products(*tables: list[list[Any]]) -> Items:
    """Return the items of a table without a sort key, from uploads of which the first is the latest."""
    columns = ("sku", "price", "isActive")
    messages = [received(rows, columns, schema=PRODUCTS, modified=9 - i) for i, rows in enumerate(tables)]
    return items_of(*messages, schema=PRODUCTS)


def test_item_of_the_users_table() -> None:
    items = items_of(received([[42, "John Doe", "john@gmail.com", "9876543210"]]))
    assert puts(items) == [
        {
            "name": {"S": "John Doe"},
            "email": {"S": "john@gmail.com"},
            "phone": {"S": "9876543210"},
            "createdAt": {"N": f"1775260800.000000000042{DIGITS}"},
            "processedAt": {"S": PROCESSED_AT},
        }
    ]
    assert items.key(0) == ("john@gmail.com", f"1775260800.000000000042{DIGITS}")
    assert items.version(0) == (1_775_260_800, 42, DIGITS)


def test_item_of_the_products_table() -> None:
    rows = [[3, "A-1", "0.10", "0", False, "N/A", None, "red"]]
    columns = ("sku", "price", "stock", "isActive", "grade", "title", "Colour")
    items = items_of(received(rows, columns, schema=PRODUCTS), schema=PRODUCTS, ttl_days=9)
    assert puts(items) == [
        {
            "sku": {"S": "A-1"},
            "price": {"N": "0.10"},
            "stock": {"N": "0"},
            "isActive": {"BOOL": False},
            "grade": {"S": "N/A"},
            "Colour": {"S": "red"},
            "row": {"N": "3"},
            "changed": {"N": f"1775260800.000000000003{DIGITS}"},
            "uploaded": {"N": "1775260800"},
            "origin": {"S": "s3://uploads-bucket/uploads/users.csv"},
            "run": {"S": UPLOAD.ingestion},
        }
    ]
    assert items.key(0) == ("A-1",)


def test_item_of_a_plain_message_names_no_object() -> None:
    message = parse_message('{"article":"A","price":1}', {}, "id", 77, PRODUCTS)
    assert isinstance(message, Message)
    assert puts(items_of(message, schema=PRODUCTS)) == [
        {
            "sku": {"S": "A"},
            "price": {"N": "1"},
            "stock": {"N": "0"},
            "isActive": {"BOOL": True},
            "grade": {"S": "N/A"},
            "row": {"N": "0"},
            "changed": {"N": version_of(77, 0, "id")},
            "uploaded": {"N": "77"},
            "run": {"S": "id"},
        }
    ]


@pytest.mark.parametrize("phone", ["c", None])
def test_items_expire_only_if_configured(phone: str | None) -> None:
    one = received([[1, "a", "b", phone]])
    assert puts(items_of(one, ttl_days=30))[0]["expirationTime"] == {"N": str(1_775_260_800 + 30 * 86_400)}
    assert "expirationTime" not in puts(items_of(one))[0]


@settings(max_examples=50)
@given(st.lists(ROWS, max_size=4))
def test_items_contain_all_values(blocks: list[list[list[Any]]]) -> None:
    items = items_of(*map(received, blocks))
    rows = [row for block in blocks for row in block]
    assert len(items) == len(rows)
    for i, ((number, *values), attributes) in enumerate(zip(rows, puts(items), strict=True)):
        given_values = {name: {"S": v} for name, v in zip(USER_COLUMNS, values, strict=True) if v is not None}
        version = version_of(UPLOAD.modified, number, UPLOAD.ingestion)
        assert attributes == {**given_values, "createdAt": {"N": version}, "processedAt": {"S": PROCESSED_AT}}
        assert items.key(i) == (values[1], version)
        assert items.version(i) == (UPLOAD.modified, number, DIGITS)


@settings(max_examples=60)
@given(ROWS)
def test_fast_path_for_clean_texts_equals_the_serialiser(rows: list[list[Any]]) -> None:
    message = received(rows)
    if message.clean:
        assert all(json.dumps(v, ensure_ascii=False) == f'"{v}"' for row in rows for v in row[1:])
    for schema in (USERS, replace(USERS, generated={**PRODUCTS.generated, **USERS.generated}, types=ALL_TYPES)):
        for ttl_days in (None, 3):
            short = items_of(message, schema=schema, ttl_days=ttl_days)
            long = items_of(replace(message, clean=False), schema=schema, ttl_days=ttl_days)
            assert puts(short) == puts(long)


ALL_TYPES = {**PRODUCTS.types, **USERS.types}


def test_texts_without_escapes_take_the_fast_path() -> None:
    assert received([[1, "Jo", "j@x", "é€\U0001f600"]]).clean
    assert not received([[1, "Jo", "j@x", None]]).clean
    assert not received([[1, 'J"o', "j@x", "5"]]).clean
    assert not received([[1, "J\no", "j@x", "5"]]).clean


@pytest.mark.parametrize("name", ['a"b', "tab\t", "back\\slash", "ü"])
def test_attribute_names_are_escaped(name: str) -> None:
    message = received([[1, "a", "b"]], ("name", "email"))
    odd = replace(message, columns=("name", "email", name), values=[*message.values, ["x"]])
    for clean in (True, False):
        assert puts(items_of(replace(odd, clean=clean)))[0][name] == {"S": "x"}


@given(ROWS)
def test_same_message_gives_the_same_text(rows: list[list[Any]]) -> None:
    one, other = items_of(received(rows)), items_of(received(rows))
    assert one.text(range(len(rows))) == other.text(range(len(rows)))


@given(st.lists(st.tuples(ROWS, st.booleans()), max_size=4), st.data())
def test_text_of_selected_items_contains_only_them(
    messages: list[tuple[list[list[Any]], bool]], data: st.DataObject
) -> None:
    items = items_of(*(replace(received(rows), clean=received(rows).clean and clean) for rows, clean in messages))
    everything = puts(items)
    start = data.draw(st.integers(0, len(items)))
    run = range(start, data.draw(st.integers(start, len(items))))
    picked = data.draw(st.lists(st.sampled_from(range(len(items))), unique=True)) if len(items) else []
    for part in (run, picked):
        assert json.loads(f"[{items.text(part)}]") == [{"PutRequest": {"Item": everything[index]}} for index in part]


MOMENTS = st.tuples(st.integers(0, 10**11), st.integers(0, 10**12 - 1))


@given(MOMENTS, MOMENTS)
def test_versions_have_a_fixed_width_and_sort_by_upload_and_row(one: tuple[int, int], other: tuple[int, int]) -> None:
    items = items_of(*(received([[row, "a", "b", "c"]], modified=modified) for modified, row in (one, other)))
    versions = [attributes["createdAt"]["N"] for attributes in puts(items)]
    assert all(re.fullmatch(r"(0|[1-9][0-9]*)\.[0-9]{22}", version) for version in versions)
    assert [split_version(version) for version in versions] == [one, other]
    assert (Decimal(versions[0]) < Decimal(versions[1])) == (one < other)


def all_batches(items: Items) -> list[Sequence[int]]:
    return [batch for wave in items.waves() for batch in batches(wave)]


@settings(max_examples=60)
@given(st.lists(PRODUCT_ROWS, max_size=3))
def test_batches_and_waves_have_no_duplicate_keys(tables: list[list[list[Any]]]) -> None:
    items = products(*tables)
    for group in items.waves() + all_batches(items):
        keys = [items.key(index) for index in group]
        assert keys
        assert len(set(keys)) == len(keys)
    assert sorted(index for batch in all_batches(items) for index in batch) == list(range(len(items)))
    assert all(len(batch) <= 25 for batch in all_batches(items))


@settings(max_examples=60)
@given(st.lists(PRODUCT_ROWS, max_size=3))
def test_versions_of_a_key_are_written_in_order(tables: list[list[list[Any]]]) -> None:
    items = products(*tables)
    last: dict[tuple[str, ...], tuple[int, int, str]] = {}
    for index in (index for wave in items.waves() for index in wave):
        assert last.get(items.key(index), (0, 0, "")) <= items.version(index)
        last[items.key(index)] = items.version(index)
    everything = range(len(items))
    assert last == {key: max(items.version(i) for i in everything if items.key(i) == key) for key in last}


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("abc")), max_size=30), st.integers(1, 3))
def test_waves_of_several_uploads_of_one_second_have_no_duplicate_keys(
    rows: list[tuple[int, str]], blocks: int
) -> None:
    messages = [[[number, "n", mail, None] for number, mail in rows[i::blocks]] for i in range(blocks)]
    items = items_of(*map(received, messages))
    for wave in items.waves():
        assert len({items.key(index) for index in wave}) == len(wave)
    assert sorted(index for wave in items.waves() for index in wave) == list(range(len(rows)))


def test_items_without_duplicates_are_one_wave_in_order() -> None:
    items = items_of(received([[n, "a", "same@x", "c"] for n in range(1, 61)]))
    assert [list(wave) for wave in items.waves()] == [list(range(60))]
    assert [list(batch) for batch in all_batches(items)] == [list(range(25)), list(range(25, 50)), list(range(50, 60))]
    assert items_of().waves() == []
    assert items_of(received([])).waves() == []


def test_adding_a_message_returns_the_indexes_of_its_items() -> None:
    items = Items(USERS)
    own = [items.add(received([[n, "a", "b", "c"] for n in range(size)])) for size in (2, 0, 3, 0)]
    assert own == [range(2), range(2, 2), range(2, 5), range(5, 5)]
    assert [items.version(index)[1] for index in range(5)] == [0, 1, 0, 1, 2]


def test_limits_are_those_of_batchwriteitem() -> None:
    assert MAX_BATCH_ITEMS == 25
    assert 15_000_000 < MAX_BATCH_BYTES < 16 * 1_048_576


def test_units_of_items_follow_from_their_sizes() -> None:
    between = '}},{"PutRequest":{"Item":'
    names = [between * 10, "x" * 1_500, "é" * 1_750]
    items = items_of(received([[row, name, "a@b.c", None] for row, name in enumerate(names, 1)]))
    assert [items.units([index]) for index in range(3)] == [1, 2, 4]
    assert items.units(range(3)) == 7
    assert items.units(()) == 0


@pytest.mark.parametrize("table", ["users", "arn:aws:dynamodb:eu-west-1:1:table/users", 'ta"ble'])
def test_body_of_batchwriteitem(table: str) -> None:
    items = items_of(received([[1, "é", "b", None], [2, "c", "d", "e"]]))
    body = json.loads(batch_body(table, items.text(range(2))))
    assert body == {"RequestItems": {table: [{"PutRequest": {"Item": item}} for item in puts(items)]}}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([("S", "a"), ("N", "1.50")], [("S", "a"), ("N", "1.5")], True),
        ([("N", "1775260800.000000000010")], [("N", "1775260800.00000000001")], True),
        ([("S", "1.50")], [("S", "1.5")], False),
        ([("N", "no number")], [("N", "no number")], True),
        ([("N", "10")], [("N", "1")], False),
    ],
)
def test_numeric_keys_are_compared_by_value(
    one: list[tuple[str, str]], other: list[tuple[str, str]], same: bool
) -> None:
    assert (canonical_key(one) == canonical_key(other)) is same


@given(st.lists(PRODUCT_ROWS, max_size=3))
def test_versions_of_each_key_are_in_order(tables: list[list[list[Any]]]) -> None:
    items = products(*tables)
    by_key = items.by_key()
    assert sorted(index for versions in by_key for index in versions) == list(range(len(items)))
    assert [len({items.key(index) for index in versions}) for versions in by_key] == [1] * len(by_key)
    assert len({items.key(versions[0]) for versions in by_key}) == len(by_key)
    for versions in by_key:
        assert versions == sorted(versions, key=items.version)


@given(st.lists(PRODUCT_ROWS, max_size=2), texts())
def test_conditional_put_is_of_the_item_and_its_version(tables: list[list[list[Any]]], table: str) -> None:
    items = products(*tables)
    for index, item in enumerate(puts(items)):
        assert json.loads(put_body(table, items, index)) == {
            "TableName": table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(#v) OR #v <= :v",
            "ExpressionAttributeNames": {"#v": "changed"},
            "ExpressionAttributeValues": {":v": item["changed"]},
        }


SINGLE_TABLE = """[key]
partition = "id"
sort = "kind"
[columns.id]
required = true
[columns.note]
empty = "null"
[constants]
kind = "PRO\\"FILE"
n = 1.50
ok = true
"""


@pytest.mark.parametrize("note", ["x", None, {"NULL": True}])
def test_constants_are_in_each_item_and_may_be_keys(note: Any) -> None:
    schema = schema_of(SINGLE_TABLE)
    items = items_of(received([[1, "a", note], [2, "b", "y"]], ("id", "note"), schema=schema), schema=schema)
    shared = {"kind": {"S": 'PRO"FILE'}, "n": {"N": "1.5"}, "ok": {"BOOL": True}}
    given_note = {} if note is None else {"note": note if isinstance(note, dict) else {"S": note}}
    assert puts(items) == [{"id": {"S": "a"}, **given_note, **shared}, {"id": {"S": "b"}, "note": {"S": "y"}, **shared}]
    assert [items.key(index) for index in range(2)] == [("a", 'PRO"FILE'), ("b", 'PRO"FILE')]
    assert len(items.waves()) == 1
