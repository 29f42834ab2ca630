"""Deletes in a table that throttles, breaks and refuses: exactly the items that are still the ones meant are gone."""

from __future__ import annotations

import pytest

from engine.aws.table_deleter import TableDeleter, operation_of
from engine.errors import ServiceError
from engine.flow.backoff import NEVER
from engine.outcome import Outcome
from engine.schema.model import Schema
from tests.builders.newest import NEWEST
from tests.builders.samples import USERS
from tests.fakeaws.dynamodb import Table
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import (
    ACCESS_DENIED,
    SERVER_ERROR,
    THROTTLED,
    Fault,
    Garbage,
    Reset,
    Sometimes,
    Truncated,
    Unprocessed,
    always,
)
from tests.faults.lanes import lane_to

pytestmark = pytest.mark.parametrize("schema", [USERS, NEWEST], ids=["in the key", "beside the key"])

FAULTS: list[Fault] = [THROTTLED, SERVER_ERROR, Reset(), Reset(applied=True), Garbage(), Garbage(200, b""), Truncated()]


def fill(server: FaultServer, schema: Schema) -> list[tuple[tuple[str, ...], str]]:
    """Put 100 items, of which every tenth is gone, and every tenth has been replaced; return what to delete."""
    table = server.tables["users"] = Table({name: schema.types[name] for name in schema.keys})
    wanted: list[tuple[tuple[str, ...], str]] = []
    for number in range(100):
        name, version = f"K{number}", f"17.{number:03d}1"
        key = (name, version) if schema is USERS else (name,)
        wanted.append((key, "" if schema is USERS else version))
        there = f"18.{number:03d}1" if number % 10 == 3 else version
        attributes = {"email": {"S": name}, "createdAt": {"N": there}}
        if schema is NEWEST:
            attributes = {"sku": {"S": name}, "version": {"N": there}}
        if number % 10 != 7:
            table.items[table.key_of(attributes)] = attributes
    return wanted


async def delete(server: FaultServer, schema: Schema, wanted: list[tuple[tuple[str, ...], str]]) -> Outcome:
    proof = "createdAt" if schema is USERS else "version"
    outcome = Outcome(bytearray(len(wanted)))
    async with lane_to(server, operation_of(schema, proof)) as lane:
        await TableDeleter("users", schema, proof, lane).delete(wanted, outcome, NEVER)
    return outcome


@pytest.mark.parametrize("fault", [None, *FAULTS], ids=str)
async def test_only_own_items_are_deleted(fault_server: FaultServer, schema: Schema, fault: Fault | None) -> None:
    wanted = fill(fault_server, schema)
    fault_server.plan = Sometimes(0.3, [fault]) if fault else ()
    outcome = await delete(fault_server, schema, wanted)
    left = {key[0] for key in fault_server.tables["users"].items}
    assert left == {f"K{number}" for number in range(100) if number % 10 == 3}
    assert all(outcome.written)
    # Where the version is in the key, the later item has another key, and this one is gone.
    assert outcome.superseded == (set() if schema is USERS else set(range(3, 100, 10)))


async def test_unprocessed_deletes_are_sent_again(fault_server: FaultServer, schema: Schema) -> None:
    if schema is USERS:
        wanted = fill(fault_server, schema)
        fault_server.plan = [Unprocessed(0.5), Unprocessed(1.0), Unprocessed(0.2)]
        assert all((await delete(fault_server, schema, wanted)).written)
        assert len(fault_server.tables["users"].items) == 10


async def test_denied_deletes_raise(fault_server: FaultServer, schema: Schema) -> None:
    wanted = fill(fault_server, schema)
    fault_server.plan = always(ACCESS_DENIED)
    with pytest.raises(ServiceError, match="AccessDenied"):
        await delete(fault_server, schema, wanted)
    assert len(fault_server.tables["users"].items) == 90
