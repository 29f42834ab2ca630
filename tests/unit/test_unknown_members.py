"""Members of JSON objects and DynamoDB items that the schema does not know: stored whole, or the row is rejected."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.convert import Converter
from engine.errors import MalformedMessage
from engine.items import Items
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.reading.block import Reject
from engine.schema.model import Schema
from engine.schema.rest import LONG_NAME, MAX_NAME_BYTES, NO_ATTRIBUTE, NO_NAME
from tests.builders.csv_text import cut
from tests.builders.json_text import load_exactly
from tests.builders.messages import packed, puts
from tests.builders.samples import PROCESSED_AT, SOURCE, schema_of
from tests.builders.texts import texts
from tests.fakeaws.attributes import check_value

KEY = (
    '[key]\npartition = "id"\n[columns.id]\nrequired = true\n[columns.n]\nattribute = "count"\ntype = "N"\n'
    '[columns.city]\npath = "address.city"\n[constants]\nkind = "thing"\n[generated]\nrow = "row_number"\n'
)


def storing(top: str = "", more: str = "") -> Schema:
    return schema_of(f'unknown_columns = "store"\n{top}\n{KEY}{more}')


STORE = storing()
OWN = {"kind": {"S": "thing"}}


def load(
    data: bytes, schema: Schema = STORE, *, sizes: list[int] | None = None, records_per_message: int = 500
) -> tuple[list[dict[str, Any]], list[Reject]]:
    """The items that a file becomes, without their row numbers, and its rejects."""
    converter = Converter(SOURCE, schema, records_per_message=records_per_message, max_message_bytes=1_000_000)
    items, rejects = Items(schema), []
    converted = [each for chunk in cut(data, sizes or []) for each in converter.feed(chunk, PROCESSED_AT)]
    for each in [*converted, *converter.finish(PROCESSED_AT)]:
        rejects += each.rejects
        for sent in each.messages:
            attributes = {name: {"stringValue": value["StringValue"]} for name, value in sent.attributes.items()}
            message = parse_message(sent.body.decode(), attributes, "id", 5, schema)
            assert isinstance(message, Message)
            items.add(message)
    return [{name: value for name, value in item.items() if name != "row"} for item in puts(items)], rejects


def lines(*objects: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in objects)


def reasons(data: bytes, schema: Schema = STORE) -> list[str]:
    items, rejects = load(data, schema)
    assert items == []
    return [reject.reason for reject in rejects]


@pytest.mark.parametrize("records_per_message", [500, 1])
def test_members_become_attributes_of_their_own_types(records_per_message: int) -> None:
    data = (
        b'{"id":"a","N":"5","x":1.50,"big":12345678901234567890123456789,"t":"","u":null,"b":true,'
        b'"l":[1,null,"",{"k":"v"}],"address":{"city":"Ulm","zip":7}}\n{"id":"b"}\n{"id":"c","X":{}}\n'
    )
    items, rejects = load(data, records_per_message=records_per_message)
    assert rejects == []
    assert items == [
        {
            "id": {"S": "a"},
            "count": {"N": "5"},
            "city": {"S": "Ulm"},
            "x": {"N": "1.5"},
            "big": {"N": "12345678901234567890123456789"},
            "b": {"BOOL": True},
            "l": {"L": [{"N": "1"}, {"NULL": True}, {"S": ""}, {"M": {"k": {"S": "v"}}}]},
            **OWN,
        },
        {"id": {"S": "b"}, **OWN},
        {"id": {"S": "c"}, "X": {"M": {}}, **OWN},
    ]


@pytest.mark.parametrize("records_per_message", [500, 1])
def test_attributes_of_dynamodb_stay_as_they_are(records_per_message: int) -> None:
    own = {"x": {"N": "1.50"}, "t": {"S": ""}, "u": {"NULL": True}, "s": {"SS": ["b", "a"]}, "M": {"M": {}}}
    items, rejects = load(
        lines({"Item": {"id": {"S": "a"}, "count": {"N": "5"}, **own}}, {"Item": {"id": {"S": "b"}}}),
        records_per_message=records_per_message,
    )
    assert rejects == []
    assert items == [{"id": {"S": "a"}, "count": {"N": "5"}, **own, **OWN}, {"id": {"S": "b"}, **OWN}]


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ('null_values = ["NA", "-999"]', {}),
        ('null_values = ["NA", "-999"]\nempty = "null"', {key: {"NULL": True} for key in "abcde"}),
        ('null_values = ["NA", "-999"]\nempty = "text"', {key: {"S": ""} for key in "abcde"}),
        ('empty = "text"', {"a": {"S": ""}, "b": {"S": ""}, "c": {"S": "NA"}, "d": {"N": "-999"}, "e": {"S": "-999"}}),
    ],
)
def test_empty_values_and_null_values_become_what_the_schema_says(top: str, expected: dict[str, Any]) -> None:
    kept = {"f": "N/A", "g": ["NA", None, -999], "h": False, "i": 0}
    values = {"a": "", "b": None, "c": "NA", "d": -999, "e": "-999"}
    (item,), rejects = load(lines({"id": "a", "n": 7, "address": {"city": "Ulm"}, **values, **kept}), storing(top))
    assert rejects == []
    assert item == {
        "id": {"S": "a"},
        "count": {"N": "7"},
        "city": {"S": "Ulm"},
        **expected,
        "f": {"S": "N/A"},
        "g": {"L": [{"S": "NA"}, {"NULL": True}, {"N": "-999"}]},
        "h": {"BOOL": False},
        "i": {"N": "0"},
        **OWN,
    }


TAKEN = "cannot be stored: the schema uses its name for another"
HALF, TOO_MUCH = "é" * (MAX_NAME_BYTES // 2), ["x" * 409_600]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"": 1}, NO_NAME),
        ({HALF + "é": 1}, LONG_NAME),
        ({"count": 1}, "has n twice"),
        ({"kind": 1}, f"the key kind {TAKEN}"),
        ({"row": 1}, f"the key row {TAKEN}"),
        ({"x": {"": 1}}, NO_ATTRIBUTE),
        ({"x": 10**38 + 1}, NO_ATTRIBUTE),
        ({"x": TOO_MUCH}, "longer than 409,600 characters"),
    ],
)
def test_line_with_a_member_that_cannot_be_stored_is_a_reject(members: dict[str, Any], reason: str) -> None:
    (found,) = reasons(lines({"id": "a", "n": 1, **members}))
    assert reason in found


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"": {"S": "x"}}, NO_NAME),
        ({HALF + "é": {"S": "x"}}, LONG_NAME),
        ({"kind": {"S": "x"}}, f"the key kind {TAKEN}"),
        ({"x": {"M": {"": {"S": "x"}}}}, "does not know has an attribute without a name"),
        ({"x": {"N": "x"}}, "does not know is not a valid N"),
        ({"x": {"Q": "x"}}, "does not know is of no type that DynamoDB has"),
        ({"x": {"L": [{"S": TOO_MUCH[0]}]}}, "longer than 409,600 characters"),
    ],
)
def test_item_with_an_attribute_that_cannot_be_stored_is_a_reject(attributes: dict[str, Any], reason: str) -> None:
    (found,) = reasons(lines({"Item": {"id": {"S": "a"}, **attributes}}))
    assert reason in found


def test_longest_name_is_stored() -> None:
    (item,), _ = load(lines({"id": "a", HALF + "e": 1}))
    assert item[HALF + "e"] == {"N": "1"}


def test_what_is_wrong_with_a_column_comes_first() -> None:
    assert reasons(lines({"id": "a", "n": "x", "": 1})) == ["n is not a number that DynamoDB can hold"]


# ---- Against an oracle

NUMBERS = st.integers(-(10**20), 10**20) | st.integers(-9, 9) | st.floats(-1e9, 1e9)
VALUES: st.SearchStrategy[Any] = st.recursive(
    texts(6) | NUMBERS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(3), inner, max_size=3),
    max_leaves=5,
)
MEMBERS = st.dictionaries(st.sampled_from(["n", "x", "y", "kind", "", "S", "é"]), VALUES, max_size=5)


class _Refused(Exception):
    pass


def expected(value: Any) -> Any:
    """The attribute value of a JSON value, straightforwardly; numbers as `Decimal`."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case Decimal():
            if value and value.adjusted() < -130:
                raise _Refused
            return {"N": value}
        case list():
            return {"L": [expected(each) for each in value]}
        case _:
            if "" in value:
                raise _Refused
            return {"M": {name: expected(each) for name, each in value.items()}}


