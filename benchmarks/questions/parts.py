"""The entries of the questions about a part of the work."""

from __future__ import annotations

from typing import Any

from benchmarks import data, rivals
from benchmarks.kinds import KINDS
from benchmarks.model import Entry, Options

ROWS = 100_000

LABELS = {
    "sign": {"sign.millpond": "Millpond", "sign.botocore": "botocore"},
    "parse": {
        "parse.millpond": "Millpond",
        "parse.reader": "csv.reader on the whole text",
        "parse.dictreader": "csv.DictReader",
    },
    "formats": {
        "formats.users": KINDS["users"].label,
        "formats.gzip": "users, CSV, gzip",
        "formats.zstd": "users, CSV, zstd",
        "formats.bzip2": "users, CSV, bzip2",
        **{f"formats.{name}": kind.label for name, kind in KINDS.items() if name != "users"},
        "formats.jsonl_json": "users, JSON Lines by json.loads alone",
    },
    "scan": {
        "scan.users": "users, CSV",
        "scan.crlf": "users, CSV with CRLF",
        "scan.one_quoted": "users, CSV, one field in quotes",
        "scan.all_quoted": "users, CSV, all fields in quotes",
        "scan.line_breaks": "users, CSV, a line break in each row",
        "scan.stray": "users, CSV, a quote in an unquoted field of each tenth row",
        "scan.jsonl": "users, JSON Lines",
    },
    "pack": {
        "pack.millpond": "Millpond, 500 rows a message",
        "pack.millpond_plain": "Millpond, one message a row",
        "pack.json": "csv.DictReader and json.dumps",
    },
    "encode": {"encode.millpond": "Millpond", "encode.boto3": "boto3 resource"},
}


def parts(name: str, options: Options) -> list[Entry]:
    """Return the ways to do the part `name`."""
    content: dict[str, Any] = {}
    if name in ("parse", "pack"):
        content["content"] = data.HEADER + data.block(options.row_bytes) * (ROWS // data.BLOCK_ROWS)
    elif name == "encode":
        content["event"] = data.sqs_event(10, 500, row_bytes=options.row_bytes)
    entries = [
        Entry(contender=rivals.PARTS, label=label, spec={"task": name, "way": way}, share=0.5, **content)
        for way, label in LABELS[name].items()
    ]
    if name == "parse":
        entries.append(
            Entry(contender=rivals.NODE, label="Node.js, csv-parser", spec={"task": "parse"}, share=0.5, **content)
        )
    return entries
