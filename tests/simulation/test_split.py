"""A huge file in spans, under virtual time: ranges are scanned, spans read at once, and some runs are killed."""

import asyncio
import gzip
import json
from functools import cache
from typing import Any

import pytest

from engine.accounts import Account
from engine.flow.backoff import NEVER, Deadline
from engine.jobs.ingest import produce
from engine.reading.block import Reject
from tests.builders.invocations import Json, event_of
from tests.fakeaws.virtual_time import now, run
from tests.simulation.producers import Stack, csv_of, results

__all__ = ["results"]

SPAN_BYTES = 262_144
SEEDS = 24
"""Of the moments when runs are killed."""


def broken(data: bytes, edge: int) -> bytes:
    """Return a file with a broken record around the edge of a range, whose end can only be known from its beginning."""
    before = data.rindex(b"\nUser", 0, edge - 200) + 1
    after = data.index(b"\nUser", edge + 200) + 1
    plain = b"x,y@x.org,1\n" * ((after - before) // 12)
    return data[:before] + b'x,"stray,1\n' + plain + b'"a"b,y@x.org,1\n' + data[after:]


USUAL = csv_of(14_000)
JSON = b"\n".join(
    b"{}" if row % 97 == 0 else b'{"name":"User %d","mail":"user%d@x.org","phone":"%s"}' % (row, row, b"1" * (row % 90))
    for row in range(1, 16_000)
)
FILES = {"usual": USUAL, "broken": broken(USUAL, 2 * SPAN_BYTES), "json": JSON}
SCANS = {"usual": 7, "broken": 8, "json": 7}


def stack_of(file: str, **settings: Any) -> Stack:
    return Stack(FILES[file], chunk_seconds=0.1, span_bytes=SPAN_BYTES, **settings)


def rows_of(stack: Stack) -> dict[int, list[str]]:
    """Return the rows in all messages by number; messages of one name must be the same."""
    rows: dict[int, list[str]] = {}
    for bodies in stack.messages.values():
        assert all(body == bodies[0] for body in bodies)
        for number, *values in bodies[0]["rows"]:
            assert number not in rows, "a row is in two messages"
            rows[number] = values
    return rows


@cache
def one_run(file: str) -> tuple[dict[int, list[str]], list[Reject], Json]:
    """Read a file in one long run; return its rows, its rejects, and the result."""
    stack = Stack(FILES[file])
    (result,) = run(stack.in_one_run())["objects"]
    return rows_of(stack), stack.rejects, result


def check(stack: Stack, file: str, logged: list[Json]) -> None:
    """Compare with one long run."""
    rows, rejects, whole = one_run(file)
    assert rows_of(stack) == rows
    assert stack.rejects == rejects
    assert not stack.dead.held
    account = run(stack.settle(logged[0]["ingestion"]))
    assert account.entry["status"] == "done_with_rejects"
    assert account.entry["spans"] == len(account.spans) > 2
    assert account.counts() == {
        "read": whole["totalRows"],
        "written": whole["validRows"],
        "rejected": whole["rejectedRows"],
        "superseded": 0,
        "inFlight": 0,
    }
    assert account.document(0, 1)["rejectReasons"] == whole["rejectReasons"]
    assert [event["DetailType"] for event in stack.backend.events] == ["Ingestion Completed"]


@pytest.mark.parametrize("file", FILES)
def test_spans_send_the_rows_of_one_long_run(file: str, results: list[Json]) -> None:
    one_run(file)
    results.clear()
    stack = stack_of(file)
    run(stack.in_many_runs(pollers=4))
    check(stack, file, results)
    assert all(len(bodies) == 1 for bodies in stack.messages.values())
    statuses = [each["status"] for each in results]
    complete = statuses.count("complete")
    assert statuses.count("split") == 1
    # Each range is scanned once, and in the broken file one of them again.
    assert (complete, statuses.count("scanned")) == (7, SCANS[file])


@pytest.mark.parametrize("seed", range(SEEDS))
def test_runs_that_are_killed_at_any_moment_lose_and_change_nothing(seed: int, results: list[Json]) -> None:
    file = list(FILES)[seed % 3]
    one_run(file)
    results.clear()
    stack = stack_of(file, visibility=4.0)
    run(stack.in_many_runs(seed, killed=0.4, pollers=3))
    check(stack, file, [each for each in results if each["ingestion"]])


def test_file_that_cannot_be_split_is_read_by_one_run_at_a_time(results: list[Json]) -> None:
    rows, rejects, _ = one_run("usual")
    results.clear()
    body = gzip.compress(USUAL)
    assert len(body) > SPAN_BYTES
    stack = Stack(body, "uploads/a.csv.gz", chunk_seconds=0.1, span_bytes=SPAN_BYTES)
    run(stack.in_many_runs())
    assert [each["status"] for each in results] == ["complete"]
    assert (rows_of(stack), stack.rejects) == (rows, rejects)


@pytest.mark.parametrize(("header", "reason"), [("name,mail,mail", "mail"), ("a,b,c", "name")])
def test_wrong_header_is_found_before_a_file_is_split(header: str, reason: str, results: list[Json]) -> None:
    stack = Stack(header.encode() + USUAL[USUAL.index(b"\n") :], chunk_seconds=0.1, span_bytes=SPAN_BYTES)
    run(stack.in_many_runs())
    assert [each["status"] for each in results] == ["failed"]
    assert reason in results[0]["reason"]


@pytest.mark.parametrize(("limit", "status"), [("100", "failed"), ("1000", "done_with_rejects"), ("1%", "failed")])
@pytest.mark.parametrize("pollers", [1, 8])
def test_limit_of_rejects_holds_for_all_spans_together(
    limit: str, status: str, pollers: int, results: list[Json]
) -> None:
    """Each of the seven spans has fewer: the file has 142 rejects, 1.03% of its rows."""
    stack = stack_of("usual", max_rejects=limit)
    run(stack.in_many_runs(pollers=pollers))
    account = run(stack.settle(results[0]["ingestion"]))
    assert account.entry["status"] == status
    assert ("MAX_REJECTS" in account.entry["reason"]) == (status == "failed")


def test_spans_after_one_that_failed_are_not_read(results: list[Json]) -> None:
    stack = stack_of("usual", max_rejects="30")
    run(stack.in_many_runs())
    failed = [each for each in results if each["status"] == "failed"]
    assert [each["totalRows"] > 0 for each in failed] == [True, False, False, False, False, False]
    assert run(stack.settle(results[0]["ingestion"])).entry["status"] == "failed"


@pytest.mark.parametrize("seconds", [0.5, 3, 6])
def test_file_that_is_replaced_meanwhile_is_superseded(seconds: float, results: list[Json]) -> None:
    stack = stack_of("usual")

    async def replace() -> None:
        await asyncio.sleep(seconds)
        stack.s3.put("b", stack.key, b"name,mail,phone\n")

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(replace())
            tasks.create_task(stack.in_many_runs())

    run(both())
    assert results[0]["status"] == "split"
    assert results[-1]["status"] == "superseded"
    account = run(stack.settle(results[0]["ingestion"]))
    assert account.entry["status"] == "superseded"
    counts = account.counts()
    assert counts["read"] == counts["written"] + counts["rejected"]


def test_file_that_is_deleted_before_its_spans_are_asked_for_ends(results: list[Json]) -> None:
    """The producer that joins the scans is killed when it has noted how many spans there are, but sent none."""
    stack = stack_of("usual")

    async def work() -> Account:
        ledger = stack.accounting().ledger
        await produce(stack.producer(), stack.notification, NEVER)
        ingestion = results[0]["ingestion"]
        *others, last = stack.spans.receive(10, now())
        for each in others:
            await produce(stack.producer(), event_of(each.lambda_record()), NEVER)
        killed = asyncio.create_task(produce(stack.producer(), event_of(last.lambda_record()), NEVER))
        while "spans" not in (await ledger.account(ingestion, NEVER)).entry:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
        killed.cancel()
        await asyncio.wait([killed])
        assert stack.spans.taken == len(others) + 1
        stack.s3.objects.clear()
        await produce(stack.producer(), event_of(last.lambda_record()), NEVER)
        return await ledger.account(ingestion, NEVER)

    account = run(work())
    assert account.entry.get("status") == "failed"
    assert "no longer exists" in account.entry["reason"]
    assert account.counts()["inFlight"] == 0


def test_too_many_rejects_in_a_span_end_the_ingestion(results: list[Json]) -> None:
    lines = USUAL.split(b"\n")
    bad = b"\n".join([lines[0], *(b",r%d@x.org,1" % row for row in range(40_000))])
    stack = Stack(bad, chunk_seconds=0.1, span_bytes=SPAN_BYTES)
    run(stack.in_many_runs(pollers=2))
    account = run(stack.settle(results[0]["ingestion"]))
    assert account.entry["status"] == "failed"
    assert "MAX_REJECTS" in account.entry["reason"]


def test_scan_that_there_is_no_time_for_is_handed_on(results: list[Json]) -> None:
    stack = stack_of("usual")

    async def work() -> list[str]:
        await produce(stack.producer(), stack.notification, NEVER)
        first, second = stack.spans.receive(2, now())
        event = event_of(first.lambda_record(), second.lambda_record())
        await produce(stack.producer(), event, Deadline(now()), NEVER)
        sent = [message.body for message in stack.spans.messages]
        return [body for body in sent if body == second.body]

    assert len(run(work())) == 2
    assert [each["status"] for each in results] == ["split", "error", "handed on"]


def test_span_that_takes_too_long_is_handed_on(results: list[Json]) -> None:
    one_run("usual")
    results.clear()
    stack = Stack(USUAL, chunk_seconds=0.1, span_bytes=3 * SPAN_BYTES)

    async def work() -> None:
        await produce(stack.producer(), stack.notification, NEVER)
        while stack.spans.held:
            (message,) = stack.spans.receive(1, now())
            is_span = json.loads(message.body)["kind"] == "span"
            read = Deadline(now() + 0.41) if is_span else NEVER
            await produce(stack.producer(), event_of(message.lambda_record()), read, NEVER)
            stack.spans.delete(message.receipt)

    run(work())
    check(stack, "usual", results)
    handed_on = [each["span"] for each in results if each["status"] == "handed on"]
    assert len(set(handed_on)) == 2


def test_event_that_comes_again_loads_the_file_again(results: list[Json]) -> None:
    one_run("usual")
    results.clear()
    stack = stack_of("usual")
    run(stack.in_many_runs(pollers=4))
    run(stack.in_many_runs(pollers=4))
    check(stack, "usual", results)
    assert all(len(bodies) == 2 for bodies in stack.messages.values())


@pytest.mark.parametrize(("chunk_seconds", "count"), [(0.3, 7), (0.45, 1)])
def test_range_that_is_not_scanned_in_time_is_read_by_the_span_before(
    chunk_seconds: float, count: int, results: list[Json]
) -> None:
    one_run("broken")
    results.clear()
    stack = Stack(FILES["broken"], chunk_seconds=chunk_seconds, span_bytes=SPAN_BYTES)
    run(stack.in_many_runs(pollers=4))
    rows, rejects, _ = one_run("broken")
    assert (rows_of(stack), stack.rejects) == (rows, rejects)
    # The second scan, which guesses nothing, may still be in time.
    assert len({span for span, _ in stack.messages}) == count
    account = run(stack.settle(results[0]["ingestion"]))
    assert account.entry["status"] == "done_with_rejects"