def exact(value: Any) -> Any:
    """An attribute value with numbers as `Decimal`."""
    ((type_, content),) = value.items()
    if type_ == "N":
        return {"N": Decimal(content)}
    if type_ == "L":
        return {"L": list(map(exact, content))}
    return {"M": {name: exact(each) for name, each in content.items()}} if type_ == "M" else value


@settings(max_examples=300)
@given(st.lists(MEMBERS, min_size=1, max_size=6), st.sampled_from([[], [1], [7, 30]]), st.sampled_from([500, 1]))
def test_each_line_is_stored_whole_or_rejected(
    objects: list[dict[str, Any]], sizes: list[int], records_per_message: int
) -> None:
    objects = [{"id": str(i), **each} for i, each in enumerate(objects)]
    data = lines(*objects)
    items, rejects = load(data, sizes=sizes, records_per_message=records_per_message)
    found = {item["id"]["S"]: item for item in items}
    refused = {json.loads(reject.record)["id"] for reject in rejects}
    assert len(found) + len(refused) == len(objects)
    for line in data.splitlines():
        value = load_exactly(line)
        number = value.pop("id")
        try:
            if not {"kind", ""}.isdisjoint(value):
                raise _Refused
            n = value.pop("n", None)
            if n is not None and (not isinstance(n, str) or n.strip()):
                if isinstance(n, bool | list | dict):
                    raise _Refused
                n = {"count": {"N": Decimal(n)}}
            else:
                n = {}
            stored = {name: expected(each) for name, each in value.items() if each is not None and each != ""}
        except (_Refused, ArithmeticError):
            assert number in refused
            continue
        if number in refused:  # a text that is no number
            assert n
            continue
        assert {name: exact(each) for name, each in found[number].items()} == {
            "id": {"S": number}, **n, **stored, **OWN
        }  # fmt: skip
        assert all(map(check_value, found[number].values()))


