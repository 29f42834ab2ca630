"""Files of a few rows, and what they must become: read by Python's own csv and json, cleaned by a few lines. Pure.

Nothing here uses the engine: it says what the engine has to do.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

_COLUMNS = """
[columns.id]
required = true
trim = true
[columns.sku]
required = true
[columns.amount]
type = "N"
[columns.note]
trim = true
default = "none"
"""

SCHEMAS: Mapping[str, str] = {
    "history": '[key]\npartition = "id"\nsort = "v"\n[generated]\nv = "version"\nat = "processed_at"\n',
    "newest": 'conflict = "newest"\n[key]\npartition = "id"\n[generated]\nv = "version"\n',
    "replace": '[key]\npartition = "id"\nsort = "sku"\n',
    "replace versions": '[key]\npartition = "id"\n[generated]\nv = "version"\nrow = "row_number"\nby = "ingestion"\n',
}
KEYS: Mapping[str, Mapping[str, str]] = {
    "history": {"id": "S", "v": "N"},
    "newest": {"id": "S"},
    "replace": {"id": "S", "sku": "S"},
    "replace versions": {"id": "S"},
}
HAS_VERSION = ("history", "newest", "replace versions")
COLLECTION = "things"
FORMATS = ("comma", "comma", "semicolon", "tab", "quoted", "jsonl", "jsonl", "comma gz", "jsonl gz")
_DELIMITERS = {"semicolon": ";", "tab": "\t"}

REFUSED = "refuse me"
"""A note that the simulated DynamoDB refuses."""

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_NOTES = ("", "a", "two words", "Zoë 表", "= 1", 'say "hi"', "a, b", "line\nbreak", "x" * 60, "0", "  blanks  ")


def schema_text(name: str) -> str:
    """Return a schema as TOML."""
    first, *rest = SCHEMAS[name].split("[key]")
    return f'version = 1\ncollection = "{COLLECTION}"\n{first}[key]{"".join(rest)}{_COLUMNS}'


class Row(NamedTuple):
    """A row that must be in the table: its number and its attributes as text, numbers canonical."""

    number: int
    values: Mapping[str, str]

    def key(self, schema: str) -> tuple[str, ...]:
        """Return the key that the file says of it, without what the engine generates."""
        return (self.values["id"], self.values["sku"]) if schema == "replace" else (self.values["id"],)

    @property
    def is_refused(self) -> bool:
        """Whether DynamoDB refuses it."""
        return self.values["note"] == REFUSED


class Reading(NamedTuple):
    """What a file is: its good rows, the numbers of its bad ones, and whether it is refused as a whole."""

    rows: list[Row]
    bad: list[int]
    is_refused: bool = False


@dataclass(frozen=True)
class File:
    """One upload."""

    number: int
    key: str
    body: bytes
    form: str
    at: float
    """Seconds after the start."""
    deleted_after: float | None
    reading: Reading = field(repr=False)

    @property
    def stem(self) -> str:
        """Its key without the suffixes."""
        return self.key.partition(".")[0]


def make_file(draw: random.Random, number: int, schema: str, form: str, stem: str, *, refused: bool) -> File:
    """Draw a file; `refused`: some of its items are refused by DynamoDB."""
    rows = draw.choice([0, 1, 2, 4, 8, 12, 20, 40])
    ids = draw.choice([3, 10, 1_000])
    bad = draw.choice([0.0, 0.0, 0.1, 0.6])
    records = [_record(draw, ids, bad, refused=refused) for _ in range(rows)]
    kind = form.removesuffix(" gz")
    is_broken = draw.random() < 0.03
    if kind == "jsonl":
        text, suffix = _json_text(draw, records, is_broken=is_broken), "jsonl"
    else:
        text, suffix = _csv_text(draw, records, kind, is_broken=is_broken), "csv"
    encoded = text.encode()
    is_packed = form.endswith(" gz")
    body = gzip.compress(encoded, mtime=0) if is_packed else encoded
    return File(
        number,
        f"{stem}.{suffix}{'.gz' if is_packed else ''}",
        body,
        kind,
        at=draw.choice([0.0, 0.0, 0.5, 5.0, 60.0, 400.0]),
        deleted_after=draw.choice([0.1, 1.0, 5.0, 60.0]) if draw.random() < 0.1 else None,
        reading=read(body, kind),
    )


def _record(draw: random.Random, ids: int, bad: float, *, refused: bool) -> dict[str, str]:
    kind = draw.choice(["id", "amount", "shape"]) if draw.random() < bad else ""
    note = REFUSED if refused and draw.random() < 0.1 else draw.choice(_NOTES)
    return {
        "id": "" if kind == "id" else f"id{draw.randrange(ids)}",
        "sku": f"s{draw.randrange(3)}",
        "amount": "many" if kind == "amount" else draw.choice(["", "1", "10.50", "-0", "123456789.25", "0.001"]),
        "note": note,
        "bad shape": kind if kind == "shape" else "",
    }


_NAMES = ("id", "sku", "amount", "note")


def _csv_text(draw: random.Random, records: list[dict[str, str]], kind: str, *, is_broken: bool) -> str:
    text = io.StringIO(newline="")
    end = draw.choice(["\n", "\r\n"])
    writer = csv.writer(
        text,
        delimiter=_DELIMITERS.get(kind, ","),
        quoting=csv.QUOTE_ALL if kind == "quoted" else csv.QUOTE_MINIMAL,
        lineterminator=end,
    )
    writer.writerow(["name" if is_broken and name == "sku" else name for name in _NAMES])
    for record in records:
        fields = [record[name] for name in _NAMES]
        writer.writerow([*fields, "more"] if record["bad shape"] else fields)
    whole = text.getvalue()
    if records and draw.random() < 0.3:
        whole = whole.removesuffix(end)
    return ("\ufeff" if draw.random() < 0.2 else "") + whole


def _json_text(draw: random.Random, records: list[dict[str, str]], *, is_broken: bool) -> str:
    lines = []
    for record in records:
        document: dict[str, object] = {name: record[name] for name in _NAMES if record[name] or name != "amount"}
        if _NUMBER.fullmatch(record["amount"]) and draw.random() < 0.5:
            document["amount"] = float(record["amount"]) if "." in record["amount"] else int(record["amount"])
        line = json.dumps(document, ensure_ascii=draw.random() < 0.5)
        lines.append(line[:-1] if record["bad shape"] else line)
    if is_broken and lines:
        lines[0] = '"text"' + lines[0]
    end = draw.choice(["\n", "\r\n"])
    whole = end.join(lines)
    return whole + end if lines and draw.random() < 0.7 else whole


def read(body: bytes, kind: str) -> Reading:
    """Read a file plainly."""
    data = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    text = data.decode("utf-8-sig")
    return _read_json(text) if kind == "jsonl" else _read_csv(text, _DELIMITERS.get(kind, ","))


def _read_csv(text: str, delimiter: str) -> Reading:
    header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    if "sku" not in header:
        return Reading([], [], is_refused=True)
    rows, bad = [], []
    for number, line in enumerate(lines, 1):
        row = _cleaned(number, dict(zip(header, line, strict=False))) if len(line) == len(header) else None
        if row is None:
            bad.append(number)
        else:
            rows.append(row)
    return Reading(rows, bad)


def _read_json(text: str) -> Reading:
    if not text.startswith("{"):
        return Reading([], [], is_refused=True)
    rows, bad = [], []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            document = json.loads(line, parse_float=Decimal)
        except ValueError:
            document = None
        row = _cleaned(number, {n: f"{v}" for n, v in document.items()}) if isinstance(document, dict) else None
        if row is None:
            bad.append(number)
        else:
            rows.append(row)
    return Reading(rows, bad)


def _cleaned(number: int, fields: Mapping[str, str]) -> Row | None:
    values = {"id": fields["id"].strip(), "sku": fields["sku"], "note": fields["note"].strip() or "none"}
    amount = fields.get("amount", "").strip()
    if not values["id"] or not values["sku"] or (amount and not _NUMBER.fullmatch(amount)):
        return None
    return Row(number, {**values, **({"amount": plain_number(amount)} if amount else {})})


def plain_number(text: str) -> str:
    """Return a number in one form for each value."""
    number = Decimal(text).normalize()
    return f"{number:f}" if number else "0"


def ingestion_of(bucket: str, key: str, version: str, modified: int) -> str:
    """Return the id of an ingestion, as the documents define it; `version` is the version id, or else the ETag."""
    return hashlib.sha256("\0".join((bucket, key, version, str(modified))).encode()).hexdigest()[:20]


def version_of(modified: int, row: int, ingestion: str) -> str:
    """Return the version of a row, as the documents define it."""
    return plain_number(f"{modified}.{row:012d}{digits_of(ingestion)}")


def digits_of(ingestion: str) -> str:
    """Return what stands for an ingestion in versions."""
    return f"{int(hashlib.sha256(ingestion.encode()).hexdigest(), 16) % 10**10:010d}"
