"""Twice the input takes about twice the work, whatever is repeated in it. Work is counted in calls, not in seconds."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from engine.convert import Converter
from engine.errors import MillpondError
from engine.events import read_event
from engine.http_events import read_request
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.queries import parse_request
from engine.schema.model import Schema
from engine.schema.parse import parse_schema
from engine.schema.patterns import Pattern
from tests.builders.csv_text import cut
from tests.builders.http_events import FRONT_ENDS
from tests.builders.invocations import event_of, s3_record
from tests.builders.messages import packed, users
from tests.builders.samples import ORDERS, PROCESSED_AT, PRODUCTS, SOURCE, USERS, schema_of
from tests.builders.wrappings import sqs_message
from tests.fakeaws.virtual_time import run
from tests.fuzz.targets import http1
from tests.fuzz.targets.messages import items_of

MOST = 2.4
"""Times the work of half the input. Work that grows with the square takes 4 times as much."""

SIZES = (400, 800)

STORE = schema_of('unknown_columns = "store"\n[key]\npartition = "a"\n[columns.a]\nrequired = true')


def ingest(data: bytes, schema: Schema = USERS, sizes: tuple[int, ...] = (1_000_000,)) -> None:
    converter = Converter(SOURCE, schema, records_per_message=50, max_message_bytes=61_440)
    with suppress(MillpondError):
        for chunk in cut(data, list(sizes)):
            list(converter.feed(chunk, PROCESSED_AT))
        list(converter.finish(PROCESSED_AT))


def consume(document: Any, schema: Schema = USERS) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with suppress(MillpondError):
        message = parse_message(text, {}, "id", 5, schema)
        if isinstance(message, Message):
            items_of(message, schema)


def ask(path: str, query: tuple[tuple[str, str], ...] = ()) -> None:
    for make in FRONT_ENDS.values():
        with suppress(MillpondError):
            parse_request(read_request(make(path, "GET", query)), USERS)


def declare(toml: str) -> None:
    with suppress(MillpondError):
        parse_schema(f'version = 1\ncollection = "t"\n[key]\npartition = "k"\n{toml}', "f.toml").plan(["k"])


HEADER = b"name,email,phone\n"
SHAPES: dict[str, Callable[[int], object]] = {
    **{
        f"file of {unit!r}": lambda n, unit=unit: ingest(HEADER + unit * n)  # type: ignore[misc]
        for unit in (
            *(b"a,b,c\n", b"\n", b"a\n", b'"a""b",b,c\n', b'"a"b,c,d\n', b'a,"b\n', b'"\n', b'x","y\n', b"\xff,b,c\n", b'"\r\n"\r'),
            *(b",", b'"', b"\\", b"\0", b"\xe2\x82"),
        )
    },
    "file, byte by byte": lambda n: ingest(HEADER + b'"a\nb",b,c\n' * n, sizes=(1,)),
    "file of many columns": lambda n: ingest(b"a," + b",".join(b"c%d" % i for i in range(n)) + b"\n" + b"x,\n" * 20, STORE),
    "file of one record": lambda n: ingest(HEADER + b'"' + b"a\n" * n, sizes=(7,)),
    "lines of JSON": lambda n: ingest(b'{"a":"x","b":[1,{"c":2.5}]}\n' * n, STORE),
    "JSON of other names each": lambda n: ingest(b"".join(b'{"a":"x","m%d":1}\n' % i for i in range(n)), STORE),
    "JSON of many members": lambda n: ingest(b'{"a":"x",%s}\n' % b",".join(b'"m%d":1' % i for i in range(n)), STORE),
    "JSON of one list": lambda n: ingest(b'{"a":"x","b":[%s]}\n' % b",".join([b"1"] * n), STORE),
    "JSON, nested": lambda n: ingest(b'{"a":"x","b":%s\n' % (b"[" * n), STORE),
    "rows of a message": lambda n: consume(packed(users(1, n))),
    "columns of a message": lambda n: consume(packed([[1, *"ab", *"x" * n]], columns=("name", "email", *map(str, range(n))))),
    "members of a plain message": lambda n: consume({"sku": "A", "price": 1, **{f"m{i}": i for i in range(n)}}, PRODUCTS),
    "numbers of a plain message": lambda n: consume({"customer": "a", "order": "b", "sizes": [0.5] * n}, ORDERS),
    "records of an event": lambda n: read_event(event_of(*[s3_record("b", "a.csv")] * n)),
    "messages within an event": lambda n: read_event(event_of(*[sqs_message(1, event_of(s3_record("b", "a.csv")))] * n)),
    "a long key": lambda n: read_event(event_of(s3_record("b", "%2B+a" * n + ".csv"))),
    "parameters of a request": lambda n: ask("/users", tuple((f"p{i}", "x") for i in range(n))),
    "one parameter, many times": lambda n: ask("/users", (("limit", "5"),) * n),
    "segments of a path": lambda n: ask("/users" + "/x" * n),
    "a long token": lambda n: ask("/users", (("startKey", "W1tb" * n),)),
    "columns of a schema": lambda n: declare("[columns.k]\nrequired = true\n" + "".join(f"[columns.c{i}]\n" for i in range(n))),
    "aliases of a schema": lambda n: declare(f"[columns.k]\nrequired = true\naliases = {json.dumps([f'a{i}' for i in range(n)])}"),
    "parts of a computed key": lambda n: declare("[columns.a]\nrequired = true\n[computed]\nk = '" + "{a}#" * n + "'"),
    "values before a pattern": lambda n: Pattern("[a-z]+").misfits(["a", "B"] * n),
    "headers of a reply": lambda n: run(http1.reply([b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * n + b"\r\n"])),
    "chunks of a reply": lambda n: run(
        http1.reply([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * n + b"0\r\n\r\n"])
    ),
    "a reply, byte by byte": lambda n: run(
        http1.reply(cut(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n + b"a" * n, [1]))
    ),
    "interim replies": lambda n: run(http1.reply([b"HTTP/1.1 100 Continue\r\n\r\n" * n])),
}  # fmt: skip


def work(shape: Callable[[int], object], size: int) -> int:
    """How many functions are called, those in C included."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        shape(size)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("name", SHAPES)
def test_work_grows_with_the_input(name: str) -> None:
    shape, (size, twice) = SHAPES[name], SIZES
    shape(10)  # what is only made once
    once = work(shape, size)
    assert once
    assert work(shape, twice) < MOST * once + 200
