"""Plain messages of one row each: those that RECORDS_PER_MESSAGE=1 sends, and those of other programs."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadFile, MalformedMessage
from engine.items import Items
from engine.messages.message import Message, Outgoing, Refused
from engine.messages.packed import Packer
from engine.messages.parse import parse_message
from engine.messages.plain import PlainPacker
from engine.schema.model import Schema
from engine.schema.plan import RowPlan
from tests.builders.samples import PROCESSED_AT, PRODUCTS, SOURCE, USERS, rows_of, schema_of
from tests.builders.texts import LEGAL, texts

SENT = 1_800_000_000


def received(message: Outgoing, schema: Schema) -> Message | Refused:
    """A message as the worker reads it."""
    attributes = {
        name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
        for name, value in message.attributes.items()
    }
    return parse_message(message.body.decode(), attributes, "id", SENT, schema)


def foreign(document: Any, schema: Schema = USERS, attributes: dict[str, Any] | None = None) -> Message | Refused:
    """Return a message of another program as the worker reads it."""
    body = document if isinstance(document, str) else json.dumps(document)
    return parse_message(body, attributes or {}, "id", SENT, schema)


def accepted(document: Any, schema: Schema = USERS, attributes: dict[str, Any] | None = None) -> Message:
    message = foreign(document, schema, attributes)
    assert isinstance(message, Message), message
    return message


def plain(plan: RowPlan, schema: Schema, rows: list[tuple[Any, ...]]) -> list[Outgoing]:
    messages, oversize = PlainPacker(SOURCE, schema, plan.attributes, max_bytes=61_440).add(rows, PROCESSED_AT)
    assert oversize == []
    return messages


def without_origin(request: str) -> dict[str, Any]:
    """Return items without the name of their object: a plain message contains only the ingestion id."""
    put: dict[str, Any] = json.loads(request)["PutRequest"]["Item"]
    return {name: value for name, value in put.items() if name != "origin"}


def test_body_of_a_plain_message() -> None:
    plan = USERS.plan(["phone", "name", "email"])
    (message,) = plain(plan, USERS, [(1, "John Doe", "john@gmail.com", "9876543210")])
    assert message.body.decode() == (
        '{"name":"John Doe","mail":"john@gmail.com","phone":"9876543210",'
        '"processedAt":"2026-04-04T00:00:01.234Z","rowNumber":1}'
    )
    assert message.attributes == {
        "ingestion": {"DataType": "String", "StringValue": SOURCE.ingestion},
        "records": {"DataType": "Number", "StringValue": "1"},
        "modified": {"DataType": "Number", "StringValue": "1775260800"},
        "place": {"DataType": "String", "StringValue": "0-0"},
        "email": {"DataType": "String", "StringValue": "john@gmail.com"},
    }


CELLS = st.sampled_from(["A-1", "B", "0", "1.50", "1e3", "true", "NO", "a", " C ", "", "N/A"]) | texts(8)
PRODUCT_ROWS = st.lists(
    st.tuples(st.sampled_from(["A-1", " B"]), st.sampled_from(["1", "0.10"]), *[CELLS] * 5).map(list), max_size=6
)


@settings(max_examples=60)
@given(PRODUCT_ROWS, st.lists(st.tuples(texts(), texts(), texts()).map(list), max_size=6))
def test_plain_and_packed_messages_make_the_same_items(products: list[list[str]], users: list[list[str]]) -> None:
    tables = [
        (PRODUCTS, ["article", "price", "stock", "active", "grade", "title", "Colour"], products),
        (USERS, ["name", "mail", "phone"], users),
    ]
    for schema, header, rows in tables:
        plan = schema.plan(header)
        good, _ = plan.clean(range(1, 1 + len(rows)), rows)
        packer = Packer(SOURCE, plan.attributes, max_records=500, max_bytes=61_440)
        messages = packer.add(good, PROCESSED_AT)[0] + packer.flush(PROCESSED_AT)
        made = []
        for sent in (messages, plain(plan, schema, good)):
            items = Items(schema)
            for message in sent:
                parsed = received(message, schema)
                assert isinstance(parsed, Message)
                items.add(parsed)
            made.append([(items.key(i), without_origin(items.text([i]))) for i in range(len(items))])
        assert made[0] == made[1]
        assert len(made[0]) == len(good)


@given(st.lists(st.tuples(texts(), texts(min_size=1), texts() | st.none()), max_size=5))
def test_messages_contain_only_characters_that_sqs_accepts(rows: list[tuple[Any, ...]]) -> None:
    numbered = [(number, *row) for number, row in enumerate(rows, start=1)]
    for message in plain(USERS.plan(["name", "mail", "phone"]), USERS, numbered):
        assert LEGAL.fullmatch(message.body.decode())
        for value in message.attributes.values():
            assert value["StringValue"]
            assert LEGAL.fullmatch(value["StringValue"])


def test_only_the_row_that_fits_no_message_is_left_out() -> None:
    rows = [(1, "a", "a", "a"), (2, "x" * 4_096, "b", "b"), (3, "c", "c", "c")]
    messages, oversize = PlainPacker(SOURCE, USERS, ("name", "email", "phone"), max_bytes=4_096).add(rows, PROCESSED_AT)
    assert oversize == [2]
    assert [json.loads(message.body)["rowNumber"] for message in messages] == [1, 3]


def test_default_that_the_column_would_refuse_is_accepted() -> None:
    plan = PRODUCTS.plan(["article", "price"])
    (message,) = plain(plan, PRODUCTS, [(1, "A", "2", "0", True, "N/A", None)])
    parsed = received(message, PRODUCTS)
    assert isinstance(parsed, Message)
    assert dict(zip(parsed.columns, parsed.row(0), strict=True))["grade"] == "N/A"


def test_unknown_column_with_the_name_of_one_found_by_place_is_a_bad_file() -> None:
    schema = schema_of(
        'unknown_columns = "store"\n[key]\npartition = "id"\n'
        '[columns.sku]\nattribute = "id"\nrequired = true\nplace = 1\n'
    )
    for name in ("sku", "SKU"):
        columns = schema.plan(["x", name]).attributes
        with pytest.raises(BadFile, match="plain messages cannot tell them apart"):
            PlainPacker(SOURCE, schema, columns, max_bytes=61_440)


@pytest.mark.parametrize("name", ["rowNumber", "processedAt", "v"])
def test_column_that_plain_messages_cannot_hold_is_a_bad_file(name: str) -> None:
    columns = (*PRODUCTS.plan(["article", "price"]).attributes, name)
    with pytest.raises(BadFile, match=f"the column '{name}' cannot go into plain messages"):
        PlainPacker(SOURCE, PRODUCTS, columns, max_bytes=61_440)


@pytest.mark.parametrize("key", ["Größe", "a b", "a.b", "records", "modified"])
def test_key_that_sqs_refuses_as_attribute_name_is_only_in_the_body(key: str) -> None:
    schema = schema_of(f'[key]\npartition = "{key}"\n[columns."{key}"]\nrequired = true')
    (message,) = plain(schema.plan([key]), schema, [(1, "x")])
    assert set(message.attributes) == {"ingestion", "records", "modified", "place"}
    assert message.attributes["modified"]["StringValue"] == "1775260800"
    assert json.loads(message.body)[key] == "x"


@pytest.mark.parametrize(
    "document",
    [
        {"name": " John ", "mail": "J@X.com", "phone": ""},
        {"Name": "John", "EMAIL": "j@x.COM", "phone": None},
        {"name": "John", "email": "j@x.com", "other": True},
        {"name": "John", "email": "j@x.com", "phone": "N/A", "rowNumber": 0, "processedAt": None},
    ],
)
def test_fields_are_found_by_name_attribute_or_alias_and_cleaned(document: dict[str, Any]) -> None:
    message = accepted(document)
    assert message.columns == ("name", "email", "phone")
    assert rows_of(message) == [[0, "John", "j@x.com", "N/A"]]
    assert (message.source, message.ingestion, message.name, message.processed_at) == (None, "id", "id", "")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("9876543210", "9876543210"),
        ("-5", "-5"),
        ("1.50", "1.50"),
        ("0.1", "0.1"),
        ("1e3", "1e3"),
        ("true", "true"),
        ("12345678901234567890123456789", "12345678901234567890123456789"),
        ("1.00000000000000000000000000001", "1.00000000000000000000000000001"),
    ],
)
def test_numbers_keep_the_digits_that_were_sent(number: str, text: str) -> None:
    body = f'{{"name":"a","mail":"b","phone":{number},"rowNumber":7}}'
    assert rows_of(accepted(body)) == [[7, "a", "b", text]]


def test_numbers_and_booleans_are_accepted_by_columns_of_their_type() -> None:
    body = '{"artikel-nr.":"A","PRICE":99999999999999999999999999999999999999,"isActive":false,"stock":1.0e1,"Size":4}'
    message = accepted(body, PRODUCTS)
    assert message.columns == ("sku", "price", "stock", "isActive", "grade", "title", "Size")
    assert rows_of(message) == [[0, "A", "9" * 38, "10", False, "N/A", None, "4"]]


@pytest.mark.parametrize(
    ("attributes", "modified"),
    [
        ({}, SENT),
        ({"modified": {"stringValue": "1775260800", "dataType": "Number"}}, 1_775_260_800),
        ({"modified": {"stringValue": "0", "dataType": "Number"}}, 0),
        ({"modified": {"stringValue": "soon", "dataType": "String"}}, SENT),
        ({"modified": {"stringValue": "1.5", "dataType": "Number"}}, SENT),
        ({"modified": {"stringValue": "-1", "dataType": "Number"}}, SENT),
        ({"modified": {"stringValue": "²", "dataType": "String"}}, SENT),
        ({"modified": {"stringValue": "9" * 5_000, "dataType": "Number"}}, SENT),
        ({"modified": {"stringValue": None, "dataType": "Number"}}, SENT),
        ({"modified": {"binaryValue": "AAAA", "dataType": "Binary"}}, SENT),
    ],
)
def test_version_time_is_the_modified_attribute_or_the_time_of_sending(
    attributes: dict[str, Any], modified: int
) -> None:
    assert accepted({"name": "a", "mail": "b"}, attributes=attributes).modified == modified


def test_ingestion_id_is_an_attribute() -> None:
    attributes = {"ingestion": {"stringValue": "0f", "dataType": "String"}}
    assert accepted({"name": "a", "mail": "b"}, attributes=attributes).ingestion == "0f"


def test_redelivered_message_is_parsed_the_same() -> None:
    document = {"name": "a", "mail": "b", "rowNumber": 3, "processedAt": "t"}
    assert accepted(document) == accepted(document)
    assert accepted(document).numbers == [3]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "the plain message lacks the required columns name, mail: of its 0 columns the schema knows none"),
        (
            {"name": "secret"},
            "the plain message lacks the required column mail: of its 1 columns the schema knows name",
        ),
        ({"name": "secret", "mail": ""}, "mail is required, but empty"),
        ({"name": "secret", "mail": None}, "mail is required, but empty"),
        ({"name": "secret", "mail": "a", "email": "b"}, "the plain message has the column mail twice"),
        ({"name": ["secret"], "mail": "b"}, "a field of the plain message is neither text, number, boolean nor null"),
        ({"name": {"secret": 1}, "mail": "b"}, "a field of the plain message is neither text, number, boolean"),
        ({"name": "secret", "mail": "b" * 3_000}, "mail is longer than 2,048 bytes"),
    ],
)
def test_record_that_the_schema_refuses_has_a_reason(document: dict[str, Any], reason: str) -> None:
    refused = foreign({**document, "rowNumber": 12})
    assert isinstance(refused, Refused)
    assert refused.row == 12
    assert refused.reason.startswith(reason)
    assert "secret" not in refused.reason


NESTED: list[Any] = [{"a": 1}, ["a"], [], {}, {"name": "x"}, [[[]]]]


@pytest.mark.parametrize("value", NESTED)
def test_unknown_field_may_be_nested_if_unknown_columns_are_ignored(value: Any) -> None:
    message = accepted({"name": "John", "mail": "j@x", "address": value, "v2": value})
    assert rows_of(message) == [[0, "John", "j@x", "N/A"]]


@pytest.mark.parametrize("value", NESTED)
@pytest.mark.parametrize("name", ["name", "EMAIL", " Mail ", "phone"])
def test_nested_value_of_a_known_column_is_refused(name: str, value: Any) -> None:
    refused = foreign({"name": "secret", "mail": "a", name: value, "other": value})
    assert isinstance(refused, Refused)
    assert refused.reason == "a field of the plain message is neither text, number, boolean nor null"


@pytest.mark.parametrize("value", NESTED)
@pytest.mark.parametrize("policy", ["store", "fail"])
def test_nested_unknown_field_is_refused_if_unknown_columns_are_stored(policy: str, value: Any) -> None:
    schema = schema_of(f'unknown_columns = "{policy}"\n[key]\npartition = "k"\n[columns.k]\nrequired = true')
    assert isinstance(foreign({"k": "a"}, schema), Message)
    refused = foreign({"k": "a", "other": value, "rowNumber": 7}, schema)
    assert isinstance(refused, Refused)
    assert (refused.row, refused.reason) == (
        7,
        "a field of the plain message is neither text, number, boolean nor null",
    )


def test_columns_may_be_named_v_or_rows() -> None:
    schema = schema_of('[key]\npartition = "v"\n[columns.v]\nrequired = true\n[columns.w]')
    assert rows_of(accepted({"v": 1, "w": "x"}, schema)) == [[0, "1", "x"]]
    assert rows_of(accepted({"name": "a", "mail": "b", "rows": 5})) == [[0, "a", "b", "N/A"]]


NESTED_TOML = """[key]
partition = "pk"
[columns.k]
required = true
[columns.tags]
type = "set"
[columns.any]
type = "json"
[columns.day]
type = "date"
input = ["%d.%m.%Y"]
[computed]
pk = "K#{k}"
"""


def test_nested_values_of_other_programs_keep_their_digits() -> None:
    schema = schema_of(NESTED_TOML)
    body = '{"k":"a","tags":["x","x"],"any":{"n":[1.10,12345678901234567890123]},"day":"31.01.2024","no":{"a":[1]}}'
    message = accepted(body, schema)
    assert message.columns == ("k", "tags", "any", "day", "pk")
    numbers = {"L": [{"N": "1.1"}, {"N": "12345678901234567890123"}]}
    assert rows_of(message) == [[0, "a", {"SS": ["x"]}, {"M": {"n": numbers}}, "2024-01-31", "K#a"]]


def test_text_of_a_list_in_a_plain_message_becomes_a_list() -> None:
    toml = '[key]\npartition = "k"\n[columns.k]\nrequired = true\n[columns.tags]\ntype = "list"\nseparator = "|"'
    schema = schema_of(toml)
    items = Items(schema)
    items.add(accepted({"k": "a", "tags": "x|y"}, schema))
    (item,) = json.loads(f"[{items.text([0])}]")
    assert item["PutRequest"]["Item"]["tags"] == {"L": [{"S": "x"}, {"S": "y"}]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"k":"a","tags":{"x":1}}', "tags is not a set of texts"),
        ('{"k":"a","any":{"n":1e-131}}', "any is not JSON that DynamoDB can hold"),
        ('{"k":["a"]}', "a field of the plain message is neither text"),
        ('{"k":"a","day":["b"]}', "a field of the plain message is neither text"),
        ('{"k":""}', "k is required, but empty"),
    ],
)
def test_nested_value_that_does_not_fit_is_refused(body: str, reason: str) -> None:
    refused = foreign(body, schema_of(NESTED_TOML))
    assert isinstance(refused, Refused)
    assert refused.reason.startswith(reason)


def test_values_nested_too_deeply_are_refused_or_malformed() -> None:
    reasons = set()
    for levels in range(200, 1_024):
        try:
            refused = foreign(f'{{"k":"a","any":{"[" * levels}1.5{"]" * levels}}}', schema_of(NESTED_TOML))
        except MalformedMessage as error:
            reasons.add(str(error))
        else:
            assert isinstance(refused, Refused)
            reasons.add(refused.reason)
    # Which depth is too much for the parser itself depends on the version of Python.
    assert reasons
    assert all(reason.startswith(("any is not JSON", "the body is nested too deeply")) for reason in reasons)


def test_name_that_occurs_twice_is_malformed_where_values_are_read_exactly() -> None:
    with pytest.raises(MalformedMessage, match="a name in it occurs twice"):
        foreign('{"k":"a","any":{"x":1,"x":2}}', schema_of(NESTED_TOML))


@settings(max_examples=100)
@given(st.lists(st.tuples(texts(min_size=1), texts(), texts()), max_size=5), st.sampled_from(["omit", "null", "text"]))
def test_computed_attributes_and_empty_values_survive_plain_messages(rows: list[tuple[str, ...]], empty: str) -> None:
    toml = f'empty = "{empty}"\nnull_values = ["NA"]\nunknown_columns = "store"\n[key]\npartition = "pk"\n'
    schema = schema_of(toml + '[columns.k]\n[columns.x]\ntrim = true\nlower = true\n[computed]\npk = "#{k}"')
    plan = schema.plan(["k", "x", "other"])
    good, _ = plan.clean(range(len(rows)), list(map(list, rows)))
    packer = Packer(SOURCE, plan.attributes, max_records=500, max_bytes=61_440)
    sent = packer.add(good, PROCESSED_AT)[0] + packer.flush(PROCESSED_AT)
    assert plain_items(plain(plan, schema, good), schema) == plain_items(sent, schema)


def plain_items(messages: list[Outgoing], schema: Schema) -> list[Any]:
    items = Items(schema)
    for message in messages:
        parsed = received(message, schema)
        assert isinstance(parsed, Message), parsed
        items.add(parsed)
    return [(items.key(i), json.loads(items.text([i]))) for i in range(len(items))]
