"""The fault server's DynamoDB is what it plays: AWS's own client takes it for the service, well or ill."""

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    ChecksumError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import (
    ACCESS_DENIED,
    BAD_JSON,
    EXPIRED_TOKEN,
    NO_TABLE,
    REQUEST_LIMIT,
    SERVER_ERROR,
    THROTTLED,
    THROUGHPUT_EXCEEDED,
    UNAVAILABLE,
    CloseAfter,
    Fault,
    Garbage,
    Json,
    Poison,
    Refuse,
    Reset,
    Silent,
    Slow,
    Sometimes,
    Truncated,
    Unprocessed,
    WrongChecksum,
    always,
)

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


def item(row: int, **more: Any) -> Json:
    return {"email": {"S": f"{row}@example.com"}, "createdAt": {"N": f"1775260800.{row:012}"}, **more}


def puts(*items: Json, table: str = "users") -> Any:
    return {table: [{"PutRequest": {"Item": each}} for each in items]}


async def test_a_batch_is_written(fault_server: FaultServer, dynamodb: "DynamoDBClient") -> None:
    rows = [item(row) for row in range(25)]
    assert (await dynamodb.batch_write_item(RequestItems=puts(*rows)))["UnprocessedItems"] == {}
    await dynamodb.batch_write_item(RequestItems=puts(rows[7]))
    users = fault_server.tables["users"]
    assert list(users.items.values()) == rows
    assert users.writes["7@example.com", "1775260800.000000000007"] == 2
    assert users.batches == [25, 1]
    assert [(call.operation, len(call.entries)) for call in fault_server.calls] == [
        ("BatchWriteItem", 25),
        ("BatchWriteItem", 1),
    ]
    assert fault_server.connections == 1


async def test_unprocessed_items_come_back_and_the_others_are_written(
    fault_server: FaultServer, dynamodb: "DynamoDBClient"
) -> None:
    fault_server.plan = [Unprocessed(0.5), Unprocessed(lambda each: each["email"]["S"] == "1@example.com")]
    rows = [item(row) for row in range(4)]
    assert (await dynamodb.batch_write_item(RequestItems=puts(*rows)))["UnprocessedItems"] == puts(*rows[2:])
    assert len(fault_server.tables["users"].items) == 2
    assert (await dynamodb.batch_write_item(RequestItems=puts(*rows)))["UnprocessedItems"] == puts(rows[1])
    assert len(fault_server.tables["users"].items) == 4
    assert (await dynamodb.batch_write_item(RequestItems=puts(*rows)))["UnprocessedItems"] == {}


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (THROUGHPUT_EXCEEDED, 400),
        (THROTTLED, 400),
        (REQUEST_LIMIT, 400),
        (EXPIRED_TOKEN, 400),
        (ACCESS_DENIED, 400),
        (NO_TABLE, 400),
        (SERVER_ERROR, 500),
        (UNAVAILABLE, 503),
    ],
    ids=lambda value: value.code if isinstance(value, Refuse) else "",
)
async def test_a_refused_batch_has_the_services_code(
    fault_server: FaultServer, dynamodb: "DynamoDBClient", fault: Refuse, status: int
) -> None:
    fault_server.plan = always(fault)
    with pytest.raises(ClientError) as caught:
        await dynamodb.batch_write_item(RequestItems=puts(item(1)))
    assert caught.value.response["Error"] == {"Code": fault.code, "Message": fault.message}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert fault_server.tables["users"].items == {}


async def test_modeled_errors_are_the_clients_own_classes(
    fault_server: FaultServer, dynamodb: "DynamoDBClient"
) -> None:
    fault_server.plan = always(THROUGHPUT_EXCEEDED)
    with pytest.raises(dynamodb.exceptions.ProvisionedThroughputExceededException):
        await dynamodb.batch_write_item(RequestItems=puts(item(1)))


