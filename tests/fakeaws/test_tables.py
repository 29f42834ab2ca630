"""The model of DynamoDB: what it takes and refuses, how capacity throttles, and how reads page."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakeaws.attributes import item_bytes, key_text
from tests.fakeaws.capacity import TokenBucket
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.errors import Refusal

Json = dict[str, Any]

KEY = {"email": "S", "createdAt": "N"}


def item(row: int, email: str = "a@example.com", **more: Any) -> Json:
    return {"email": {"S": email}, "createdAt": {"N": str(row)}, **more}


def batch(*items: Json, table: str = "users") -> bytes:
    return orjson.dumps({"RequestItems": {table: [{"PutRequest": {"Item": each}} for each in items]}})


def database(table: Table | None = None) -> DynamoDB:
    return DynamoDB({"users": table or Table(KEY)})


def refusal(body: bytes, operation: str = "BatchWriteItem", of: DynamoDB | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        (of or database()).call(operation, body, 0.0)
    return caught.value


def test_items_are_put_and_deleted() -> None:
    of = database()
    assert of.call("BatchWriteItem", batch(item(1), item(2)), 0.0) == {"UnprocessedItems": {}}
    delete = {"DeleteRequest": {"Key": {"email": {"S": "a@example.com"}, "createdAt": {"N": "1.0"}}}}
    of.call("BatchWriteItem", orjson.dumps({"RequestItems": {"users": [delete]}}), 0.0)
    assert list(of.tables["users"].items) == [("a@example.com", "2")]


def test_single_items_are_put_and_deleted() -> None:
    of = database()
    of.call("PutItem", orjson.dumps({"TableName": "users", "Item": item(1)}), 0.0)
    assert list(of.tables["users"].items.values()) == [item(1)]
    of.call("DeleteItem", orjson.dumps({"TableName": "users", "Key": item(1)}), 0.0)
    assert not of.tables["users"].items
    returning = {"TableName": "users", "Item": item(1), "ReturnValues": "ALL_OLD"}
    assert refusal(orjson.dumps(returning), "PutItem").code == "NotModelled"


def conditional(row: int, condition: str, names: Json | None = None, values: Json | None = None, **more: Any) -> bytes:
    request = {"TableName": "users", "Item": item(row, **more), "ConditionExpression": condition}
    given = {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
    return orjson.dumps(request | {name: value for name, value in given.items() if value is not None})


@pytest.mark.parametrize(
    ("there", "met"),
    [
        (None, True),
        ({}, True),
        ({"v": {"N": "4"}}, True),
        ({"v": {"N": "5.0"}}, True),
        ({"v": {"N": "05.1"}}, False),
        ({"v": {"S": "4"}}, False),
    ],
    ids=repr,
)
def test_item_is_put_on_a_condition(there: Json | None, met: bool) -> None:
    of = database(Table(KEY, TokenBucket(1, tokens=3)))
    if there is not None:
        of.call("PutItem", orjson.dumps({"TableName": "users", "Item": item(1, **there)}), 0.0)
    units = of.tables["users"].capacity.available(0.0)  # type: ignore[union-attr]
    put = conditional(1, "attribute_not_exists(#v) OR #v <= :v", {"#v": "v"}, {":v": {"N": "5"}}, v={"N": "5"})
    if met:
        of.call("PutItem", put, 0.0)
    else:
        assert refusal(put, "PutItem", of).code == "ConditionalCheckFailedException"
    assert of.tables["users"].items[("a@example.com", "1")] == item(1, **({"v": {"N": "5"}} if met else there or {}))
    # A failed condition costs what a write does.
    assert of.tables["users"].capacity.available(0.0) == units - 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("v = :1 OR w = :1 AND x = :1", True),
        ("(v = :1 OR w = :1) AND x = :1", False),
        ("x BETWEEN :0 AND :1 AND v = :1", False),
        ("v BETWEEN :0 AND :1 and attribute_not_exists(x)", True),
    ],
)
def test_terms_are_joined_as_dynamodb_does(condition: str, met: bool) -> None:
    values = {":0": {"N": "0"}, ":1": {"N": "1"}}
    used = {name: value for name, value in values.items() if name in condition}
    of = database(Table(KEY))
    of.call("PutItem", orjson.dumps({"TableName": "users", "Item": item(1, v={"N": "1"}, w={"N": "1"})}), 0.0)
    put = conditional(1, condition, None, used)
    if met:
        of.call("PutItem", put, 0.0)
    else:
        assert refusal(put, "PutItem", of).code == "ConditionalCheckFailedException"


@pytest.mark.parametrize(
    ("condition", "names", "values", "code"),
    [
        ("attribute_not_exists(#v)", None, None, "ValidationException"),
        ("v < :v", None, None, "ValidationException"),
        ("attribute_not_exists(v)", {"#v": "v"}, None, "ValidationException"),
        ("v < :v", None, {":v": {"N": "x"}}, "ValidationException"),
        ("(v < :v", None, {":v": {"N": "1"}}, "ValidationException"),
        ("v < :v OR", None, {":v": {"N": "1"}}, "ValidationException"),
        ("v < :v )", None, {":v": {"N": "1"}}, "NotModelled"),
        ("size(v) < :v", None, {":v": {"N": "1"}}, "NotModelled"),
    ],
)
def test_condition_that_is_wrong_or_not_modelled(
    condition: str, names: Json | None, values: Json | None, code: str
) -> None:
    assert refusal(conditional(1, condition, names, values), "PutItem").code == code


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"N": "1e126"}, "overflow"),
        ({"N": "1E-131"}, "underflow"),
        ({"N": "1" * 39}, "38 significant digits"),
        ({"N": "NaN"}, "numeric value"),
        ({"N": ""}, "numeric value"),
        ({"N": 1}, "cannot be converted"),
        ({}, "exactly one"),
        ({"S": "a", "N": "1"}, "exactly one"),
        ({"SS": []}, "may not be empty"),
        ({"NS": ["1", "1.0"]}, "duplicates"),
        ({"X": "a"}, "cannot be read"),
        ({"B": "?"}, "Base64"),
    ],
    ids=repr,
)
def test_value_that_dynamodb_refuses(value: Json, said: str) -> None:
    assert said in refusal(batch(item(1, odd=value))).message


@pytest.mark.parametrize("number", ["0", "-0", "1e125", "9" * 38 + "0" * 88, "-1E-130", "+.5", "5.", "0.10"])
def test_number_that_dynamodb_holds(number: str) -> None:
    of = database()
    of.call("BatchWriteItem", batch(item(1, amount={"N": number})), 0.0)
    assert len(of.tables["users"].items) == 1


def test_sizes_are_those_of_the_developer_guide() -> None:
    assert item_bytes({"a": {"S": "é"}}) == 3
    assert item_bytes({"a": {"N": "-12.50"}}) == 1 + 3
    assert item_bytes({"a": {"BOOL": True}, "b": {"NULL": True}}) == 4
    assert item_bytes({"a": {"L": [{"S": "x"}, {"N": "1"}]}}) == 1 + 3 + 2 + 3
    assert item_bytes({"a": {"M": {"b": {"B": "AAAA"}}}}) == 1 + 3 + 1 + 1 + 3


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_one_text_for_each_number(number: Any) -> None:
    assert key_text("N", f"{number:f}") == key_text("N", f"{number:f}000") == key_text("N", f"{number:E}")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "SerializationException"),
        (b"{", "SerializationException"),
        (orjson.dumps({"RequestItems": {}, "Unheard": 1}), "NotModelled"),
        (batch(item(1), table="nowhere"), "ResourceNotFoundException"),
        (orjson.dumps({"RequestItems": {"users": [{"DeleteRequest": {"Key": item(1, a={"S": "b"})}}]}}), "Validation"),
    ],
)
def test_request_that_is_refused_as_a_whole(body: bytes, code: str) -> None:
    assert refusal(body).code.startswith(code)


def test_operation_that_is_not_modelled_says_so() -> None:
    assert refusal(b"{}", "TransactWriteItems").code == "NotModelled"
    assert "FilterExpression" in refusal(b'{"TableName":"users","FilterExpression":"a"}', "Scan").message


def test_capacity_fills_and_saves_up_no_more_than_its_burst() -> None:
    bucket = TokenBucket(100, burst_seconds=0.5, start=10.0)
    assert bucket.take(50, 10.0)
    assert not bucket.take(1, 10.0)
    assert bucket.available(10.25) == 25
    assert bucket.take(5, 10.25)
    assert bucket.available(99.0) == 50


def test_over_capacity_what_fits_is_written_and_the_rest_comes_back() -> None:
    table = Table(KEY, TokenBucket(10, tokens=0))
    of = database(table)
    left = of.call("BatchWriteItem", batch(*map(item, range(25))), 1.0)["UnprocessedItems"]["users"]
    assert [put["PutRequest"]["Item"] for put in left] == [item(row) for row in range(10, 25)]
    assert refusal(batch(item(99)), of=of).code == "ProvisionedThroughputExceededException"
    assert (len(table.items), table.throttled) == (10, 2)


def test_over_capacity_whole_batches_may_be_refused() -> None:
    table = Table(KEY, TokenBucket(10, tokens=20), whole_share=1.0)
    of = database(table)
    assert refusal(batch(*map(item, range(25))), of=of).code == "ProvisionedThroughputExceededException"
    assert not table.items
    assert of.call("BatchWriteItem", batch(*map(item, range(20))), 0.0) == {"UnprocessedItems": {}}


def test_items_cost_a_unit_for_each_kib_begun() -> None:
    table = Table(KEY, TokenBucket(1, burst_seconds=10))
    of = database(table)
    large = item(1, name={"S": "x" * 2_000})
    of.call("BatchWriteItem", batch(large), 0.0)
    assert table.capacity is not None
    assert table.capacity.available(0.0) == 8
    of.call("BatchWriteItem", batch(item(2, name={"S": "x" * 300_000})), 2.0)  # more than the bucket holds: all of it
    assert table.capacity.available(2.0) == 0


@given(
    st.floats(1, 50),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 25)), max_size=30),
    st.integers(),
)
@settings(max_examples=50)
def test_never_more_is_written_than_there_is_capacity_for(
    rate: float, whole_share: float, calls: list[tuple[float, int]], seed: int
) -> None:
    table = Table(KEY, TokenBucket(rate, tokens=0), whole_share=whole_share, draw=random.Random(seed))
    of, now, row = database(table), 0.0, 0
    for pause, count in calls:
        now += pause
        items = [item(row + i) for i in range(count)]
        row += count
        before = len(table.items)
        try:
            left = of.call("BatchWriteItem", batch(*items), now)["UnprocessedItems"].get("users", [])
        except Refusal:
            left = items
        assert len(table.items) - before == count - len(left)
        assert len(table.items) <= rate * now + 1e-6


def filled(*items: Json) -> DynamoDB:
    of = database()
    for each in items:
        of.call("BatchWriteItem", batch(each), 0.0)
    return of


def query(of: DynamoDB, email: str = "a@example.com", condition: str = "", **more: Any) -> Json:
    values = {":e": {"S": email}, **more.pop("values", {})}
    request = {
        "TableName": "users",
        "KeyConditionExpression": f"#k = :e{condition}",
        "ExpressionAttributeNames": {"#k": "email", "#s": "createdAt"},
        "ExpressionAttributeValues": values,
        **more,
    }
    return of.call("Query", orjson.dumps(request), 0.0)


def rows(reply: Json) -> list[str]:
    return [each["createdAt"]["N"] for each in reply["Items"]]


def test_a_query_orders_by_number() -> None:
    of = filled(item(10), item(9), item(1, "b@example.com"), item(100))
    assert rows(query(of)) == ["9", "10", "100"]
    assert rows(query(of, ScanIndexForward=False)) == ["100", "10", "9"]
    assert query(of, "nobody") == {"Items": [], "Count": 0, "ScannedCount": 0}


@pytest.mark.parametrize(
    ("condition", "values", "found"),
    [
        (" AND #s = :a", {":a": {"N": "10.0"}}, ["10"]),
        (" AND #s < :a", {":a": {"N": "10"}}, ["9"]),
        (" and #s >= :a", {":a": {"N": "10"}}, ["10", "100"]),
        (" AND #s BETWEEN :a AND :b", {":a": {"N": "9"}, ":b": {"N": "10"}}, ["9", "10"]),
    ],
)
def test_a_query_with_a_condition_on_the_sort_key(condition: str, values: Json, found: list[str]) -> None:
    of = filled(item(10), item(9), item(100))
    assert rows(query(of, condition=condition, values=values)) == found


def test_query_that_is_wrong_or_not_modelled() -> None:
    of = filled(item(1))
    for condition, values in (("", {":e": {"N": "1"}}), (" AND #s = :missing", {})):
        with pytest.raises(Refusal, match="ValidationException"):
            query(of, condition=condition, values=values)
    with pytest.raises(Refusal, match="NotModelled"):
        query(of, condition=" OR #s = :e")
    with pytest.raises(Refusal, match="outside query boundaries"):
        query(of, ExclusiveStartKey=item(1, "b@example.com"))


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("operation", ["Query", "Scan"])
def test_pages_show_each_item_once(operation: str, forward: bool) -> None:
    of = filled(*(item(row) for row in range(7)))
    start: Json = {}
    seen: list[str] = []
    for _ in range(9):
        if operation == "Query":
            reply = query(of, Limit=3, ScanIndexForward=forward, **start)
        else:
            reply = of.call("Scan", orjson.dumps({"TableName": "users", "Limit": 3, **start}), 0.0)
        seen += rows(reply)
        if "LastEvaluatedKey" not in reply:
            break
        start = {"ExclusiveStartKey": reply["LastEvaluatedKey"]}
        del of.tables["users"].items[of.tables["users"].key_of(reply["LastEvaluatedKey"])]  # it may go meanwhile
    expected = [str(row) for row in range(7)]
    assert seen == (expected if forward or operation == "Scan" else expected[::-1])


def test_a_limit_that_is_just_reached_names_a_last_key() -> None:
    of = filled(item(1), item(2))
    assert "LastEvaluatedKey" in query(of, Limit=2)
    assert "LastEvaluatedKey" not in query(of, Limit=3)


def test_a_page_ends_at_one_mb() -> None:
    of = filled(*(item(row, name={"S": "x" * 300_000}) for row in range(5)))
    reply = query(of)
    assert (rows(reply), "LastEvaluatedKey" in reply) == (["0", "1", "2"], True)


def test_a_scan_keeps_the_items_of_a_partition_together() -> None:
    of = filled(*(item(row, f"{row % 3}@example.com") for row in range(12)))
    reply = of.call("Scan", b'{"TableName":"users"}', 0.0)
    emails = [each["email"]["S"] for each in reply["Items"]]
    assert len([email for email, last in zip(emails, [None, *emails], strict=False) if email != last]) == 3


def test_reads_return_numbers_in_their_shortest_form() -> None:
    of = filled(item(1, amount={"N": "1.50"}, list={"L": [{"N": "1E2"}]}))
    (found,) = query(of)["Items"]
    assert (found["amount"], found["list"]) == ({"N": "1.5"}, {"L": [{"N": "100"}]})


def test_a_table_is_described() -> None:
    described = database().call("DescribeTable", b'{"TableName":"users"}', 0.0)["Table"]
    assert [each["AttributeName"] for each in described["KeySchema"]] == ["email", "createdAt"]
    assert {each["AttributeType"] for each in described["AttributeDefinitions"]} == {"S", "N"}


def test_number_is_added_to_or_set_on_a_condition() -> None:
    of = DynamoDB({"ledger": Table({"ingestion": "S", "part": "S"})})

    def update(change: str, condition: str, **values: int) -> int:
        request = {
            "TableName": "ledger",
            "Key": {"ingestion": {"S": "rate"}, "part": {"S": "writes"}},
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#u": "until"},
            "ExpressionAttributeValues": {f":{name}": {"N": str(value)} for name, value in values.items()},
            "ReturnValues": "UPDATED_NEW",
        }
        return int(of.call("UpdateItem", orjson.dumps(request), 0.0)["Attributes"]["until"]["N"])

    add, within = "ADD #u :more", "#u BETWEEN :low AND :high"
    for low, high in ((0, 9), (6, 9), (0, 4)):
        with pytest.raises(Refusal, match="ConditionalCheckFailed"):
            update(add, within, more=1, low=low, high=high)
        if low == 0 and high == 9:
            assert update("SET #u = :to", "attribute_not_exists(#u) OR #u < :now", to=5, now=1) == 5
    assert update(add, within, more=3, low=5, high=5) == 8


def test_consumed_units_are_reported_on_request() -> None:
    request = {
        "RequestItems": {"users": [{"PutRequest": {"Item": item(row, name={"S": "x" * 1500})}} for row in (1, 2)]},
        "ReturnConsumedCapacity": "TOTAL",
    }
    reply = database().call("BatchWriteItem", orjson.dumps(request), 0.0)
    assert reply["ConsumedCapacity"] == [{"TableName": "users", "CapacityUnits": 4.0}]
    put = {"TableName": "users", "Item": item(1), "ReturnConsumedCapacity": "TOTAL"}
    reply = database().call("PutItem", orjson.dumps(put), 0.0)
    assert reply["ConsumedCapacity"] == {"TableName": "users", "CapacityUnits": 1.0}
