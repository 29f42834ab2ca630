"""When following an object ends, and what it says then. Under virtual time: hours of waiting take milliseconds."""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.cli.expected import Key, wire_key
from engine.cli.follow import AWS, Following, Outcome, Snapshot, Upload
from engine.cli.observe import Said
from engine.convert import Converter
from engine.identity import ObjectVersion
from engine.items import Items, canonical_key
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.reading.block import Reject
from engine.schema.model import Schema
from tests.builders.samples import PRODUCTS, SOURCE, USERS, schema_of
from tests.fakeaws.virtual_time import now, run

ROWS = 1_200
USERS_CSV = b"name,mail\n" + b"".join(b"N%d,u%d@x.org\n" % (n, n) for n in range(1, ROWS + 1))
PRODUCTS_CSV = b"article,price\n" + b"".join(b"A%d,1\n" % n for n in range(1, ROWS + 1))
SENT = Said("complete", "", 3)


@dataclass
class FakeStack:
    """A stack in which each row of an object appears `delay(row)` seconds after the start (None: never)."""

    schema: Schema
    data: bytes
    delay: Callable[[int], float | None]
    depth: Callable[[], int] = lambda: 0
    said: Said | None = SENT
    reject_log: dict[str, list[Reject]] = field(default_factory=dict)
    reads: int = 0
    log_reads: int = 0

    def __post_init__(self) -> None:
        self._delays: dict[Key, float | None] = {}
        self._items: dict[Key, dict[str, Any]] = {}
        for row, (key, item) in enumerate(items_of(self.data, self.schema, SOURCE), 1):
            self._items[key], self._delays[key] = item, self.delay(row)

    async def items(self, keys: list[Key]) -> list[dict[str, Any]]:
        self.reads += len(keys)
        await asyncio.sleep(0.01)
        there = [key for key in keys if (delay := self._delays.get(key)) is not None and delay <= now()]
        return [self._items[key] for key in there]

    async def reject_files(self, source: ObjectVersion, since: int) -> dict[str, str]:
        assert source == SOURCE
        return {key: str(len(rejects)) for key, rejects in self.reject_log.items()}

    async def rejects(self, key: str) -> list[Reject]:
        return self.reject_log[key]

    async def queued(self) -> int:
        return self.depth()

    async def failed(self) -> tuple[int, int]:
        return 4, 5

    async def producer_said(self, source: ObjectVersion) -> Said | None:
        assert source == SOURCE
        self.log_reads += 1
        return self.said

    async def errors(self, source: ObjectVersion) -> list[str]:
        return [f"errors since {source.modified}"]

    def follow(self, rows: int = ROWS) -> tuple[Outcome, float, list[Snapshot]]:
        """Follow the object; return the outcome, the virtual seconds that it took, and all snapshots."""
        snapshots: list[Snapshot] = []

        async def follow() -> tuple[Outcome, float]:
            upload = Upload(SOURCE, 0.0, SOURCE.modified, lambda: chunks(self.data))
            outcome = await Following(self, self.schema, upload, rows, AWS).run(snapshots.append)
            return outcome, now()

        outcome, seconds = run(follow())
        return outcome, seconds, snapshots


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 10_000):
        yield data[start : start + 10_000]


def items_of(data: bytes, schema: Schema, source: ObjectVersion) -> list[tuple[Key, dict[str, Any]]]:
    converter = Converter(source, schema, records_per_message=100, max_message_bytes=61_440)
    bodies = [m.body for c in itertools.chain(converter.feed(data, "t"), converter.finish("t")) for m in c.messages]
    items = Items(schema)
    for body in bodies:
        message = parse_message(body.decode(), {}, "id", 5, schema)
        assert isinstance(message, Message)
        items.add(message)
    puts = json.loads(f"[{items.text(range(len(items)))}]")
    keys = [
        canonical_key((schema.types[name], put["PutRequest"]["Item"][name][schema.types[name]]) for name in schema.keys)
        for put in puts
    ]
    assert all(wire_key(key, schema).keys() == set(schema.keys) for key in keys)
    return list(zip(keys, (put["PutRequest"]["Item"] for put in puts), strict=True))


def others_at_work() -> int:
    """The depth of a queue in which other files never cease to come and go."""
    return random.randrange(1, 1_000)


@pytest.mark.parametrize(("schema", "data"), [(USERS, USERS_CSV), (PRODUCTS, PRODUCTS_CSV)], ids=["users", "products"])
def test_file_whose_rows_are_all_there_waits_for_nobody(schema: Schema, data: bytes) -> None:
    stack = FakeStack(schema, data, lambda row: 3 + row % 5, depth=lambda: 7)
    outcome, seconds, _ = stack.follow()
    assert outcome.complete
    assert outcome.is_certain
    assert (outcome.written, outcome.missing) == (ROWS, 0)
    assert seconds < 12
    assert stack.reads < 2 * ROWS


def test_rejects_of_producer_and_worker_are_counted_once() -> None:
    gone = {5, 600, 601, 1_200}
    stack = FakeStack(USERS, USERS_CSV, lambda row: None if row in gone else 1.0, depth=others_at_work)
    rejects = [Reject(row, None, "too large", "r") for row in sorted(gone)]
    stack.reject_log = {"message-1.csv": rejects, "span-0.csv": [rejects[1]]}
    outcome, seconds, _ = stack.follow()
    assert outcome.complete
    assert (outcome.written, outcome.rejected) == (ROWS - 4, 4)
    assert [(reason.text, reason.rows) for reason in outcome.reasons] == [("too large", 4)]
    assert seconds < 30