@pytest.mark.parametrize(
    ("items", "code", "message"),
    [
        ([item(row) for row in range(26)], "ValidationException", "Too many items"),
        ([], "ValidationException", "Too many items"),
        (
            [item(1), {**item(1), "createdAt": {"N": "1775260800.0000000000010"}}],
            "ValidationException",
            "Provided list of item keys contains duplicates",
        ),
        ([item(1, name={"S": "é" * 205_000})], "ValidationException", "Item size has exceeded"),
        (
            [item(row, name={"S": "x" * 700_000}) for row in range(25)],
            "RequestEntityTooLargeException",
            "exceeds 16 MB",
        ),
        ([{"email": {"S": "a"}}], "ValidationException", "Missing the key createdAt"),
        ([{**item(1), "email": {"N": "1"}}], "ValidationException", "Type mismatch for key email"),
        ([{**item(1), "email": {"S": ""}}], "ValidationException", "cannot contain an empty string"),
        ([{**item(1), "email": {"S": "x" * 2049}}], "ValidationException", "exceeded 2048 bytes"),
        ([item(1, age={"N": "1" * 39})], "ValidationException", "38 significant digits"),
        ([item(1, age={"N": "0.1" + "0" * 37 + "1"})], "ValidationException", "38 significant digits"),
        ([item(1, age={"N": "old"})], "ValidationException", "numeric value"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_tables_limits_hold(
    fault_server: FaultServer, dynamodb: "DynamoDBClient", items: list[Json], code: str, message: str
) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        await dynamodb.batch_write_item(RequestItems=puts(*items))
    assert caught.value.response["Error"]["Code"] == code
    assert fault_server.tables["users"].items == {}


async def test_a_missing_table_is_not_found(dynamodb: "DynamoDBClient") -> None:
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        await dynamodb.batch_write_item(RequestItems=puts(item(1), table="nowhere"))


async def test_poison_spoils_the_batch_that_holds_it(fault_server: FaultServer, dynamodb: "DynamoDBClient") -> None:
    fault_server.plan = always(Poison(lambda each: each["email"]["S"] == "1@example.com"))
    with pytest.raises(ClientError, match="ValidationException"):
        await dynamodb.batch_write_item(RequestItems=puts(item(0), item(1)))
    assert fault_server.tables["users"].items == {}
    await dynamodb.batch_write_item(RequestItems=puts(item(0)))
    assert len(fault_server.tables["users"].items) == 1


@pytest.mark.parametrize(
    ("fault", "error", "written"),
    [
        (Reset(), (ConnectionClosedError, EndpointConnectionError), 0),
        (Reset(applied=True), (ConnectionClosedError, EndpointConnectionError), 1),
        (Silent(), ReadTimeoutError, 0),
        (Silent(applied=True), ReadTimeoutError, 1),
        (Garbage(), ClientError, 0),
        (Garbage(500, b""), ClientError, 0),
        (Truncated(), ConnectionClosedError, 1),
        (WrongChecksum(), ChecksumError, 1),
        (Slow(5), ReadTimeoutError, 0),
    ],
    ids=repr,
)
async def test_the_wire_breaks(
    fault_server: FaultServer,
    dynamodb: "DynamoDBClient",
    fault: Fault,
    error: type[Exception] | tuple[type[Exception], ...],
    written: int,
) -> None:
    fault_server.plan = [fault]
    with pytest.raises(error):
        await dynamodb.batch_write_item(RequestItems=puts(item(1)))
    assert len(fault_server.tables["users"].items) == written
    await dynamodb.batch_write_item(RequestItems=puts(item(1)))
    assert len(fault_server.tables["users"].items) == 1


async def test_broken_json_is_no_answer(fault_server: FaultServer, dynamodb: "DynamoDBClient") -> None:
    """AWS's client does not even raise: it hands back a reply in which nothing is said of what was left."""
    fault_server.plan = [BAD_JSON]
    assert "UnprocessedItems" not in await dynamodb.batch_write_item(RequestItems=puts(item(1)))


async def test_a_late_answer_may_be_right_or_wrong(fault_server: FaultServer, dynamodb: "DynamoDBClient") -> None:
    fault_server.plan = [Slow(0.1), Slow(0.1, THROTTLED)]
    began = time.monotonic()
    assert (await dynamodb.batch_write_item(RequestItems=puts(item(1))))["UnprocessedItems"] == {}
    with pytest.raises(ClientError, match="ThrottlingException"):
        await dynamodb.batch_write_item(RequestItems=puts(item(1)))
    assert time.monotonic() - began > 0.2


async def test_an_item_of_nearly_400_kb_is_taken(fault_server: FaultServer, dynamodb: "DynamoDBClient") -> None:
    await dynamodb.batch_write_item(RequestItems=puts(item(1, name={"S": "é" * 204_000})))
    assert len(fault_server.tables["users"].items) == 1


async def test_a_connection_closed_between_calls_is_stale_for_the_next(
    fault_server: FaultServer, dynamodb: "DynamoDBClient"
) -> None:
    fault_server.plan = [CloseAfter()]
    await dynamodb.batch_write_item(RequestItems=puts(item(1)))
    await asyncio.sleep(0.1)
    await dynamodb.batch_write_item(RequestItems=puts(item(2)))
    assert [call.connection for call in fault_server.calls] == [1, 2]
    fault_server.drop_connections()
    await asyncio.sleep(0.1)
    await dynamodb.batch_write_item(RequestItems=puts(item(3)))
    assert fault_server.connections == 3


async def test_calls_in_flight_are_counted_and_some_fail(fault_server: FaultServer, dynamodb: "DynamoDBClient") -> None:
    fault_server.plan = lambda call: Slow(0.1)
    await asyncio.gather(*(dynamodb.batch_write_item(RequestItems=puts(item(row))) for row in range(4)))
    assert fault_server.most_in_flight == 4
    fault_server.plan = Sometimes(0.5, [THROTTLED, SERVER_ERROR], seed=1)
    results = await asyncio.gather(
        *(dynamodb.batch_write_item(RequestItems=puts(item(row))) for row in range(40)), return_exceptions=True
    )
    assert 5 < sum(isinstance(result, ClientError) for result in results) < 35


@pytest.mark.parametrize("rounds", range(5))
async def test_what_was_just_accepted_is_closed_at_the_end(rounds: int) -> None:
    async with FaultServer() as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        for _ in range(rounds):
            await asyncio.sleep(0)
    with client:
        client.settimeout(5)
        try:
            left = client.recv(1)
        except ConnectionResetError:
            left = b""
    assert not left
