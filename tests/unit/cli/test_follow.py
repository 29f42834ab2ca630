"""When following an object ends, and what it says then. Under virtual time: hours of waiting take milliseconds."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.accounts import iso
from engine.cli.follow import AWS, Outcome, Upload, follow
from engine.cli.queues import Queues
from engine.identity import ObjectVersion
from engine.reading.block import Reject
from tests.builders.samples import SOURCE
from tests.fakeaws.virtual_time import now, run

ROWS = 1_200
BEGAN_AT = 1_775_260_800.0

Json = dict[str, Any]


def document(status: str, written: int, rejected: int = 0, *, ended: float | None = None) -> Json:
    """What the ledger says; `ended`: seconds after the upload, by its clock."""
    return {
        "status": status,
        "read": ROWS,
        "written": written,
        "rejected": rejected,
        "superseded": 0,
        "inFlight": ROWS - written - rejected,
        "changed": f"{status} {written}",
        "ended": None if ended is None else iso(int((BEGAN_AT + ended) * 1000)),
    }


@dataclass
class FakeStack:
    """A stack whose ledger says what `account` returns at so many seconds after the upload."""

    account: Callable[[float], Json | None]
    reject_log: dict[str, list[Reject]] = field(default_factory=dict)
    seconds: float = 0.0
    looks: int = 0

    async def document(self, source: ObjectVersion, since: int) -> Json | None:
        assert (source, since) == (SOURCE, 7)
        self.looks += 1
        await asyncio.sleep(self.seconds)
        return self.account(now())

    async def reject_files(self, source: ObjectVersion, since: int) -> list[str]:
        assert (source, since) == (SOURCE, 7)
        return list(self.reject_log)

    async def rejects(self, key: str) -> list[Reject]:
        return self.reject_log[key]

    async def queues(self) -> Queues:
        return Queues(3, 4, 5)

    async def errors(self, source: ObjectVersion) -> list[str]:
        return [f"errors since {source.modified}"]

    def follow(self) -> tuple[Outcome, float, list[Json]]:
        """Follow the object; return the outcome, the virtual seconds that it took, and all that was reported."""
        reports: list[Json] = []

        async def following() -> tuple[Outcome, float]:
            upload = Upload(SOURCE, now(), BEGAN_AT, 7)
            began = now()
            return await follow(self, upload, ROWS, AWS, lambda each: reports.extend(each)), now() - began

        return (*run(following()), reports)


def test_following_ends_with_the_last_row_and_its_time_is_the_ledgers() -> None:
    stack = FakeStack(lambda at: document("done", ROWS, ended=3.25) if at >= 3.25 else document("writing", int(at)))
    outcome, seconds, reports = stack.follow()
    assert (outcome.complete, outcome.missing, round(outcome.seconds, 3)) == (True, 0, 3.25)
    assert seconds < 5
    assert [each["written"] for each in reports] == [0, 1, 2, 3, ROWS]
    assert (outcome.queues, outcome.errors) == (None, [])


@pytest.mark.parametrize(("ended", "seconds"), [(-500.0, 3.0), (500.0, 4.0)])
def test_time_is_between_two_looks_whatever_the_ledgers_clock_says(ended: float, seconds: float) -> None:
    stack = FakeStack(lambda at: document("done", ROWS, ended=ended) if at >= 3.25 else document("writing", int(at)))
    assert stack.follow()[0].seconds == pytest.approx(seconds)


def test_rejects_are_counted_by_reason() -> None:
    rejects = {"a": [Reject(1, 5, "empty", "x"), Reject(2, 9, "empty", "y")], "b": [Reject(2, 9, "empty", "y")]}
    stack = FakeStack(lambda _: document("done_with_rejects", ROWS - 2, 2, ended=0), rejects)
    outcome, _, _ = stack.follow()
    assert outcome.complete
    assert [(each.text, each.rows, each.first.row) for each in outcome.reasons] == [("empty", 2, 1)]
    assert outcome.reject_keys == ["a", "b"]


def test_rows_that_stay_in_flight_are_missing() -> None:
    outcome, seconds, _ = FakeStack(lambda at: document("writing", min(int(at), 100))).follow()
    assert (outcome.complete, outcome.has_ended, outcome.missing) == (False, False, ROWS - 100)
    assert 400 < seconds < 410
    assert outcome.queues == Queues(3, 4, 5)
    assert outcome.errors == [f"errors since {SOURCE.modified}"]


def test_slow_ingestion_is_followed_for_hours() -> None:
    stack = FakeStack(lambda at: document("done", ROWS, ended=at) if at > 50_000 else document("writing", int(at / 60)))
    outcome, seconds, _ = stack.follow()
    assert outcome.complete
    assert seconds > 50_000


def test_object_that_the_producer_never_reads_is_given_up() -> None:
    stack = FakeStack(lambda _: None)
    outcome, seconds, reports = stack.follow()
    assert (outcome.complete, outcome.document, outcome.missing, reports) == (False, None, ROWS, [])
    assert 300 < seconds < 310
    assert stack.looks < 100


@pytest.mark.parametrize("status", ["failed", "superseded", "skipped"])
def test_object_that_is_not_read_to_its_end_is_not_complete(status: str) -> None:
    outcome, seconds, _ = FakeStack(lambda _: document(status, ROWS, ended=0)).follow()
    assert (outcome.complete, outcome.has_ended, seconds) == (False, True, 0)


def test_other_rows_than_the_file_has_are_not_complete() -> None:
    outcome, _, _ = FakeStack(lambda _: document("done", ROWS - 1, ended=0)).follow()
    assert (outcome.complete, outcome.missing) == (False, 1)


def test_ledger_is_asked_less_often_where_an_answer_takes_long() -> None:
    """The tallies of a hundred million rows are some MB."""
    stack = FakeStack(lambda at: document("done", ROWS, ended=at) if at > 100 else document("writing", int(at)))
    stack.seconds = 0.4
    assert stack.follow()[0].complete
    assert stack.looks < 30
