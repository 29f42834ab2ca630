"""Files of every dialect, encoding and compression, from the upload to the table, compared value by value."""

from __future__ import annotations

import asyncio
import bz2
import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.local.server import LocalServer
from engine.local.stack import deploy_local
from tests.e2e.conftest import LocalStack
from tests.e2e.table import eventually

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SCHEMA = Path(__file__).parents[1] / "schemas" / "formats.toml"
HEADER = ["id", "name", "amount", "note", "more"]
Row = list[str]

USUAL: list[Row] = [
    ["1", 'Zoë, "Zo"; 5\' | tall\t', "1.50", "", "x"],
    ["2", "two\r\nlines, and\nthree", "-7", " kept ", ""],
    ["3", "it's", "0.10", "C:\\new \\N", "ü"],
]
"""Rows with whatever has to be quoted."""

BARE: list[Row] = [["1", 'Zoë "Zo" 5\' tall', "1.50", "", "x"], ["2", "Smith, J", "-7", " kept ", ""]]
"""Rows for files without quotes, of another delimiter than commas."""

OBJECTS: list[dict[str, Any]] = [
    {"id": 1, "name": 'Zoë "Zo"', "amount": 1.50, "note": None, "more": {"k": [1, None, "é"]}, "yes": True},
    {"id": "2", "name": "two\nlines", "amount": "-7", "big": 12345678901234567890123},
]
OBJECT_ITEMS: list[dict[str, Any]] = [
    {
        "name": {"S": 'Zoë "Zo"'},
        "amount": {"N": "1.5"},
        "more": {"M": {"k": {"L": [{"N": "1"}, {"NULL": True}, {"S": "é"}]}}},
        "yes": {"BOOL": True},
    },
    {"name": {"S": "two\nlines"}, "amount": {"N": "-7"}, "big": {"N": "12345678901234567890123"}},
]
ATTRIBUTES: list[dict[str, Any]] = [
    {"name": {"S": "Zoë"}, "amount": {"N": "1.5"}, "more": {"NS": ["1", "2"]}, "bin": {"B": "AP8="}},
    {"name": {"S": ""}, "note": {"S": "two\nlines"}, "more": {"L": [{"M": {"a": {"NULL": True}}}]}},
]


def two_members(data: bytes) -> bytes:
    """What `cat a.gz b.gz` makes."""
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(data[half:])


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": two_members,
    ".zst": zstd.compress,
    ".bz2": bz2.compress,
}


@dataclass(frozen=True)
class Case:
    """One file: its name, text and codec; the suffix says the compression. `items`: by the row's number."""

    name: str
    text: str
    items: list[dict[str, Any]]
    codec: str = "utf-8"

    @property
    def body(self) -> bytes:
        compression = next((each for each in (".gz", ".zst", ".bz2") if self.name.endswith(each)), "")
        return COMPRESS[compression](self.text.encode(self.codec))

    def expected(self) -> dict[str, dict[str, Any]]:
        keys = [f"{self.name} {number}" for number in range(1, len(self.items) + 1)]
        return {key: {"id": {"S": key}, **item} for key, item in zip(keys, self.items, strict=True)}


def table(
    name: str,
    rows: list[Row],
    codec: str = "utf-8",
    before: str = "",
    header: Sequence[Row] = (HEADER,),
    **how: Any,
) -> Case:
    """A CSV file, written by Python's csv with the settings `how`; `before` comes before the header."""
    out = io.StringIO()
    writer = csv.writer(out, **how)
    writer.writerows(header)
    writer.writerows([f"{name} {number}", *row] for number, *row in rows)
    items = [
        {
            key: {"N": {"1.50": "1.5", "0.10": "0.1"}.get(value, value)} if key == "amount" else {"S": value}
            for key, value in zip(HEADER[1:], row[1:], strict=True)
            if value
        }
        for row in rows
    ]
    return Case(name, before + out.getvalue(), items, codec)


def json_lines(name: str, codec: str = "utf-8") -> Case:
    objects = [{**each, "id": f"{name} {each['id']}"} for each in OBJECTS]
    return Case(name, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects), OBJECT_ITEMS, codec)


def export(name: str, *, wrapped: bool = True) -> Case:
    items = [{"id": {"S": f"{name} {number}"}, **each} for number, each in enumerate(ATTRIBUTES, 1)]
    lines = [{"Item": item} if wrapped else item for item in items]
    return Case(name, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines), ATTRIBUTES)


