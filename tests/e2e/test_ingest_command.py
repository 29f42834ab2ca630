"""`millpond ingest` counts the rows of its own file, exactly, whatever else goes on in the stack."""

import asyncio
import io
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.cli.demo import run_demo
from engine.cli.display import Display
from engine.cli.ingest import Place, run_ingest
from engine.deployment import clients
from tests.e2e.conftest import LocalStack


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that the command asks AWS for."""
    seen: list[str] = []
    original = clients.client

    class Spy:
        def __init__(self, opened: Any) -> None:
            self._opened = opened

        async def __aenter__(self) -> Any:
            client = await self._opened.__aenter__()
            client.meta.events.register("before-call", lambda model, **_: seen.append(model.name))
            return client

        async def __aexit__(self, *error: Any) -> Any:
            return await self._opened.__aexit__(*error)

    monkeypatch.setattr(clients, "client", lambda *args, **more: Spy(original(*args, **more)))
    return seen


def csv_file(folder: Path, rows: int, domain: str, *, bad: int = 0) -> Path:
    path = folder / f"{domain}.csv"
    lines = [f"N{n},u{n}@{domain}\n" for n in range(rows)] + [f",x{n}@{domain}\n" for n in range(bad)]
    path.write_text("name,mail\n" + "".join(lines))
    return path


def ingest(stack: LocalStack, source: str | Path, timeout: float = 20) -> tuple[int, str]:
    output = io.StringIO()
    place = Place(stack.outputs.name, stack.endpoint_url, None, timeout)
    code = run_ingest(Display(Console(file=output, width=200)), str(source), place)
    return code, output.getvalue()


def domain() -> str:
    return f"{uuid.uuid4().hex[:8]}.example"


def test_rows_and_rejects_of_a_file(local_stack: LocalStack, tmp_path: Path, asked: list[str]) -> None:
    code, shown = ingest(local_stack, csv_file(tmp_path, 1_100, domain(), bad=3))
    assert code == 0, shown
    assert "1,100 rows in table" in shown
    assert "Scan" not in asked
    assert asked.count("BatchGetItem") < 100


def test_files_of_the_same_second_are_counted_apart(local_stack: LocalStack, tmp_path: Path) -> None:
    async def all_at_once() -> list[tuple[int, str]]:
        files = [csv_file(tmp_path, 300, domain()) for _ in range(3)]
        return await asyncio.gather(*(asyncio.to_thread(ingest, local_stack, path) for path in files))

    for code, shown in asyncio.run(all_at_once()):
        assert code == 0, shown
        assert "300 rows in table" in shown


def test_poison_message_of_somebody_else_delays_nothing(local_stack: LocalStack, tmp_path: Path) -> None:
    async def send() -> None:
        async with local_stack.client("sqs") as sqs:
            await sqs.send_message(QueueUrl=local_stack.outputs.queue_url, MessageBody="no message of ours")

    asyncio.run(send())
    code, shown = ingest(local_stack, csv_file(tmp_path, 50, domain()))
    assert code == 0, shown


def test_rows_that_the_table_refuses_are_among_the_rejects(local_stack: LocalStack, tmp_path: Path) -> None:
    path = csv_file(tmp_path, 20, own := domain())
    path.write_text(path.read_text() + f"{'x' * 420_000},long@{own}\n")

    async def larger_messages() -> None:
        async with local_stack.client("lambda") as functions:
            name = local_stack.outputs.producer
            variables = (await functions.get_function_configuration(FunctionName=name))["Environment"]["Variables"]
            await functions.update_function_configuration(
                FunctionName=name, Environment={"Variables": {**variables, "MAX_MESSAGE_BYTES": "1000000"}}
            )

    asyncio.run(larger_messages())
    code, shown = ingest(local_stack, path)
    assert code == 0, shown
    assert "Item size" in shown


def test_object_in_s3_is_read_once_more_and_counted(local_stack: LocalStack, tmp_path: Path) -> None:
    path = csv_file(tmp_path, 40, domain())
    assert ingest(local_stack, path)[0] == 0
    code, shown = ingest(local_stack, f"s3://{local_stack.outputs.bucket}/uploads/{path.name}")
    assert code == 0, shown
    assert "40 rows in table" in shown


def test_rows_that_never_come_are_said_to_be_missing(local_stack: LocalStack, tmp_path: Path) -> None:
    async def without_worker(enabled: bool) -> None:
        async with local_stack.client("lambda") as functions:
            (source,) = (await functions.list_event_source_mappings(FunctionName=local_stack.outputs.worker))[
                "EventSourceMappings"
            ]
            await functions.update_event_source_mapping(UUID=source["UUID"], Enabled=enabled)

    asyncio.run(without_worker(False))
    try:
        code, shown = ingest(local_stack, csv_file(tmp_path, 30, domain()), timeout=4)
    finally:
        asyncio.run(without_worker(True))
    assert code == 1
    assert "of 30 rows 0 in the table, 0 rejected, 30 missing" in shown
    assert "The producer has sent all rows, in 1 message." in shown
    assert "In the record queue: 1 message, of this file or of others." in shown
    assert f"ingest s3://{local_stack.outputs.bucket}/uploads/" in shown
    assert json.dumps("u1@") not in shown


def test_demo_on_a_deployed_stack_accounts_for_every_row(local_stack: LocalStack) -> None:
    output = io.StringIO()
    display = Display(Console(file=output, width=200))
    stack = local_stack.outputs.name
    code = run_demo(display, rows=700, seed=3, endpoint_url=local_stack.endpoint_url, stack_name=stack, region=None)
    assert code == 0, output.getvalue()
    assert "every row is accounted for" in output.getvalue()
