"""The ledger through the query function."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from engine.accounts import Account, SpanCounts, attribute, listing_key, span_part_key
from engine.aws.ledger_list import LedgerList
from engine.flow.backoff import NEVER, Deadline
from engine.handlers import query
from engine.http_events import HttpRequest
from engine.jobs.answer import Query, answer
from engine.tallies import Counts, Node
from tests.builders.invocations import Context, Json, api_event
from tests.builders.samples import USERS
from tests.fakeaws.dynamodb import Table
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import Garbage, Silent, always
from tests.fakeaws.virtual_time import now, run

NOW = int(time.time() * 1000)
MONTH = 31 * 24 * 3_600_000


class Held:
    """A ledger that a test fills."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, ingestion: str, part: str, **facts: Any) -> None:
        item = {name: attribute(value) for name, value in {"ingestion": ingestion, "part": part, **facts}.items()}
        self._table.items[self._table.key_of(item)] = item

    def enter(
        self,
        number: int,
        *,
        ago: int = 0,
        status: str = "done",
        key: str = "uploads/a.csv",
        opened: Json | None = None,
    ) -> str:
        """Enter an ingestion that began `ago` ms ago; return its id."""
        ingestion = f"{number:020x}"
        month, listed = listing_key(NOW - ago, ingestion)
        times = {"started": NOW - ago, "changed": NOW - ago, "month": month, "listed": listed}
        ended = {"ended": NOW - ago, "status": status, "read": 5, "written": 5} if status else {}
        self.put(ingestion, "entry", **{"bucket": "b", "key": key, "spans": 1, **times, **ended, **(opened or {})})
        return ingestion


@pytest.fixture
def ledger(env: pytest.MonkeyPatch, fault_server: FaultServer) -> Held:
    env.setenv("LEDGER_TABLE", "ledger")
    env.setenv("STUCK_SECONDS", "3600")
    table = Table({"ingestion": "S", "part": "S"}, indexes={"by-time": {"month": "S", "listed": "S"}})
    fault_server.tables["ledger"] = table
    return Held(table)


def get(path: str, seconds: float = 20.0, /, **parameters: str) -> tuple[int, Json]:
    response = query.handler(api_event(path, **parameters), Context(seconds))
    return response["statusCode"], json.loads(response["body"])


def listed(**parameters: str) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    while True:
        status, page = get("/ingestions", **parameters)
        assert status == 200
        assert page["count"] == len(page["items"]) <= int(parameters.get("limit", "10"))
        found += [each["ingestion"] for each in page["items"]]
        if page["nextToken"] is None:
            return found
        parameters["nextToken"] = page["nextToken"]


