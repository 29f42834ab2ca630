"""A file that takes longer than an invocation, under virtual time: run after run hands on the rest, some are killed."""

import gzip
from dataclasses import dataclass
from functools import cache

import pytest

from engine.accounts import Account
from engine.flow.backoff import NEVER, Deadline
from engine.jobs.ingest import produce
from engine.reading.block import Reject
from tests.builders.invocations import Json, event_of
from tests.fakeaws.virtual_time import now, run
from tests.simulation.producers import ANSWER, RESERVE, TIMEOUT, Stack, csv_of, results

__all__ = ["results"]

ROWS = 12_000
SEEDS = 50
"""Of the moments when runs are killed."""

CONTENT = csv_of(ROWS)
COUNTS = ("totalRows", "validRows", "rejectedRows", "rejectReasons", "found", "ingestion")


@dataclass
class Long:
    """What one long run of the file left behind."""

    messages: dict[tuple[int, int], list[Json]]
    rejects: list[Reject]
    result: Json


@cache
def one_long_run() -> Long:
    stack = Stack(CONTENT)
    (result,) = run(stack.in_one_run())["objects"]
    messages = stack.messages
    assert [len(each) for each in messages.values()] == [1] * len(messages)
    return Long(messages, stack.rejects, result)


@pytest.fixture
def whole(results: list[Json]) -> Long:
    """The file in one long run, in the environment of `results`."""
    long = one_long_run()
    results.clear()
    return long


def check(stack: Stack, results: list[Json], whole: Long) -> None:
    """Compare with one long run."""
    messages = stack.messages
    assert messages.keys() == whole.messages.keys()
    for number, bodies in messages.items():
        assert all(body == whole.messages[number][0] for body in bodies)
    assert stack.rejects == whole.rejects
    assert not stack.dead.held
    complete = [each for each in results if each["status"] == "complete"]
    assert complete
    for each in complete:
        assert {name: each[name] for name in COUNTS} == {name: whole.result[name] for name in COUNTS}
    account = run(stack.settle(complete[0]["ingestion"]))
    assert account.entry["status"] == "done_with_rejects"
    assert account.counts() == {
        "read": whole.result["totalRows"],
        "written": whole.result["validRows"],
        "rejected": whole.result["rejectedRows"],
        "superseded": 0,
        "inFlight": 0,
    }
    assert [event["DetailType"] for event in stack.backend.events] == ["Ingestion Completed"]


def test_runs_of_three_seconds_send_what_one_long_run_sends(results: list[Json], whole: Long) -> None:
    stack = Stack(CONTENT)
    run(stack.in_many_runs())
    check(stack, results, whole)
    assert [len(bodies) for bodies in stack.messages.values()] == [1] * len(stack.messages)
    assert stack.runs >= 3
    assert [each["status"] for each in results] == ["handed on"] * (stack.runs - 1) + ["complete"]
    assert results[-1]["messagesSent"] == len(stack.messages)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_runs_that_are_killed_at_any_moment_lose_and_change_nothing(
    seed: int, results: list[Json], whole: Long
) -> None:
    stack = Stack(CONTENT)
    run(stack.in_many_runs(seed, killed=0.5))
    check(stack, results, whole)


@pytest.mark.parametrize("seed", range(5))
def test_runs_at_the_same_time_send_the_same(seed: int, results: list[Json], whole: Long) -> None:
    stack = Stack(CONTENT, visibility=1.0)
    run(stack.in_many_runs(seed, killed=0.3, pollers=3))
    check(stack, results, whole)


def test_file_that_no_run_gets_through_fails(results: list[Json]) -> None:
    # What is compressed is read from its beginning each time.
    stack = Stack(gzip.compress(CONTENT), "uploads/a.csv.gz", chunk_seconds=1.5)
    run(stack.in_many_runs())
    assert results[-1]["status"] == "failed"
    assert "invocations in a row did not get beyond row" in results[-1]["reason"]
    assert not stack.spans.held
    assert stack.runs <= 5
    account = run(stack.settle(results[-1]["ingestion"]))
    assert account.entry["status"] == "failed"
    counts = account.counts()
    assert counts["read"] == counts["written"] + counts["rejected"] > 0


def test_rest_that_is_delivered_again_after_the_end_leaves_the_account_closed(results: list[Json], whole: Long) -> None:
    stack = Stack(CONTENT)

    async def twice() -> tuple[Account, Account]:
        end = now() + TIMEOUT
        await produce(stack.producer(), stack.notification, Deadline(end - RESERVE), Deadline(end - ANSWER))
        (rest,) = stack.spans.receive(1, now())
        late = event_of(rest.lambda_record())
        await produce(stack.producer(), late, NEVER)
        closed = await stack.settle(results[-1]["ingestion"])
        await produce(stack.producer(), late, NEVER)
        return closed, await stack.accounting().ledger.account(results[-1]["ingestion"], NEVER)

    closed, after = run(twice())
    assert closed.entry["status"] == after.entry["status"] == "done_with_rejects"
    assert closed.counts() == after.counts()