# ---- Messages from elsewhere


def read(rest: Any, *, column: str = "", rows: int = 1) -> list[dict[str, Any]]:
    body = packed([[i, f"id {i}", rest] for i in range(rows)], columns=["id", column])
    message = parse_message(json.dumps(body), {}, "id", 5, STORE)
    assert isinstance(message, Message)
    items = Items(STORE)
    items.add(message)
    return puts(items)


def nested(levels: int) -> Any:
    value: Any = {"S": "x"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


NO_OBJECTS: list[Any] = ["x", "", 5, True, ["x"], [{}]]
NO_ATTRIBUTES: list[Any] = [
    *(None, "x", 5, [], {}, {"S": 5}, {"N": 5}, {"Q": "x"}, {"S": "x", "N": "1"}, {"NULL": False}, {"SS": []}),
    *(nested(33), {"M": {"": {"S": "x"}}}),
]


@pytest.mark.parametrize(
    "rest", [{"x": {"S": "x"}}, {"x": nested(32), "S": {"S": "x"}}, {HALF + "e": {"N": "1"}}, {}, None]
)
def test_column_without_a_name_has_more_attributes(rest: Any) -> None:
    assert read(rest) == [{"id": {"S": "id 0"}, **(rest or {}), **OWN, "row": {"N": "0"}}]
    assert len(read(rest, rows=3)) == 3
    assert read(rest, rows=0) == []


@pytest.mark.parametrize(
    ("rest", "text"),
    [
        *((value, "is no object") for value in NO_OBJECTS),
        *(({name: {"S": "x"}}, "a name that is empty or too long") for name in ("", HALF + "é")),
        *(({name: {"S": "x"}}, "the name of a column") for name in ("id", "count", "city", "kind", "row")),
        *(({"fine": {"S": "x"}, "y": value}, "is not an attribute value of DynamoDB") for value in NO_ATTRIBUTES),
    ],
)
def test_anything_else_in_a_column_without_a_name_makes_the_message_malformed(rest: Any, text: str) -> None:
    with pytest.raises(MalformedMessage, match=text) as caught:
        read(rest)
    assert "id 0" not in str(caught.value)


def test_attribute_may_not_have_the_name_of_a_column_of_its_message() -> None:
    body = packed([[1, "a", "b", {"y": {"S": "x"}}]], columns=["id", "y", ""])
    with pytest.raises(MalformedMessage, match="the name of a column"):
        parse_message(json.dumps(body), {}, "id", 5, STORE)


def test_name_twice_in_a_message_is_one_attribute() -> None:
    body = json.dumps(packed([[1, "a", {"y": {"S": "1"}}]], columns=["id", ""]))
    body = body.replace('{"y": {"S": "1"}}', '{"y": {"S": "1"}, "y": {"S": "2"}}')
    message = parse_message(body, {}, "id", 5, STORE)
    assert isinstance(message, Message)
    assert message.values[1] == ({"y": {"S": "2"}},)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts(3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["S", "N", "L", "M", "SS", "x", "id", ""]), inner, max_size=2)
        ),
        max_leaves=6,
    )
)
def test_any_value_in_a_column_without_a_name_is_stored_or_refused(rest: Any) -> None:
    try:
        (item,) = read(rest)
    except MalformedMessage:
        return
    assert rest is None or item == {**rest, "id": {"S": "id 0"}, **OWN, "row": {"N": "0"}}