BACKSLASH: dict[str, Any] = {"escapechar": "\\", "doublequote": False}
FOUND = [
    table("comma.csv", USUAL),
    table("semicolon.csv.gz", USUAL, "utf-8-sig", delimiter=";"),
    table("tab.tsv.zst", USUAL, "utf-16", delimiter="\t", lineterminator="\n"),
    table("bar.psv.bz2", USUAL, "utf-16-be", "\ufeff", delimiter="|", quoting=csv.QUOTE_ALL),
    table("single.txt", USUAL, quotechar="'", quoting=csv.QUOTE_ALL),
    table("backslash.csv.gz", USUAL, delimiter=";", **BACKSLASH),
    table("carriage.csv.zst", BARE, delimiter="\t", lineterminator="\r"),
    json_lines("objects.jsonl"),
    json_lines("objects.json.gz", "utf-8-sig"),
    json_lines("objects.ndjson.zst", "utf-16"),
    json_lines("objects.bz2"),
    export("items.json"),
    export("items.json.gz"),
    export("items.zst"),
]
"""Files of which nothing is declared."""

DECLARED = {
    'encoding = "latin-1"\ncomment = "#"\nskip_lines = 2\nheader_lines = 2': [
        table(
            "export.csv.gz",
            USUAL,
            "latin-1",
            "Export\r\n\r\n# a comment; of nobody\r\n",
            [["id", "", "amount", "", "more"], ["", "name", "", "note", ""]],
            delimiter=";",
        )
    ],
    'encoding = "cp1252"\nheader_lines = 0\nquote = "none"\nnames = ["id", "name", "amount", "note", "more"]': [
        table(
            "none.tab.bz2",
            [*BARE, ["3", "5 €", "1", "“x”", "y"]],
            "cp1252",
            header=(),
            delimiter="\t",
            quoting=csv.QUOTE_NONE,
            quotechar=None,
        )
    ],
    'delimiter = ":"\nquote = "\'"\nescape = "backslash"\ncompression = "zstd"\nmultiline = true': [
        table("colon.zst", USUAL, delimiter=":", quotechar="'", **BACKSLASH)
    ],
    'encoding = "utf-16-le"\ntype = "jsonl"': [json_lines("marked.jsonl.bz2", "utf-16-le")],
    'type = "dynamodb-json"': [export("bare.jsonl.gz", wrapped=False)],
}
"""Files by what has to be declared for them."""


@pytest.fixture(scope="module")
def formats(empty_aws: LocalServer) -> LocalStack:
    return LocalStack(empty_aws, asyncio.run(deploy_local(empty_aws.endpoint_url, name="formats", schema=SCHEMA)))


async def upload(stack: LocalStack, cases: list[Case]) -> None:
    async with stack.client("s3") as s3:
        for case in cases:
            await s3.put_object(Bucket=stack.outputs.bucket, Key=f"uploads/{case.name}", Body=case.body)


async def declare(stack: LocalStack, schema: Path) -> None:
    """Let the producer have another schema; the worker keeps its own, which has the same columns."""
    async with stack.client("lambda") as lambda_:
        before = await lambda_.get_function_configuration(FunctionName=stack.outputs.producer)
        variables = {**before["Environment"]["Variables"], "SCHEMA": str(schema)}
        await lambda_.update_function_configuration(
            FunctionName=stack.outputs.producer, Environment={"Variables": variables}
        )


async def wait_for(stack: LocalStack, cases: list[Case]) -> dict[str, dict[str, Any]]:
    """The items of these files, once there are as many as there must be."""
    count, names = sum(len(case.items) for case in cases), {case.name for case in cases}
    items: dict[str, dict[str, Any]] = {}

    async def all_there() -> bool:
        async with stack.client("dynamodb") as dynamodb:
            page = await dynamodb.scan(TableName=stack.outputs.table, ConsistentRead=True)
        items.update({item["id"]["S"]: item for item in page["Items"] if file_of(item["id"]["S"]) in names})
        return len(items) >= count

    await eventually(all_there, f"{count} items")
    return items


def file_of(key: str) -> str:
    """The name of the file that an item came from."""
    return key.rpartition(" ")[0]


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """An item as DynamoDB JSON has it, where the client gives bytes."""
    return {name: {"B": "AP8="} if value == {"B": b"\x00\xff"} else value for name, value in item.items()}


async def check(stack: LocalStack, cases: list[Case]) -> None:
    await upload(stack, cases)
    items = {key: plain(item) for key, item in (await wait_for(stack, cases)).items()}
    for case in cases:
        assert {key: item for key, item in items.items() if file_of(key) == case.name} == case.expected()


async def test_files_whose_format_is_found(formats: LocalStack) -> None:
    await check(formats, FOUND)


async def test_files_whose_format_is_declared(formats: LocalStack, tmp_path: Path) -> None:
    for number, (settings, cases) in enumerate(DECLARED.items()):
        schema = tmp_path / f"{number}.toml"
        schema.write_text(f"{SCHEMA.read_text()}\n[format]\n{settings}\n")
        await declare(formats, schema)
        await check(formats, cases)
