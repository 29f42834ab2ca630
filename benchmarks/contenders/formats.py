"""The same rows in files of each format, read and nothing else; the files are made before the clock starts."""

from __future__ import annotations

import bz2
import gzip
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from engine.reading.block import Block
from engine.reading.compression import CompressedReader
from engine.reading.delimited import CsvReader
from engine.reading.dynamodb_json import DynamoDbJsonReader
from engine.reading.json_lines import JsonLinesReader
from engine.reading.json_members import Members

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK_BYTES = 262_144
COLUMNS = ("name", "mail", "phone")
Call = Callable[[], int]


def csv(content: bytes) -> Call:
    """CSV as it is."""
    return _reading(CsvReader, content)


def csv_gzip(content: bytes) -> Call:
    """CSV, compressed by gzip at its usual level."""
    return _reading(lambda: CompressedReader("gzip", CsvReader()), gzip.compress(content, 6))


def csv_zstd(content: bytes) -> Call:
    """CSV, compressed by zstd at its usual level."""
    return _reading(lambda: CompressedReader("zstd", CsvReader()), zstd.compress(content, 3))


def csv_bzip2(content: bytes) -> Call:
    """CSV, compressed by bzip2."""
    return _reading(lambda: CompressedReader("bzip2", CsvReader()), bz2.compress(content))


def jsonl(content: bytes) -> Call:
    """JSON Lines."""
    columns = {name: [(name,)] for name in COLUMNS}
    return _reading(lambda: JsonLinesReader(Members(columns)), _lines(content))


def jsonl_json(content: bytes) -> Call:
    """JSON Lines by json.loads, line by line, as usual."""
    lines = _lines(content).splitlines()

    def once() -> int:
        return sum(1 for line in lines if json.loads(line))

    return once


def dynamodb(content: bytes) -> Call:
    """DynamoDB JSON, as an export has it."""
    items = ({"Item": {name: {"S": text} for name, text in zip(COLUMNS, row, strict=True)}} for row in _rows(content))
    return _reading(lambda: DynamoDbJsonReader(COLUMNS), b"".join(orjson.dumps(item) + b"\n" for item in items))


def _rows(content: bytes) -> Iterator[list[str]]:
    for line in content.decode().splitlines()[1:]:
        yield line.split(",")


def _lines(content: bytes) -> bytes:
    return b"".join(orjson.dumps(dict(zip(COLUMNS, row, strict=True))) + b"\n" for row in _rows(content))


def _reading(make: Callable[[], Any], content: bytes) -> Call:
    chunks = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]

    def blocks() -> Iterator[Block]:
        reader = make()
        for chunk in chunks:
            yield from reader.feed(chunk)
        yield from reader.finish()

    return lambda: sum(len(block.rows) for block in blocks())


FORMATS = {way.__name__: way for way in (csv, csv_gzip, csv_zstd, csv_bzip2, jsonl, jsonl_json, dynamodb)}