def test_messages_of_others_do_not_keep_a_file_waiting_without_end() -> None:
    stack = FakeStack(USERS, USERS_CSV, lambda row: 2.0 if row < 1_000 else None, depth=others_at_work)
    outcome, seconds, _ = stack.follow()
    assert not outcome.complete
    assert (outcome.written, outcome.missing, outcome.said) == (999, 201, SENT)
    assert AWS.patience < seconds < AWS.patience + 60
    assert (outcome.dead_letters, outcome.failed_files) == (4, 5)
    assert outcome.errors


def test_empty_queue_after_the_producer_is_done_ends_it_sooner() -> None:
    stack = FakeStack(USERS, USERS_CSV, lambda row: None)
    outcome, seconds, _ = stack.follow()
    assert outcome.missing == ROWS
    assert AWS.believed < seconds < AWS.believed + 30


@pytest.mark.parametrize("status", ["failed", "skipped", "superseded", "gone"])
def test_producer_that_gave_up_ends_it_at_once(status: str) -> None:
    said = Said(status, "the reason", 1)
    stack = FakeStack(USERS, USERS_CSV, lambda row: 1.0 if row <= 100 else None, depth=others_at_work, said=said)
    outcome, seconds, _ = stack.follow()
    assert outcome.has_ended
    assert (outcome.written, outcome.said) == (100, said)
    assert seconds < 15


def test_passing_fault_of_the_producer_is_waited_out() -> None:
    said = Said("error", "SQS does not answer", 0)
    stack = FakeStack(USERS, USERS_CSV, lambda row: 130.0, said=said)
    outcome, seconds, _ = stack.follow()
    assert outcome.complete
    assert seconds < 140
    assert stack.log_reads < 30


def test_slow_table_is_followed_to_its_end() -> None:
    stack = FakeStack(USERS, USERS_CSV, lambda row: 2.0 * row, depth=lambda: 1)
    outcome, seconds, snapshots = stack.follow()
    assert outcome.complete
    assert seconds < 2.0 * ROWS + 10
    assert max(snapshot.quiet for snapshot in snapshots) < 20
    assert stack.reads < 10 * ROWS


def test_rows_beyond_the_window_count_before_anything_is_given_up() -> None:
    rows = 20_500
    data = b"name,mail\n" + b"".join(b"N,u%d@x.org\n" % n for n in range(1, rows + 1))
    # The first 20,000 rows, which fill the window, come only after patience has run out for the first time.
    late = AWS.patience + 100

    class Late(FakeStack):
        async def items(self, keys: list[Key]) -> list[dict[str, Any]]:
            there = [(mail, at) for mail, at in keys if now() >= (late if int(mail[1:-6]) <= 20_000 else 200)]
            return [{"email": {"S": mail}, "createdAt": {"N": at}} for mail, at in there]

    stack = Late(USERS, b"name,mail\n", lambda row: None, depth=lambda: 50)
    stack.data = data
    outcome, seconds, _ = stack.follow(rows)
    assert outcome.complete
    assert late < seconds < late + 60


WITHOUT_VERSION = schema_of('[key]\npartition = "id"\n[columns.id]\naliases = ["article"]\nrequired = true\n')


def test_items_that_show_no_object_need_the_producers_word_and_an_empty_queue() -> None:
    stack = FakeStack(WITHOUT_VERSION, PRODUCTS_CSV, lambda row: 0.0, depth=lambda: int(now() < 20))
    outcome, seconds, _ = stack.follow()
    assert outcome.complete
    assert not outcome.is_certain
    assert 20 <= seconds < 30


def test_items_that_show_no_object_prove_nothing_while_messages_are_left() -> None:
    stack = FakeStack(WITHOUT_VERSION, PRODUCTS_CSV, lambda row: 0.0, depth=others_at_work)
    outcome, seconds, _ = stack.follow()
    assert outcome.missing == 0
    assert not outcome.complete
    assert seconds < AWS.patience + 30


def test_rows_that_replace_one_another_are_all_found_and_counted() -> None:
    data = PRODUCTS_CSV + b"A7,2\nA7,3\nA9,2\n"
    outcome, _, _ = FakeStack(PRODUCTS, data, lambda row: 0.0).follow(ROWS + 3)
    assert (outcome.written, outcome.complete) == (ROWS + 3, True)
    assert (outcome.replaced, outcome.replaced_is_exact) == (3, True)
    assert FakeStack(USERS, USERS_CSV, lambda row: 0.0).follow()[0].replaced == 0


def test_columns_that_file_or_schema_lack_are_told() -> None:
    data = PRODUCTS_CSV.replace(b"article,price", b"article,preis,price", 1).replace(b",1\n", b",1,1\n")
    outcome, _, _ = FakeStack(USERS, USERS_CSV, lambda row: 0.0).follow()
    assert (outcome.ignored, outcome.absent) == ((), ("phone",))
    outcome, _, _ = FakeStack(PRODUCTS, data, lambda row: 0.0).follow()
    assert outcome.ignored == ()  # unknown columns are stored there
    assert "stock" in outcome.absent


def test_newer_object_that_replaced_the_rows_leaves_none_missing() -> None:
    newer = SOURCE._replace(modified=SOURCE.modified + 10)
    others = dict(items_of(PRODUCTS_CSV, PRODUCTS, newer))

    class Replaced(FakeStack):
        async def items(self, keys: list[Key]) -> list[dict[str, Any]]:
            return [others[key] for key in keys]

    assert Replaced(PRODUCTS, PRODUCTS_CSV, lambda row: 0.0).follow()[0].complete
