"""What `Verification` finds of each row: in the table, replaced, rejected, missing, different, expired, undone."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Container, Iterable
from typing import Any

import pytest

from engine.decimal_text import canonical_number
from engine.identity import ObjectVersion
from engine.items import Items
from engine.jobs.replay import replay
from engine.jobs.verify import Verification, differences, rows_of, spread
from engine.schema.model import Schema
from tests.builders.samples import PRODUCTS, SOURCE, USERS, schema_of

USERS_CSV = b"name,mail\n" + b"".join(b"N%d,u%d@x.org\n" % (n, n) for n in range(1, 602)) + b",bad\n"
LATER = SOURCE._replace(key="uploads/later.csv", modified=SOURCE.modified + 60)
EARLIER = SOURCE._replace(key="uploads/earlier.csv", modified=SOURCE.modified - 60)

KEY_ALONE = """
[key]
partition = "id"
[columns.id]
required = true
[columns.a]
"""
WITH_INGESTION = schema_of(KEY_ALONE + '[generated]\nrun = "ingestion"\n')
WITH_NOTHING = schema_of(KEY_ALONE)

Table = dict[tuple[str, ...], dict[str, Any]]


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1_000):
        yield data[start : start + 1_000]


def written(
    data: bytes, schema: Schema, source: ObjectVersion = SOURCE, ttl_days: int | None = None, into: Table | None = None
) -> Table:
    """The table after a file, as DynamoDB returns its items: numbers in canonical form."""
    table: Table = {} if into is None else into

    async def write() -> None:
        async for part in replay(_chunks(data), source, schema):
            for message in part.messages:
                for row in rows_of(message, schema, ttl_days, lambda _: True):
                    table[row.key] = {
                        name: {"N": canonical_number(value["N"])} if "N" in value else dict(value)
                        for name, value in row.item.items()
                    }

    asyncio.run(write())
    return table


def verified(
    data: bytes,
    schema: Schema,
    table: Table,
    *,
    rejected: Container[int] = (),
    ttl_days: int | None = None,
    moment: int = SOURCE.modified + 100,
    is_undone: bool = False,
    most_open: int = 100,
    sample: int | None = None,
    rows: int = 0,
) -> Verification:
    async def lookup(keys: Iterable[tuple[str, ...]]) -> list[dict[str, Any]]:
        return [table[key] for key in keys if key in table]

    async def modified_of(ingestion: str) -> int | None:
        return {each.ingestion: each.modified for each in (LATER, EARLIER)}.get(ingestion)

    verification = Verification(
        SOURCE,
        schema,
        ttl_days=ttl_days,
        is_rejected=rejected.__contains__,
        moment=moment,
        modified_of=modified_of,
        is_undone=is_undone,
        most_open=most_open,
    )
    parts = replay(_chunks(data), SOURCE, schema)
    asyncio.run(verification.run(parts, lookup, spread(sample, rows)))
    return verification


def counts(verification: Verification) -> dict[str, int]:
    return {verdict: count for verdict, count in verification.counts.items() if count}


def test_rows_that_are_as_written_match_and_broken_ones_are_rejects() -> None:
    found = verified(USERS_CSV, USERS, written(USERS_CSV, USERS))
    assert counts(found) == {"match": 601, "rejected": 1}
    assert found.is_good
    assert found.rows == 602


def test_deleted_item_is_missing() -> None:
    table = written(USERS_CSV, USERS)
    del table[list(table)[500]]
    found = verified(USERS_CSV, USERS, table)
    assert counts(found) == {"match": 600, "missing": 1, "rejected": 1}
    assert found.first["missing"] == [501]
    assert not found.is_good


def test_changed_attribute_is_named_and_its_value_is_not() -> None:
    table = written(USERS_CSV, USERS)
    changed = list(table.values())[2]
    changed["name"] = {"S": "Somebody"}
    changed["note"] = {"S": "private"}
    changed["processedAt"] = {"S": "another time"}
    found = verified(USERS_CSV, USERS, table)
    assert counts(found) == {"match": 600, "different": 1, "rejected": 1}
    assert found.document()["differentAttributes"] == {"name": 1, "note": 1}
    assert "private" not in json.dumps(found.document())


def test_row_that_the_table_refused_is_rejected_unless_it_is_there() -> None:
    table = written(USERS_CSV, USERS)
    for key in list(table)[:2]:
        del table[key]
    found = verified(USERS_CSV, USERS, table, rejected={1, 2, 3})
    assert counts(found) == {"match": 599, "rejected": 3}


def test_items_that_ttl_has_deleted_are_expired() -> None:
    found = verified(USERS_CSV, USERS, {}, ttl_days=1, moment=SOURCE.modified + 86_400)
    assert counts(found) == {"expired": 601, "rejected": 1}
    found = verified(USERS_CSV, USERS, {}, ttl_days=1, moment=SOURCE.modified + 86_399)
    assert counts(found) == {"missing": 601, "rejected": 1}


def test_rows_without_an_item_are_undone_after_an_undo() -> None:
    table = written(USERS_CSV, USERS)
    del table[next(iter(table))]
    assert counts(verified(USERS_CSV, USERS, table, is_undone=True)) == {"match": 600, "undone": 1, "rejected": 1}


DATA = b"article,price\nA,1\nB,2\nA,3\n"


def test_later_row_of_the_file_replaces_an_earlier_one_by_version() -> None:
    assert counts(verified(DATA, PRODUCTS, written(DATA, PRODUCTS))) == {"replaced": 1, "match": 2}


def test_later_file_replaces_rows_and_an_earlier_one_does_not() -> None:
    later = written(b"article,price\nB,9\n", PRODUCTS, LATER, into=written(DATA, PRODUCTS))
    assert counts(verified(DATA, PRODUCTS, later)) == {"replaced": 2, "match": 1}
    earlier = written(b"article,price\nB,9\n", PRODUCTS, EARLIER, into=written(DATA, PRODUCTS))
    assert counts(verified(DATA, PRODUCTS, earlier)) == {"replaced": 1, "match": 1, "missing": 1}


def test_item_of_another_program_is_different() -> None:
    table = written(DATA, PRODUCTS)
    table[("B",)] = {"sku": {"S": "B"}}
    found = verified(DATA, PRODUCTS, table)
    assert counts(found) == {"replaced": 1, "match": 1, "different": 1}
    assert found.attributes["changed"] == 1


PAIRS = b"id,a\nA,1\nB,2\nA,3\nB,2\nC,4\n"


@pytest.mark.parametrize("schema", [WITH_INGESTION, WITH_NOTHING], ids=["ingestion", "nothing"])
def test_later_row_of_the_file_replaces_an_earlier_one_without_a_version(schema: Schema) -> None:
    table = written(PAIRS, schema)
    assert counts(verified(PAIRS, schema, table)) == {"replaced": 1, "match": 4}
    table[("A",)]["a"] = {"S": "8"}
    found = verified(PAIRS, schema, table)
    assert counts(found) == {"replaced": 1, "match": 3, "different": 1}
    assert found.first["different"] == [3]


def test_row_number_orders_rows_of_one_file_alone() -> None:
    numbered = schema_of(KEY_ALONE + '[generated]\nn = "row_number"\n')
    table = written(PAIRS, numbered)
    assert counts(verified(PAIRS, numbered, table)) == {"replaced": 2, "match": 3}
    table[("C",)]["n"] = {"N": "900"}  # of another file, nobody knows which
    assert counts(verified(PAIRS, numbered, table)) == {"replaced": 2, "match": 2, "different": 1}

    both = schema_of(KEY_ALONE + '[generated]\nn = "row_number"\nrun = "ingestion"\n')
    table = written(PAIRS, both)
    table[("A",)]["n"] = {"N": "1"}
    assert counts(verified(PAIRS, both, table)) == {"different": 1, "replaced": 1, "match": 2, "missing": 1}


def test_open_rows_are_bounded() -> None:
    data = b"id,a\n" + b"".join(b"K%d,old\n" % n for n in range(20)) + b"".join(b"K%d,new\n" % n for n in range(20))
    table = written(data, WITH_NOTHING)
    assert counts(verified(data, WITH_NOTHING, table, most_open=20)) == {"replaced": 20, "match": 20}
    found = verified(data, WITH_NOTHING, table, most_open=15)
    assert counts(found) == {"replaced": 15, "different": 5, "match": 20}
    assert not found.is_exact


def test_other_ingestion_is_placed_in_time_by_what_is_known_of_it() -> None:
    table = written(PAIRS, WITH_INGESTION)
    table[("A",)]["run"] = {"S": LATER.ingestion}
    table[("B",)]["run"] = {"S": EARLIER.ingestion}
    table[("C",)]["run"] = {"S": "nobody knows"}
    assert counts(verified(PAIRS, WITH_INGESTION, table)) == {"replaced": 2, "missing": 2, "different": 1}


def test_sample_is_spread_over_the_file() -> None:
    assert [n for n in range(1, 11) if spread(3, 10)(n)] == [4, 7, 10]
    assert all(map(spread(None, 5), range(1, 6)))
    for sample, rows in ((1, 7), (7, 7), (9, 7), (100, 1_001)):
        assert sum(map(spread(sample, rows), range(1, rows + 1))) == min(sample, rows)
    found = verified(USERS_CSV, USERS, written(USERS_CSV, USERS), sample=43, rows=602)
    assert found.rows == 43


def test_sampled_row_may_be_replaced_by_one_that_is_not_sampled() -> None:
    data = b"id,a\nX,1\nA,1\nY,1\nA,2\nA,3\nZ,1\n"
    found = verified(data, WITH_NOTHING, written(data, WITH_NOTHING), sample=3, rows=6)
    assert counts(found) == {"replaced": 2, "match": 1}


def test_object_that_cannot_be_read_to_its_end_is_verified_up_to_there() -> None:
    text = b"name,mail\n" + b"".join(b"N%d,u%d@x.org\n" % (n, n * n) for n in range(1, 20_000))
    found = verified(gzip.compress(text)[:-1_000], USERS, written(text, USERS))
    assert counts(found)["match"] == found.rows > 10_000
    assert found.fault
    assert not found.is_good


def test_values_that_are_written_in_two_ways_are_equal() -> None:
    expected: dict[str, dict[str, Any]] = {
        "n": {"N": "1.50"},
        "s": {"SS": ["a", "b"]},
        "ns": {"NS": ["1.0", "2"]},
        "b": {"B": "AAE="},
        "m": {"M": {"l": {"L": [{"N": "1e2"}, {"BS": ["AAE=", "AA=="]}]}}},
    }
    found: dict[str, dict[str, Any]] = {
        "n": {"N": "1.5"},
        "s": {"SS": ["b", "a"]},
        "ns": {"NS": ["2", "1"]},
        "b": {"B": b"\x00\x01"},
        "m": {"M": {"l": {"L": [{"N": "100"}, {"BS": [b"\x00", b"\x00\x01"]}]}}},
    }
    assert differences(expected, found) == []
    assert differences(expected, {**found, "n": {"S": "1.5"}, "x": {"NULL": True}}) == ["n", "x"]


def test_items_are_those_that_a_worker_writes() -> None:
    async def read() -> None:
        async for part in replay(_chunks(USERS_CSV), SOURCE, USERS):
            for message in part.messages:
                items = Items(USERS, 7)
                items.add(message)
                puts = json.loads(f"[{items.text(range(len(items)))}]")
                rows = rows_of(message, USERS, 7, lambda _: True)
                assert [row.item for row in rows] == [put["PutRequest"]["Item"] for put in puts]

    asyncio.run(read())