@pytest.mark.parametrize("limit", ["1", "2", "16", "17", "1000"])
def test_pages_lead_through_all_months(ledger: Held, limit: str) -> None:
    ids = [ledger.enter(number, ago=number * MONTH // 5) for number in range(40)]
    assert listed(limit=limit) == ids


def test_filters(ledger: Held) -> None:
    ids = [
        ledger.enter(
            number, ago=number, status="failed" if number % 7 == 0 else "done", key=f"uploads/{number:02d}.csv"
        )
        for number in range(40)
    ]
    assert listed(status="failed", limit="2") == ids[::7]
    assert listed(prefix="uploads/1", limit="4") == ids[10:20]
    assert listed(prefix="nothing") == []


def test_one_ingestion_in_flight_and_stuck(ledger: Held) -> None:
    for ago, status in ((0, "writing"), (7_200_000, "stuck")):
        ingestion = ledger.enter(ago, ago=ago, status="")
        facts = SpanCounts(read=20, rejected=1, messages=2, ended=True).facts
        ledger.put(ingestion, "span 000000000000000", changed=NOW - ago, **facts)
        ledger.put(ingestion, "tally 000000000000000 0 0000000000", changed=NOW - ago, c0=Counts(7).text, expected=2)
        code, document = get(f"/ingestions/{ingestion}")
        assert code == 200
        assert (document["status"], document["read"], document["written"], document["inFlight"]) == (status, 20, 7, 12)
    assert listed(status="stuck") == [f"{7_200_000:020x}"]


def enter_whole(ledger: Held, number: int, *, spans: int = 1, run: int = 0, status: str = "done") -> str:
    """Enter an ingestion of an object that was read, with spans and a tally."""
    opened = {"modified": 5, **({"spans": spans} if spans > 1 else {}), **({"run": run} if run else {})}
    ingestion = ledger.enter(number, ago=number, status=status, opened=opened)
    for start in range(spans):
        facts = SpanCounts(read=5, rejected=0, messages=1, ended=True, reasons={"no mail": 1}).facts
        ledger.put(ingestion, span_part_key(start, run), changed=NOW - number, **facts)
    ledger.put(ingestion, Node(0, 0, 0, run).part, changed=NOW - number, c0=Counts(3).text, expected=1)
    return ingestion


@pytest.mark.parametrize(("limit", "most"), [("10", 2), ("40", 2), ("100", 5)])
def test_list_of_ended_ingestions_reads_many_with_a_call(
    ledger: Held, fault_server: FaultServer, limit: str, most: int
) -> None:
    for number in range(100):
        enter_whole(ledger, number)
    before = len(fault_server.calls)
    assert get("/ingestions", limit=limit, status="done")[1]["count"] == int(limit)
    calls = [call.operation for call in fault_server.calls[before:]]
    # The end of the list is known only after 13 months without any.
    assert len(calls) <= most + (13 if limit == "100" else 0)
    assert calls.count("BatchGetItem") == (2 if limit == "100" else 1)


def test_list_has_what_each_ingestion_is_told_to_be(ledger: Held, fault_server: FaultServer) -> None:
    ids = [
        enter_whole(ledger, 0),
        enter_whole(ledger, 1, spans=3),
        enter_whole(ledger, 2, run=2),
        enter_whole(ledger, 3, status=""),
        ledger.enter(4, ago=4, status="skipped"),
    ]
    whole = [get(f"/ingestions/{ingestion}")[1] for ingestion in ids]
    assert [each["rejectReasons"] for each in whole[:3]] == [{"no mail": 1}, {"no mail": 3}, {"no mail": 1}]
    assert whole[3]["written"] == 3
    listed = get("/ingestions")[1]["items"]
    assert [{**each, "rowsPerSecond": 0} for each in listed] == [{**each, "rowsPerSecond": 0} for each in whole]
    # What DynamoDB leaves out of an answer is read by itself.
    fault_server.plan = lambda call: Garbage(200, b'{"Responses":{}}') if call.operation == "BatchGetItem" else None
    assert [each["ingestion"] for each in get("/ingestions")[1]["items"]] == ids


def test_unknown_ingestion_is_404(ledger: Held) -> None:
    assert get(f"/ingestions/{'0' * 20}") == (404, {"error": "no such ingestion"})


def test_entry_that_has_just_expired_is_left_out(ledger: Held, fault_server: FaultServer) -> None:
    kept = ledger.enter(1)
    table = fault_server.tables["ledger"]
    ledger.enter(2, ago=5)
    entry = next(item for key, item in table.items.items() if key[0] == f"{2:020x}")
    entry["part"] = {"S": "other"}  # in the index still, but not an entry any more
    assert listed() == [kept]


def test_without_a_ledger_there_is_no_such_route(env: pytest.MonkeyPatch) -> None:
    status, document = get("/ingestions")
    assert (status, document["error"]) == (404, "no such route; there are /users and /users/{key}")


def test_silent_ledger_is_500_before_the_timeout(ledger: Held, fault_server: FaultServer) -> None:
    fault_server.plan = always(Silent())
    assert get("/ingestions", 1.0)[0] == 500
    fault_server.plan = []
    assert get("/users")[0] == 200


class SlowLedger(LedgerList):
    """A ledger of 200 ingestions whose every answer takes a second."""

    def __init__(self) -> None:
        super().__init__("ledger", None, None)  # type: ignore[arg-type]
        self.places = [listing_key(NOW - number, f"{number:020x}")[1] for number in range(200)]

    async def listed(
        self, month: str, deadline: Deadline, *, limit: int, after: str | None = None
    ) -> tuple[list[str], bool]:
        await asyncio.sleep(1.0)
        start = self.places.index(after) + 1 if after else 0
        return self.places[start : start + limit], False

    async def shown_all(self, ingestions: Sequence[str], deadline: Deadline) -> list[Account]:
        await asyncio.sleep(1.0)
        return [
            Account(entry={"ingestion": each, "key": "a.csv", "status": "done", "ended": NOW}) for each in ingestions
        ]


def test_list_is_cut_when_time_is_up() -> None:
    ledger = SlowLedger()
    job = Query(USERS, "", None, ledger, 60)  # type: ignore[arg-type]

    async def page(deadline: float, **parameters: str) -> Json:
        request = HttpRequest("GET", ("ingestions",), tuple(parameters.items()))
        found: Json = json.loads(await answer(job, request, NOW // 1000, Deadline(now() + deadline), NEVER))
        return found

    first = run(page(3.0, limit="1000"))
    assert [each["ingestion"] for each in first["items"]] == [f"{number:020x}" for number in range(100)]
    second = run(page(0.0, startKey=first["nextToken"]))
    assert second["items"][0]["ingestion"] == f"{100:020x}"
    # Nothing that is wanted has come, but the next page begins later than this one.
    third = run(page(0.0, startKey=second["nextToken"], status="failed"))
    assert third["items"] == []
    assert third["nextToken"] not in (None, second["nextToken"])
