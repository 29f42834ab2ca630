"""`millpond verify`, `rejects` and `undo` on a deployed stack: what they find, and what they leave alone."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from engine.cli.command import main
from engine.config import PACKAGED_SCHEMA
from engine.local.server import LocalServer
from engine.local.stack import deploy_local
from tests.builders.samples import PRODUCTS_TOML
from tests.e2e.conftest import LocalStack
from tests.e2e.table import scan
from tests.e2e.test_ingest_command import change_producer


class Commands:
    """The command line, as a person calls it for one stack."""

    def __init__(self, stack: LocalStack, capsys: pytest.CaptureFixture[str]) -> None:
        self._stack, self._capsys = stack, capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = main([*words, "--endpoint-url", self._stack.endpoint_url, "--stack", self._stack.outputs.name])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def verify(self, name: str, *options: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code, and the counts that are not 0."""
        code, out, err = self("verify", name, "--json", *options)
        assert out, err
        found = json.loads(out)
        verdicts = ("match", "replaced", "rejected", "undone", "expired", "missing", "different")
        return code, {verdict: found[verdict] for verdict in verdicts if found[verdict]} | {
            name: found[name] for name in ("differentAttributes",) if found[name]
        }


@pytest.fixture
def millpond(local_stack: LocalStack, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(local_stack, capsys)


def csv_file(folder: Path, rows: int, domain: str, *, bad: int = 0, name: str = "N") -> Path:
    path = folder / f"{uuid.uuid4().hex[:8]}.csv"
    lines = [f"{name}{n},u{n}@{domain}\n" for n in range(rows)] + [f",x{n}@{domain}\n" for n in range(bad)]
    path.write_text("name,mail\n" + "".join(lines))
    return path


def ended(millpond: Commands, path: Path) -> None:
    """Ingest a file and wait until the ledger has closed it."""
    source = str(path).replace("s3:/", "s3://")
    code, out, err = millpond("ingest", source)
    assert code in (0, 3), out + err
    end = time.monotonic() + 20
    while "ended" not in ledger_entry(millpond, path):
        assert time.monotonic() < end
        time.sleep(0.2)


def ledger_entry(millpond: Commands, path: Path) -> dict[str, Any]:
    stack = millpond._stack

    async def read() -> dict[str, Any]:
        async with stack.client("dynamodb") as dynamodb:
            page = await dynamodb.scan(TableName=stack.outputs.ledger, ConsistentRead=True)
            (entry,) = [
                item
                for item in page["Items"]
                if item["part"]["S"] == "entry" and item["key"]["S"] == f"uploads/{path.name}" and "opened" not in item
            ]
            return dict(entry)

    return asyncio.run(read())


def items_of(stack: LocalStack, domain: str) -> dict[tuple[str, str], dict[str, Any]]:
    async def read() -> dict[tuple[str, str], dict[str, Any]]:
        async with stack.client("dynamodb") as dynamodb:
            return await scan(dynamodb, stack.outputs.table, domain)

    return asyncio.run(read())


def change_table(stack: LocalStack, operation: str, **arguments: Any) -> None:
    async def change() -> None:
        async with stack.client("dynamodb") as dynamodb:
            await getattr(dynamodb, operation)(TableName=stack.outputs.table, **arguments)

    asyncio.run(change())


def key_of(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ("email", "createdAt")}


def domain() -> str:
    return f"{uuid.uuid4().hex[:8]}.example"


def test_verify_finds_what_is_not_as_written(millpond: Commands, local_stack: LocalStack, tmp_path: Path) -> None:
    path = csv_file(tmp_path, 1_100, own := domain(), bad=3)
    ended(millpond, path)
    code, shown, _ = millpond("verify", path.name)
    assert code == 3
    assert "every row that was compared is in the table, replaced or rejected" in shown
    assert millpond.verify(path.name) == (3, {"match": 1_100, "rejected": 3})
    assert millpond.verify(path.name, "--sample", "100")[0] == 3

    first, second, *_ = sorted(items_of(local_stack, own).values(), key=lambda item: float(item["createdAt"]["N"]))
    change_table(local_stack, "delete_item", Key=key_of(first))
    change_table(local_stack, "put_item", Item={**second, "name": {"S": "Somebody"}})
    found = {"match": 1_098, "rejected": 3, "missing": 1, "different": 1, "differentAttributes": {"name": 1}}
    assert millpond.verify(path.name) == (1, found)
    ingestion = ledger_entry(millpond, path)["ingestion"]["S"]
    code, shown, _ = millpond("verify", ingestion)
    assert code == 1
    assert "Somebody" not in shown
    assert "First missing: row" in shown


def test_object_that_the_producer_refused(millpond: Commands, tmp_path: Path) -> None:
    path = tmp_path / f"{uuid.uuid4().hex[:8]}.csv"
    lenient = tmp_path / "lenient.toml"
    lenient.write_text(PACKAGED_SCHEMA.read_text().replace("[columns.name]\nrequired = true", "[columns.name]"))
    path.write_text("mail\na@x.org\n")
    assert millpond("ingest", str(path), "--schema", str(lenient))[0] == 1
    code, out, _ = millpond("verify", path.name, "--json")
    assert code == 1
    assert "lacks the required column name" in json.loads(out)["fault"]


def test_mistakes_are_one_line(millpond: Commands, local_stack: LocalStack, tmp_path: Path) -> None:
    code, _, err = millpond("verify", "no-such-file.csv")
    assert (code, err.count("\n")) == (2, 1)
    assert "no ingestion no-such-file.csv" in err
    path = csv_file(tmp_path, 3, domain())
    ended(millpond, path)

    async def delete() -> None:
        async with local_stack.client("s3") as s3:
            where = {"Bucket": local_stack.outputs.bucket, "Key": f"uploads/{path.name}"}
            await s3.delete_object(**where, **({"VersionId": version["S"]} if version else {}))

    version = None
    asyncio.run(delete())
    if version := ledger_entry(millpond, path).get("versionId"):
        assert millpond.verify(path.name)[0] == 0  # an older version can still be read
        asyncio.run(delete())
    code, _, err = millpond("verify", path.name)
    assert (code, err.count("\n")) == (2, 1)
    assert "is no longer the object that was ingested" in err


def test_rejects_can_be_corrected_and_loaded(millpond: Commands, local_stack: LocalStack, tmp_path: Path) -> None:
    path = csv_file(tmp_path, 5, own := domain(), bad=2)
    path.write_text(path.read_text() + f"N6,u6@{own}\nN7\n")
    ended(millpond, path)
    code, shown, _ = millpond("rejects", path.name)
    assert code == 0
    assert f"row 6: ,x0@{own}" in shown
    out = tmp_path / f"{uuid.uuid4().hex[:8]}.csv"
    code, shown, err = millpond("rejects", path.name, "--out", str(out), "--json")
    assert code == 0, err
    assert own not in shown
    told = json.loads(shown)
    assert (told["rejected"], told["rowsWritten"], sum(each["rows"] for each in told["reasons"])) == (3, 3, 3)
    assert out.read_text() == f"name,mail\n,x0@{own}\n,x1@{own}\nN7\n"
    assert millpond("rejects", path.name, "--out", str(out))[0] == 2
    assert "corrects" not in ledger_entry(millpond, path)

    corrected = ledger_entry(millpond, path)["ingestion"]["S"]
    marked = tmp_path / f"{path.stem}.corrects-{corrected}.csv"
    code, shown, err = millpond("rejects", path.name, "--out", str(tmp_path))
    assert code == 0, err
    assert marked.read_text() == out.read_text()
    assert f"ingest {marked}" in shown
    assert f"{marked} --corrects" not in shown
    assert millpond("rejects", path.name, "--out", str(tmp_path))[0] == 2

    out.write_text(out.read_text().replace("\n,", "\nX,").replace("N7", f"N7,u7@{own}"))
    ended(millpond, out)
    assert len(items_of(local_stack, own)) == 9
    assert millpond("rejects", out.name, "--json")[0] == 0
    assert millpond.verify(out.name) == (0, {"match": 3})
    assert "corrects" not in ledger_entry(millpond, out)
    marked.write_text(out.read_text())
    ended(millpond, marked)
    assert ledger_entry(millpond, marked)["corrects"] == {"S": corrected}
    assert json.loads(millpond("status", marked.name, "--json")[1])["corrects"] == corrected
    assert corrected in millpond("status", marked.name)[1]


def test_file_under_another_name_corrects_what_is_said(millpond: Commands, tmp_path: Path) -> None:
    path, renamed = csv_file(tmp_path, 3, own := domain(), bad=1), csv_file(tmp_path, 1, own)
    ended(millpond, path)
    assert millpond("ingest", str(renamed), "--corrects", "f" * 20)[0] == 2
    assert millpond("ingest", "s3://bucket/a.csv", "--corrects", path.name)[0] == 2
    code, shown, err = millpond("ingest", str(renamed), "--corrects", path.name)
    assert code == 0, err
    corrected = ledger_entry(millpond, path)["ingestion"]["S"]
    assert ledger_entry(millpond, renamed)["corrects"] == {"S": corrected}
    assert f"It corrects rows of ingestion {corrected}" in shown


def test_row_that_the_table_refused_is_taken_from_the_object(
    millpond: Commands, local_stack: LocalStack, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, 3, own := domain())
    path.write_text(path.read_text() + f" {'x' * 420_000},Long@{own}\n")
    change_producer(local_stack, MAX_MESSAGE_BYTES="1000000")
    ended(millpond, path)
    assert millpond.verify(path.name) == (3, {"match": 3, "rejected": 1})
    out = tmp_path / "long.csv"
    assert millpond("rejects", path.name, "--out", str(out))[0] == 0
    assert out.read_text() == f"name,mail\n {'x' * 420_000},Long@{own}\n"


def test_undo_of_the_middle_one_of_three_files_leaves_the_others(
    millpond: Commands, local_stack: LocalStack, tmp_path: Path
) -> None:
    own = domain()
    first, middle, last = (csv_file(tmp_path, 600, own, name=name) for name in ("A", "B", "C"))
    for path in (first, middle, last):
        ended(millpond, path)
    before = items_of(local_stack, own)
    assert len(before) == 1_800
    code, shown, err = millpond("undo", middle.name, "--yes", "--json")
    assert code == 0, err
    assert json.loads(shown)["deleted"] == 600
    kept = {key: item for key, item in before.items() if not item["name"]["S"].startswith("B")}
    assert items_of(local_stack, own) == kept
    assert millpond.verify(middle.name) == (1, {"undone": 600})
    for path in (first, last):
        assert millpond.verify(path.name) == (0, {"match": 600})

    assert json.loads(millpond("undo", middle.name, "--yes", "--json")[1])["deleted"] == 0
    assert items_of(local_stack, own) == kept
    assert millpond.verify(middle.name) == (1, {"undone": 600})

    ended(millpond, Path(f"s3://{local_stack.outputs.bucket}/uploads/{middle.name}"))
    assert items_of(local_stack, own).keys() == before.keys()
    assert millpond.verify(middle.name) == (0, {"match": 600})


def test_undo_asks_first(
    millpond: Commands, local_stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = csv_file(tmp_path, 5, own := domain(), bad=1)
    ended(millpond, path)
    monkeypatch.setattr("builtins.input", lambda _: "no")
    code, shown, _ = millpond("undo", path.name)
    assert code == 2
    assert "5 items of this ingestion in table" in shown
    assert len(items_of(local_stack, own)) == 5
    monkeypatch.setattr("builtins.input", lambda _: local_stack.outputs.name)
    assert millpond("undo", path.name)[0] == 0
    assert not items_of(local_stack, own)
    assert millpond.verify(path.name) == (1, {"rejected": 1, "undone": 5})


@pytest.fixture(scope="module")
def products(empty_aws: LocalServer) -> LocalStack:
    """A stack whose key does not tell files apart: later rows replace earlier ones."""
    return LocalStack(
        empty_aws, asyncio.run(deploy_local(empty_aws.endpoint_url, name="products", schema=PRODUCTS_TOML))
    )


def test_rows_that_a_later_file_has_replaced(
    products: LocalStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def file(name: str, skus: range) -> Path:
        path = tmp_path / f"{name}.csv"
        path.write_text("article,price\n" + "".join(f"P{n},{n}.50\n" for n in [*skus, skus[0]]))
        return path

    async def table() -> dict[str, Any]:
        async with products.client("dynamodb") as dynamodb:
            return {item["sku"]["S"]: item for item in (await dynamodb.scan(TableName=products.outputs.table))["Items"]}

    millpond = Commands(products, capsys)
    first, middle, last = file("first", range(40)), file("middle", range(20, 60)), file("last", range(50, 70))
    for path in (first, middle, last):
        ended(millpond, path)
        time.sleep(1.1)  # LastModified has whole seconds
    assert millpond.verify(first.name) == (0, {"match": 20, "replaced": 21})
    assert millpond.verify(middle.name) == (0, {"match": 30, "replaced": 11})
    assert millpond.verify(last.name) == (0, {"match": 20, "replaced": 1})

    before = asyncio.run(table())
    text = PRODUCTS_TOML.read_text()
    for name, other, reason in (
        ("other", f"{text}# changed\n", "was read by another schema"),
        ("unproven", text.replace('changed = "version"', "").replace('run = "ingestion"', ""), "neither a version nor"),
    ):
        (tmp_path / f"{name}.toml").write_text(other)
        code, _, err = millpond("undo", middle.name, "--yes", "--schema", str(tmp_path / f"{name}.toml"))
        assert (code, err.count("\n")) == (2, 1)
        assert reason in err
    assert asyncio.run(table()) == before
    code, shown, err = millpond("undo", middle.name, "--yes", "--json")
    assert code == 0, err
    assert json.loads(shown)["deleted"] == 30
    gone = {f"P{n}" for n in range(20, 50)}
    assert asyncio.run(table()) == {sku: item for sku, item in before.items() if sku not in gone}
    assert millpond.verify(middle.name) == (1, {"replaced": 10, "undone": 31})
    assert millpond.verify(last.name) == (0, {"match": 20, "replaced": 1})
