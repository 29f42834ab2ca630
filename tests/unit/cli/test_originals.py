"""Rows as they are in a file, with its header, in each kind of file."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from engine.cli.originals import Originals
from engine.errors import BadFile
from engine.schema.model import Schema
from tests.builders.samples import USERS, schema_of

ANY = """
[key]
partition = "id"
[columns.id]
required = true
[columns.a]
"""


async def _chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def taken(data: bytes, schema: Schema, rows: set[int], size: int = 7) -> bytes:
    async def read() -> bytes:
        originals = Originals(schema, rows.__contains__, max(rows, default=0))
        out = b"".join([piece async for piece in originals.read(_chunks(data, size))])
        assert originals.count == len(rows)
        return out

    return asyncio.run(read())


def form(text: str) -> Schema:
    return schema_of(f"{ANY}\n[format]\n{text}")


CSV = b"name,mail\nA,a@x.org\n,bad\nC,c@x.org\nD\n"


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_rows_that_are_good_or_broken_come_in_row_order_behind_the_header(size: int) -> None:
    assert taken(CSV, USERS, {2, 3, 4}, size) == b"name,mail\n,bad\nC,c@x.org\nD\n"
    assert taken(CSV, USERS, {4}, size) == b"name,mail\nD\n"


@pytest.mark.parametrize(
    ("data", "schema", "expected"),
    [
        (b"\xef\xbb\xbfid;a\r\nA;1\r\nB;2\r\n", schema_of(ANY), b"\xef\xbb\xbfid;a\r\nB;2\r\n"),
        (b'id,a\nA,"1\n2"\nB,"3\n""4"\nC,5\n', schema_of(ANY), b'id,a\nB,"3\n""4"\n'),
        (b"'id','a'\n'A','1'\n'B','x,y'\n", schema_of(ANY), b"'id','a'\n'B','x,y'\n"),
        ("\ufeffid\ta\nA\t1\nB\t\xfc\n".encode("utf-16-le"), schema_of(ANY), "\ufeffid\ta\nB\t\xfc\n".encode()),
        ("id,a\nA,1\nB,\xfc\n".encode("cp1252"), form('encoding = "cp1252"'), "id,a\nB,\xfc\n".encode("cp1252")),
        ("id,a\nA,1\nB,2\n".encode("utf-16"), form('encoding = "utf-16"'), "id,a\nB,2\n".encode("utf-16")),
        (b"A report\n\nid,a\n\nA,1\nB,2\n", form("skip_lines = 2"), b"A report\n\nid,a\n\nB,2\n"),
        (
            b"id,a\n(key),(text)\nA,1\nB,2\n",
            form('header_lines = 2\nnames = ["id", "a"]'),
            b"id,a\n(key),(text)\nB,2\n",
        ),
        (b"A,1\nB,2\n", form('header_lines = 0\nnames = ["id", "a"]'), b"B,2\n"),
        (b'{"id":"A"}\n{"id":"B", "a":"2"}\n', schema_of(ANY), b'{"id":"B", "a":"2"}\n'),
        (b"id,a\nA,1\nB,\xff\n", schema_of(ANY), b"id,a\nB,\\xff\n"),
    ],
    ids=[
        *("mark", "quoted", "single", "utf-16", "cp1252", "declared utf-16", "skipped lines", "two lines"),
        *("no header", "json", "undecodable"),
    ],
)
def test_dialect_and_everything_before_the_first_row_are_kept(data: bytes, schema: Schema, expected: bytes) -> None:
    assert taken(data, schema, {2}) == expected
    assert taken(gzip.compress(data), schema, {2}) == expected


def test_nothing_is_read_after_the_last_row() -> None:
    data = b"id,a\n" + b"".join(b"K%d,1\n" % n for n in range(300_000))

    async def read() -> int:
        fed = 0

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal fed
            async for chunk in _chunks(data, 100_000):
                fed += len(chunk)
                yield chunk

        originals = Originals(schema_of(ANY), {3}.__contains__, 3)
        assert b"".join([piece async for piece in originals.read(chunks())]) == b"id,a\nK2,1\n"
        return fed

    assert asyncio.run(read()) < len(data) / 2


def test_damage_comes_after_the_rows_before_it() -> None:
    data = b"id,a\n" + b"".join(b"K%d,%d\n" % (n, n * n) for n in range(20_000))
    out = bytearray()

    async def read() -> None:
        originals = Originals(schema_of(ANY), lambda _: True, 10**9)
        async for piece in originals.read(_chunks(gzip.compress(data)[:-1_000], 1_000)):
            out.extend(piece)

    with pytest.raises(BadFile):
        asyncio.run(read())
    assert len(out) > 100_000
    assert data.startswith(out[: out.rindex(b"\n")])
