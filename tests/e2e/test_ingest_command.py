"""`millpond ingest` counts the rows of its own file, exactly, whatever else goes on in the stack."""

import asyncio
import io
import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.cli.demo import run_demo
from engine.cli.display import Display
from engine.cli.ingest import Place, run_ingest
from engine.config import PACKAGED_SCHEMA
from engine.deployment import clients
from engine.deployment.schema_file import SchemaFile
from engine.errors import MillpondError
from tests.e2e.conftest import VISIBILITY_SECONDS, LocalStack


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


def ingest(stack: LocalStack, source: str | Path, timeout: float = 20, schema: Path | None = None) -> tuple[int, str]:
    output = io.StringIO()
    file = None if schema is None else SchemaFile.read(schema)
    place = Place(stack.outputs.name, stack.endpoint_url, None, timeout, file)
    code = run_ingest(Display(Console(file=output, width=200)), str(source), place)
    return code, output.getvalue()


def change_producer(stack: LocalStack, **changes: str) -> None:
    """Change environment variables of the producer."""

    async def change() -> None:
        async with stack.client("lambda") as functions:
            name = stack.outputs.producer
            variables = (await functions.get_function_configuration(FunctionName=name))["Environment"]["Variables"]
            await functions.update_function_configuration(
                FunctionName=name, Environment={"Variables": {**variables, **changes}}
            )

    asyncio.run(change())


@contextmanager
def worker_disabled(stack: LocalStack) -> Iterator[None]:
    """Let no worker take messages while the block runs."""

    async def enable(enabled: bool) -> None:
        async with stack.client("lambda") as functions:
            (source,) = (await functions.list_event_source_mappings(FunctionName=stack.outputs.worker))[
                "EventSourceMappings"
            ]
            await functions.update_event_source_mapping(UUID=source["UUID"], Enabled=enabled)

    asyncio.run(enable(False))
    try:
        yield
    finally:
        asyncio.run(enable(True))


def domain() -> str:
    return f"{uuid.uuid4().hex[:8]}.example"


def test_rows_and_rejects_of_a_file(local_stack: LocalStack, tmp_path: Path, asked: list[str]) -> None:
    code, shown = ingest(local_stack, csv_file(tmp_path, 1_100, domain(), bad=3))
    assert code == 3, shown
    assert "1,100 rows in table" in shown
    assert not {"Scan", "BatchGetItem", "GetItem"} & set(asked)


def test_files_of_the_same_second_are_counted_separately(local_stack: LocalStack, tmp_path: Path) -> None:
    async def all_at_once() -> list[tuple[int, str]]:
        files = [csv_file(tmp_path, 300, domain()) for _ in range(3)]
        return await asyncio.gather(*(asyncio.to_thread(ingest, local_stack, path) for path in files))

    for code, shown in asyncio.run(all_at_once()):
        assert code == 0, shown
        assert "300 rows in table" in shown


def test_foreign_poison_message_delays_nothing(local_stack: LocalStack, tmp_path: Path) -> None:
    async def send() -> None:
        async with local_stack.client("sqs") as sqs:
            await sqs.send_message(QueueUrl=local_stack.outputs.queue_url, MessageBody="no message of ours")

    asyncio.run(send())
    began = time.monotonic()
    code, shown = ingest(local_stack, csv_file(tmp_path, 50, domain()))
    assert code == 0, shown
    assert time.monotonic() - began < 2 * VISIBILITY_SECONDS  # the poison message stays for three times as long


def test_rows_refused_by_the_table_are_rejects(local_stack: LocalStack, tmp_path: Path) -> None:
    path = csv_file(tmp_path, 20, own := domain())
    path.write_text(path.read_text() + f"{'x' * 420_000},long@{own}\n")

    change_producer(local_stack, MAX_MESSAGE_BYTES="1000000")
    code, shown = ingest(local_stack, path)
    assert code == 3, shown
    assert "Item size" in shown


def test_object_in_s3_is_ingested_again_and_counted(local_stack: LocalStack, tmp_path: Path) -> None:
    path = csv_file(tmp_path, 40, domain())
    assert ingest(local_stack, path)[0] == 0
    code, shown = ingest(local_stack, f"s3://{local_stack.outputs.bucket}/uploads/{path.name}")
    assert code == 0, shown
    assert "40 rows in table" in shown


def test_missing_rows_are_reported(local_stack: LocalStack, tmp_path: Path) -> None:
    with worker_disabled(local_stack):
        code, shown = ingest(local_stack, csv_file(tmp_path, 30, domain()), timeout=4)
    assert code == 1
    assert "of 30 rows 0 in the table, 0 rejected, 30 missing" in shown
    assert "The producer has sent all rows." in shown
    assert re.search("In the record queue: [1-9][0-9]* messages?, which no worker has completed", shown)
    assert f"ingest s3://{local_stack.outputs.bucket}/uploads/" in shown
    assert json.dumps("u1@") not in shown


def test_refusal_by_producer_ends_following_at_once(local_stack: LocalStack, tmp_path: Path) -> None:
    # Here the name may be absent; the stack's own schema requires it.
    lenient = tmp_path / "lenient.toml"
    lenient.write_text(PACKAGED_SCHEMA.read_text().replace("[columns.name]\nrequired = true", "[columns.name]"))
    path = tmp_path / f"{domain()}.csv"
    path.write_text("mail\na@b.c\n")
    began = time.monotonic()
    code, shown = ingest(local_stack, path, timeout=60, schema=lenient)
    assert code == 1
    assert "has ended as failed: the header lacks the required column name" in shown
    assert time.monotonic() - began < 20


def test_missing_stack_is_named_with_its_region(local_stack: LocalStack, tmp_path: Path) -> None:
    path = csv_file(tmp_path, 1, domain())
    place = Place(local_stack.outputs.name, local_stack.endpoint_url, "eu-west-1")
    said = re.escape(f"There is no stack named millpond in eu-west-1 at {local_stack.endpoint_url}: give --region, or")
    for source in (str(path), "s3://bucket/x.csv"):
        with pytest.raises(MillpondError, match=said):
            run_ingest(Display(Console(file=io.StringIO())), source, place)


def test_demo_on_a_deployed_stack_accounts_for_every_row(local_stack: LocalStack) -> None:
    output = io.StringIO()
    display = Display(Console(file=output, width=200))
    stack = local_stack.outputs.name
    code = run_demo(display, rows=700, seed=3, endpoint_url=local_stack.endpoint_url, stack_name=stack, region=None)
    assert code == 0, output.getvalue()
    assert "every row is accounted for" in output.getvalue()


def test_rejects_of_an_earlier_ingestion_are_not_counted(local_stack: LocalStack, tmp_path: Path) -> None:
    path = csv_file(tmp_path, 20, own := domain())
    path.write_text(path.read_text() + f"{'x' * 100_000},long@{own}\n")
    address = f"s3://{local_stack.outputs.bucket}/uploads/{path.name}"
    change_producer(local_stack, MAX_MESSAGE_BYTES="60000")
    code, shown = ingest(local_stack, path)
    assert code == 3, shown
    assert "20 rows in table" in shown
    change_producer(local_stack, MAX_MESSAGE_BYTES="1000000")
    time.sleep(1.1)  # LastModified has whole seconds
    with worker_disabled(local_stack):
        code, shown = ingest(local_stack, address, timeout=2)
    assert code == 1
    assert "of 21 rows 0 in the table, 0 rejected, 21 missing" in shown
    code, shown = ingest(local_stack, address)
    assert code == 0, shown
    assert "21 rows in table" in shown
