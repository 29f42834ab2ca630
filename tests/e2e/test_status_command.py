"""`millpond status` and `watch` and the API on what the functions noted of two files."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from engine.cli.command import main
from tests.e2e.conftest import LocalStack
from tests.e2e.http import get


@pytest.fixture(scope="module")
def names(local_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two files that were loaded: one without rejects, then one with two of them."""
    names = [f"{uuid.uuid4().hex[:8]}.csv" for _ in range(2)]
    folder = tmp_path_factory.mktemp("files")
    codes = []
    for name, bad in zip(names, (0, 2), strict=True):
        path = folder / name
        lines = [f"N{n},u{n}@{name}.example\n" for n in range(30)] + [f",x{n}@{name}.example\n" for n in range(bad)]
        path.write_text("name,mail\n" + "".join(lines))
        codes.append(main(["ingest", str(path), "--endpoint-url", local_stack.endpoint_url]))
    assert codes == [0, 3]
    return names


def command(
    local_stack: LocalStack, capsys: pytest.CaptureFixture[str], *arguments: str, as_json: bool = True
) -> tuple[int, Any]:
    code = main([*arguments, *(["--json"] if as_json else []), "--endpoint-url", local_stack.endpoint_url])
    out = capsys.readouterr().out
    return code, json.loads(out) if as_json else out


def test_status_lists_newest_first(
    local_stack: LocalStack, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, documents = command(local_stack, capsys, "status", "--limit", "2")
    assert code == 0
    fields = ("key", "status", "read", "written", "rejected", "superseded", "inFlight", "queues")
    assert [tuple(each[field] for field in fields) for each in documents] == [
        (f"uploads/{names[1]}", "done_with_rejects", 32, 30, 2, 0, 0, None),
        (f"uploads/{names[0]}", "done", 30, 30, 0, 0, 0, None),
    ]
    assert documents[0]["rejectReasons"]
    assert "name is" in next(iter(documents[0]["rejectReasons"]))


def test_status_and_watch_of_one(local_stack: LocalStack, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, document = command(local_stack, capsys, "status", names[1])
    assert (code, document["rejected"]) == (3, 2)
    code, watched = command(local_stack, capsys, "watch", document["ingestion"])
    assert (code, watched["written"], watched["status"]) == (3, 30, "done_with_rejects")
    code, shown = command(local_stack, capsys, "status", names[0], as_json=False)
    assert code == 0
    assert "30 read = 30 written + 0 rejected + 0 in flight" in shown


def test_unknown_one_is_a_mistake(local_stack: LocalStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "nothing.csv", "--endpoint-url", local_stack.endpoint_url]) == 2
    assert "knows no ingestion nothing.csv" in capsys.readouterr().err


def test_watch_ends_when_nothing_runs(
    local_stack: LocalStack, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", "--endpoint-url", local_stack.endpoint_url]) == 0


def test_stuck_rows_are_shown_with_the_queue_they_are_in(
    local_stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of which the functions noted nothing more after its entry: the visibility timeout is 5 s here."""

    async def note() -> None:
        async with local_stack.client("dynamodb") as dynamodb:
            entry = {"ingestion": "stuck-one", "part": "entry", "bucket": "b", "key": "uploads/stuck.csv"}
            times = {"started": 1_000, "changed": 1_000, "spans": 1}
            await dynamodb.put_item(
                TableName=local_stack.outputs.ledger,
                Item={name: {"S": value} for name, value in entry.items()}
                | {name: {"N": str(value)} for name, value in times.items()},
            )

    asyncio.run(note())
    code, document = command(local_stack, capsys, "status", "stuck-one")
    assert (code, document["status"]) == (1, "stuck")
    assert document["queues"].keys() == {"recordQueue", "deadLetterQueue", "failureQueue"}


async def test_api_lists_and_shows_ingestions(local_stack: LocalStack, names: list[str]) -> None:
    status, _, page = await get(local_stack, "/ingestions?limit=1")
    assert (status, page["count"]) == (200, 1)
    assert page["items"][0]["key"] == f"uploads/{names[1]}"
    status, _, rest = await get(local_stack, f"/ingestions?limit=1&nextToken={page['nextToken']}")
    assert rest["items"][0]["key"] == f"uploads/{names[0]}"
    _, _, found = await get(local_stack, f"/ingestions?status=done&prefix=uploads/{names[0]}")
    assert [each["ingestion"] for each in found["items"]] == [rest["items"][0]["ingestion"]]
    status, _, one = await get(local_stack, f"/ingestions/{page['items'][0]['ingestion']}")
    assert (status, one["written"], one["rejected"]) == (200, 30, 2)
    assert (await get(local_stack, "/ingestions/none"))[0] == 404
    assert (await get(local_stack, "/ingestions?nextToken=nonsense"))[0] == 400
