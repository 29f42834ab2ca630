"""`millpond status` and `millpond watch` on a ledger in memory."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rich.console import Console

from engine.accounts import Account, attribute
from engine.cli import status, watch
from engine.cli.account import Target
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.ledger import LedgerView, open_ledger
from engine.cli.queues import Queues
from engine.cli.standing import exit_code, whereabouts
from engine.deployment.stack import Stack

TARGET = Target("millpond", "us-east-1", "http://127.0.0.1:1", poll_seconds=0.001)
STARTED = 1_775_260_800_000


def item(part: str, **facts: Any) -> dict[str, Any]:
    return {"part": {"S": part}, **{name: attribute(value) for name, value in facts.items()}}


def account(ingestion: str, key: str, *, changed: int = STARTED, **facts: Any) -> Account:
    account = Account()
    entry = {"ingestion": ingestion, "bucket": "b", "key": key, "started": STARTED, "changed": changed, "spans": 1}
    account.add(item("entry", **entry, **facts))
    return account


def done(ingestion: str, key: str, *, rejected: int = 0) -> Account:
    of = {"read": 10 + rejected, "written": 10, "rejected": rejected, "superseded": 0}
    return account(ingestion, key, status="done_with_rejects" if rejected else "done", ended=STARTED + 2_000, **of)


def stuck(ingestion: str, key: str) -> Account:
    found = account(ingestion, key)
    about = '{"found":{"encoding":"utf-8"},"rejectReasons":{"name is empty":2},"ignoredColumns":[],"absentColumns":[]}'
    facts = {"read": 12, "rejected": 2, "messages": 1, "ended": True, "about": about, "status": "", "reason": ""}
    found.add(item("span 000000000000000", **facts, changed=STARTED))
    return found


class Ledger(LedgerView):
    """A ledger that holds these accounts, the newest first."""

    def __init__(self, accounts: list[Account]) -> None:
        super().__init__(None, "ledger", None, None, 1_000)  # type: ignore[arg-type]
        self.held = accounts
        self.looks = 0

    async def account(self, ingestion: str) -> Account | None:
        return next((each for each in self.held if each.entry["ingestion"] == ingestion), None)

    async def accounts(self, ingestions: Sequence[str]) -> list[Account]:
        return [each for each in self.held if each.entry["ingestion"] in ingestions]

    async def newest(self) -> AsyncIterator[Account]:
        for each in self.held:
            yield each

    async def ids(self) -> AsyncIterator[str]:
        self.looks += 1
        for each in self.held:
            yield each.entry["ingestion"]

    async def queues(self) -> Queues:
        return Queues(0, 3, 0)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    held = Ledger([stuck("i3", "uploads/c.csv"), done("i2", "uploads/b.csv", rejected=3), done("i1", "uploads/a.csv")])

    @asynccontextmanager
    async def opened(*_: Any, **__: Any) -> AsyncIterator[Ledger]:
        yield held

    class Found:
        name = "millpond"

    async def find(*_: Any, **__: Any) -> Found:
        return Found()

    for module in (status, watch):
        monkeypatch.setattr(module, "open_ledger", opened)
        monkeypatch.setattr(module.stacks, "find", find)
        monkeypatch.setattr(module, "missing_access", lambda _: [])
    return held


def show(name: str | None = None, limit: int = 20, width: int = 200) -> tuple[int, str]:
    file = io.StringIO()
    code = status.run_status(Display(Console(file=file, width=width)), TARGET, name, limit=limit, as_json=False)
    return code, file.getvalue()


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        (["done"], 0),
        (["done", "done_with_rejects"], 3),
        *([(["done_with_rejects", each], 1) for each in ("stuck", "failed", "superseded", "skipped", "reading")]),
    ],
)
def test_exit_code_is_that_of_the_worst(statuses: list[str], code: int) -> None:
    assert exit_code({"status": each} for each in statuses) == code


def test_where_rows_are_stuck() -> None:
    assert [text.partition(":")[0] for text in whereabouts(Queues(1, 2, 3))] == [
        "In the dead-letter queue", "In the failure queue", "In the record queue"
    ]  # fmt: skip
    assert "3 messages" in whereabouts(Queues(3, 0, 0))[0]
    assert whereabouts(Queues(0, 0, 0)) == [
        "There is no message in any queue: ingest the file again, which writes the same items."
    ]


@pytest.mark.usefixtures("ledger")
def test_list_shows_newest_first_and_where_rows_are_stuck() -> None:
    code, shown = show()
    assert code == 0
    assert shown.index("c.csv") < shown.index("b.csv") < shown.index("a.csv")
    assert "In the dead-letter queue: 3 messages" in shown
    assert "i2" in shown
    assert show(limit=1)[1].count(".csv") == 1


@pytest.mark.usefixtures("ledger")
def test_list_keeps_its_numbers_on_a_narrow_terminal() -> None:
    lines = show(width=80)[1].splitlines()
    (line,) = [line for line in lines if "done_with_rejects" in line]
    assert line.split()[-4:] == ["13", "10", "3", "0"]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("name", "code"), [("i1", 0), ("uploads/b.csv", 3), ("b.csv", 3), ("s3://b/uploads/c.csv", 1), ("i3", 1)]
)
def test_one_ingestion_sets_the_exit_code(name: str, code: int) -> None:
    assert show(name)[0] == code


@pytest.mark.usefixtures("ledger")
def test_one_ingestion_in_detail() -> None:
    shown = show("c.csv")[1]
    assert "12 read = 0 written + 2 rejected + 10 in flight" in shown
    assert "Stuck: 10 rows in flight, no change since 2026-04-04T00:00:00.000Z" in shown
    assert "encoding utf-8" in shown
    assert "name is empty" in shown
    assert "In the dead-letter queue: 3 messages" in shown


@pytest.mark.usefixtures("ledger")
def test_unknown_ingestion_is_a_mistake() -> None:
    with pytest.raises(CliError, match="knows no ingestion nope"):
        show("nope")


@pytest.mark.usefixtures("ledger")
def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = Display(Console(file=io.StringIO()))
    assert status.run_status(quiet, TARGET, None, limit=20, as_json=True) == 0
    documents = json.loads(capsys.readouterr().out)
    assert [each["ingestion"] for each in documents] == ["i3", "i2", "i1"]
    assert documents[0]["queues"] == {"recordQueue": 0, "deadLetterQueue": 3, "failureQueue": 0}
    assert (documents[0]["status"], documents[0]["inFlight"], documents[2]["queues"]) == ("stuck", 10, None)
    assert status.run_status(quiet, TARGET, "i2", limit=20, as_json=True) == 3
    assert json.loads(capsys.readouterr().out)["rejected"] == 3


def look(name: str | None = None, *, as_json: bool = False) -> tuple[int, str]:
    file = io.StringIO()
    code = watch.run_watch(Display(Console(file=file, width=200)), TARGET, name, as_json=as_json)
    return code, file.getvalue()


class Running(Ledger):
    """A ledger whose newest ingestion ends at the third look."""

    async def ids(self) -> AsyncIterator[str]:
        if self.looks == 2:
            self.held[0] = done("i9", "uploads/r.csv", rejected=1)
        async for each in super().ids():
            yield each

    def document(self, account: Account) -> dict[str, Any]:
        return account.document(STARTED, 1_000)  # nothing is stuck yet


@pytest.fixture
def running(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Running:
    found = Running([stuck("i9", "uploads/r.csv"), done("i1", "uploads/a.csv")])

    @asynccontextmanager
    async def opened(*_: Any, **__: Any) -> AsyncIterator[Ledger]:
        yield found

    monkeypatch.setattr(watch, "open_ledger", opened)
    return found


def test_watch_ends_when_nothing_runs(running: Running) -> None:
    code, shown = look()
    assert (code, running.looks) == (3, 3)
    assert "… r.csv · 2 of 12 rows · 2 rejected · writing" in shown
    assert "… r.csv · 11 of 11 rows · 1 rejected · done_with_rejects" in shown
    assert "a.csv" not in shown


@pytest.mark.usefixtures("running")
def test_watch_prints_a_line_of_json_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert look(as_json=True)[0] == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == ["writing", "done_with_rejects"]


@pytest.mark.usefixtures("ledger")
def test_watch_says_when_nothing_runs() -> None:
    assert look() == (0, "\n  Ingestions of millpond\n\n  Nothing is running.\n\n")
    assert look("i1")[0] == 0


def test_bars_reach_their_end_and_forget_what_is_gone() -> None:
    file = io.StringIO()
    display = Display(Console(file=file, width=100, force_terminal=True, color_system=None))
    account = stuck("i9", "uploads/[red]r.csv").document(STARTED, 1_000)
    with display.bars() as show_bars:
        show_bars([account])
        show_bars([done("i8", "uploads/s.csv").document(STARTED, 1_000)])
    shown = file.getvalue()
    assert "[red]r.csv · 2 of 12 rows · 2 rejected · writing" in shown
    assert shown.rindex("s.csv · 10 of 10 rows · done") > shown.rindex("r.csv · ")


def test_stack_without_a_ledger_is_to_be_deployed_again() -> None:
    old = Stack("s", "b", "rejects/", "q", "dlq", "fq", "t", "p", "w", "q", "a", "u", "uploads/", "b")

    async def opened() -> None:
        async with open_ledger(old, endpoint_url=None, region=None):
            pass

    with pytest.raises(CliError, match="Stack s was deployed by a version without a ledger: deploy it again"):
        asyncio.run(opened())
