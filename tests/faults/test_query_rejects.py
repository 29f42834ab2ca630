"""Rejects of an ingestion through the query function."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from engine.accounts import Account, attribute
from engine.aws.reject_store import MAX_BYTES, StoredFile
from engine.flow.backoff import NEVER, Deadline
from engine.handlers import query
from engine.identity import ObjectVersion
from engine.jobs.answer_rejects import RejectFolders, rejects_page
from engine.queries import RejectPlace, Rejects, encode_reject_place
from engine.reading.block import Reject
from engine.rejects import RejectFiles, folder_of, span_part
from tests.builders.invocations import Context, Json, api_event
from tests.fakeaws.dynamodb import Table
from tests.fakeaws.fault_objects import S3_DENIED, S3_ERROR, Cut, ObjectFault, ObjectServer, Page
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import Silent
from tests.fakeaws.s3 import MODIFIED
from tests.fakeaws.virtual_time import now, run

SOURCE = ObjectVersion("uploads", "uploads/größe 1+2.csv", "v", "etag", MODIFIED)
OTHER = SOURCE._replace(version="w")
FOLDER = folder_of("rejects/", SOURCE)


@pytest.fixture
def ledger(env: pytest.MonkeyPatch, fault_server: FaultServer) -> Table:
    env.setenv("LEDGER_TABLE", "ledger")
    env.setenv("REJECTS_BUCKET", "rejected")
    table = Table({"ingestion": "S", "part": "S"}, indexes={"by-time": {"month": "S", "listed": "S"}})
    fault_server.tables["ledger"] = table
    for source in (SOURCE, OTHER):
        enter(table, source.ingestion, **source_facts(source))
    return table


def source_facts(source: ObjectVersion) -> dict[str, Any]:
    facts = {"bucket": source.bucket, "key": source.key, "etag": source.etag, "modified": source.modified}
    return {**facts, "versionId": source.version}


def enter(table: Table, ingestion: str, **facts: Any) -> None:
    entry = {"ingestion": ingestion, "part": "entry", "started": MODIFIED * 1000, "status": "done", "ended": 1, **facts}
    item = {name: attribute(value) for name, value in entry.items()}
    table.items[table.key_of(item)] = item


def put(server: ObjectServer, rows: range, source: ObjectVersion = SOURCE, *, each: int = 1, ago: int = 0) -> None:
    """Put reject files of so many rows each."""
    files = RejectFiles(folder_of("rejects/", source), span_part(0))
    for start in range(0, len(rows), each):
        files.add(Reject(row, row * 10, "no mail", f"A,{row}") for row in rows[start : start + each])
        for file in files.flush():
            server.put("rejected", file.key, file.body, modified=MODIFIED - ago)


def get(ingestion: str = SOURCE.ingestion, seconds: float = 20.0, /, **parameters: str) -> tuple[int, Json]:
    response = query.handler(api_event(f"/ingestions/{ingestion}/rejects", **parameters), Context(seconds))
    return response["statusCode"], json.loads(response["body"])


def all_rows(**parameters: str) -> list[int]:
    """The rows of all pages."""
    found: list[int] = []
    while True:
        status, page = get(**parameters)
        assert status == 200
        found += [each["row"] for each in page["items"]]
        if page["nextToken"] is None:
            return found
        parameters["startKey"] = page["nextToken"]


@pytest.mark.parametrize(("each", "limit"), [(1, "1000"), (2, "100"), (50, "30"), (240, "100")])
def test_pages_lead_through_all_files(ledger: Table, object_server: ObjectServer, each: int, limit: str) -> None:
    put(object_server, range(1, 241), each=each)
    put(object_server, range(1, 9), OTHER)
    assert all_rows(limit=limit) == list(range(1, 241))


def test_text_comes_only_where_it_is_asked_for(ledger: Table, object_server: ObjectServer) -> None:
    put(object_server, range(1, 2))
    document = {"row": 1, "offset": 10, "reason": "no mail"}
    assert get() == (200, {"items": [document], "count": 1, "nextToken": None})
    document |= {"text": "A,1", "textCut": False}
    assert get(text="true") == (200, {"items": [document], "count": 1, "nextToken": None})


def test_files_of_an_earlier_run_and_other_files_are_left_out(ledger: Table, object_server: ObjectServer) -> None:
    put(object_server, range(1, 4), each=3, ago=60)
    put(object_server, range(7, 9), each=2)
    object_server.put("rejected", FOLDER + "notes.csv", b"not ours")
    object_server.put("rejected", FOLDER + "span-000000000000000-000000000001-000000000002.csv/x", b"not ours")
    assert all_rows() == [7, 8]


def test_forged_tokens_stay_within_their_ingestion(ledger: Table, object_server: ObjectServer) -> None:
    put(object_server, range(1, 4))
    put(object_server, range(1, 9), OTHER)
    names = [key.rpartition("/")[2] for _, key in object_server.objects]
    for name in (*names, "a-000000000000-000000000000.csv", "z-000000000000-000000000000.csv"):
        for row in (0, 2, 10**12 - 1):
            token = encode_reject_place(SOURCE.ingestion, RejectPlace(name, row))
            status, page = get(startKey=token)
            assert status == 200
            assert {each["row"] for each in page["items"]} <= {1, 2, 3}
            assert get(OTHER.ingestion, startKey=token)[0] == 400
    assert all(request.key in ("", *(key for _, key in object_server.objects)) for request in object_server.requests)
    assert not [request for request in object_server.requests if OTHER.ingestion in request.key]


def test_ingestions_without_rejects(ledger: Table, object_server: ObjectServer) -> None:
    assert get() == (200, {"items": [], "count": 0, "nextToken": None})
    enter(ledger, "1" * 20, bucket="b", key="uploads/a.xlsx", status="skipped")
    assert get("1" * 20) == (200, {"items": [], "count": 0, "nextToken": None})
    assert get("2" * 20) == (404, {"error": "no such ingestion"})


def test_without_a_bucket_of_their_own_rejects_are_in_that_of_the_object(
    ledger: Table, object_server: ObjectServer, env: pytest.MonkeyPatch
) -> None:
    env.delenv("REJECTS_BUCKET")
    file = RejectFiles(FOLDER, "span-0")
    file.add([Reject(1, 0, "no mail", "A")])
    (made,) = file.flush()
    object_server.put("uploads", made.key, made.body)
    assert all_rows() == [1]


@pytest.mark.parametrize("fault", [S3_ERROR, Cut(40), Page(502)])
def test_passing_fault_of_s3_is_not_seen(ledger: Table, object_server: ObjectServer, fault: ObjectFault) -> None:
    put(object_server, range(1, 4), each=3)
    for plan in ([fault], [None, fault]):
        object_server.plan = plan
        assert all_rows() == [1, 2, 3]


def test_denied_and_damaged_files_are_errors(ledger: Table, object_server: ObjectServer) -> None:
    put(object_server, range(1, 4), each=3)
    object_server.plan = lambda _: S3_DENIED
    assert get()[1]["error"] == "internal error"
    object_server.plan = [Page(200)]
    assert get()[1]["error"] == "internal error"
    object_server.put("rejected", FOLDER + "a-000000000001-000000000003.csv", b"not ours")
    object_server.plan = []
    status, document = get()
    assert status == 500
    assert "a-000000000001-000000000003.csv: the file of rejects" in document["error"]
    object_server.plan = lambda _: Silent()
    assert get(SOURCE.ingestion, 1.0)[0] == 500


def test_file_that_is_too_large_is_an_error(ledger: Table, object_server: ObjectServer) -> None:
    object_server.put("rejected", FOLDER + "x-000000000001-000000000002.csv", bytes(MAX_BYTES + 1))
    assert get()[1]["error"] == "internal error"


class SlowReader:
    """Reject files of a row each, for each of which S3 takes a second."""

    async def listed(self, folder: str, after: str, deadline: Deadline) -> tuple[list[StoredFile], bool]:
        names = [f"span-0-{row:012d}-{row:012d}.csv" for row in range(1, 100)]
        return [StoredFile(name, MODIFIED) for name in names if name > after], True

    async def read(self, key: str, deadline: Deadline) -> bytes:
        await asyncio.sleep(1.0)
        row = int(key[-16:-4])
        return f"row,offset,reason,record\r\n{row},0,no mail,\r\n".encode()


def test_page_is_cut_when_time_is_up() -> None:
    folders = RejectFolders("rejects/", None, lambda _: SlowReader())  # type: ignore[arg-type,return-value]
    account = Account(entry={"started": MODIFIED * 1000, **source_facts(SOURCE)})

    async def page(seconds: float, start: RejectPlace | None = None) -> list[bytes]:
        wanted = Rejects(SOURCE.ingestion, 1_000, start, with_text=False)
        found = await rejects_page(folders, account, wanted, 6_000_000, Deadline(now() + seconds), NEVER)
        assert found.cursor
        return found.items

    assert len(run(page(2.5))) == 3
    # However little time there is, a page leads further than the one before.
    (item,) = run(page(0.0, RejectPlace("span-0-000000000003-000000000003.csv", 2)))
    assert json.loads(item)["row"] == 3


def test_other_routes_do_not_open_s3(ledger: Table, object_server: ObjectServer) -> None:
    response = query.handler(api_event(f"/ingestions/{SOURCE.ingestion}"), Context(20.0))
    assert response["statusCode"] == 200
    assert object_server.requests == []
