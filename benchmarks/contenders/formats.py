"""Files of each kind, converted to messages; the files are made before the clock starts."""

from __future__ import annotations

import bz2
import gzip
import json
import sys
from collections.abc import Callable

from benchmarks import data
from benchmarks.kinds import KINDS, Kind
from engine.config import PACKAGED_SCHEMA
from engine.convert import Converter
from engine.identity import ObjectVersion
from engine.schema.parse import parse_schema

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK_BYTES = 262_144
FILE_BYTES = 4_000_000
NOW = "2026-04-04T00:00:01.234Z"

Call = Callable[[], int]

_COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, 6),
    "zstd": lambda content: zstd.compress(content, 3),
    "bzip2": bz2.compress,
}


def converting(way: str) -> Call:
    """Return the conversion of a file; it counts the file's bytes before they were compressed."""
    if way == "jsonl_json":
        return _json_lines_as_usual()
    kind = KINDS["users" if way in _COMPRESSIONS else way]
    content = kind.make(FILE_BYTES)
    stored = _COMPRESSIONS[way](content) if way in _COMPRESSIONS else content
    chunks = [stored[at : at + CHUNK_BYTES] for at in range(0, len(stored), CHUNK_BYTES)]
    schema = parse_schema(_schema(kind), "kinds.toml")
    source = ObjectVersion("bench", "uploads/file", None, "0123456789abcdef", data.MODIFIED)

    def once() -> int:
        converter = Converter(source, schema, records_per_message=500, max_message_bytes=61_440)
        valid = sum(converted.valid for chunk in chunks for converted in converter.feed(chunk, NOW))
        valid += sum(converted.valid for converted in converter.finish(NOW))
        if not valid:
            raise ValueError("no row was valid")
        return len(content)

    return once


def _schema(kind: Kind) -> str:
    if kind.schema is None:
        return PACKAGED_SCHEMA.read_text(encoding="utf-8")
    return f'version = 1\ncollection = "kinds"\n{kind.schema}'


def _json_lines_as_usual() -> Call:
    """JSON Lines by json.loads, line by line, and nothing else done."""
    content = KINDS["jsonl"].make(FILE_BYTES)
    lines = content.splitlines()

    def once() -> int:
        return len(content) if sum(1 for line in lines if json.loads(line)) else 0

    return once
