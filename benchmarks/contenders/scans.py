"""A range of a huge object, scanned for its records; the content is made before the clock starts."""

from __future__ import annotations

import re
from collections.abc import Callable

from benchmarks.kinds import KINDS
from engine.reading.format import FIND_ALL
from engine.reading.reader import ObjectReader
from engine.reading.scan import RangeScan
from engine.reading.spans import first_position

CHUNK_BYTES = 262_144
FILE_BYTES = 16_000_000
HEAD_BYTES = 100_000

Call = Callable[[], int]


def _all_quoted(content: bytes) -> bytes:
    return re.sub(rb"[^,\n]+", rb'"\g<0>"', content)


def _one_quoted(content: bytes) -> bytes:
    return re.sub(rb"^([^,\n]+),([^,\n]+)", rb'"\1, \1",\2', content, flags=re.MULTILINE)


def _line_breaks(content: bytes) -> bytes:
    return re.sub(rb"^([^,\n]+),([^,\n]+)", rb'"\1\n\1",\2', content, flags=re.MULTILINE)


def _stray(content: bytes) -> bytes:
    return content.replace(b"5\n", b'5"\n')


FILES: dict[str, Callable[[], bytes]] = {
    "users": lambda: KINDS["users"].make(FILE_BYTES),
    "crlf": lambda: KINDS["users"].make(FILE_BYTES).replace(b"\n", b"\r\n"),
    "one_quoted": lambda: _one_quoted(KINDS["users"].make(FILE_BYTES)),
    "all_quoted": lambda: _all_quoted(KINDS["users"].make(FILE_BYTES)),
    "line_breaks": lambda: _line_breaks(KINDS["users"].make(FILE_BYTES)),
    "stray": lambda: _stray(KINDS["users"].make(FILE_BYTES)),
    "jsonl": lambda: KINDS["jsonl"].make(FILE_BYTES),
}


def scanning(way: str) -> Call:
    """Return the scan of a range that begins anywhere in a file; it counts the bytes."""
    content = FILES[way]()
    first = first_position(ObjectReader(FIND_ALL), content[:HEAD_BYTES])
    if first is None:
        raise ValueError("the file cannot be split")
    begin, end = HEAD_BYTES, len(content) - HEAD_BYTES
    chunks = [content[at : at + CHUNK_BYTES] for at in range(begin, len(content), CHUNK_BYTES)]

    def once() -> int:
        scan = RangeScan(first, begin, end, FIND_ALL)
        for chunk in chunks:
            scan.feed(chunk)
        scan.finish()
        if not scan.result.runs:
            raise ValueError("no record was found")
        return end - begin

    return once
