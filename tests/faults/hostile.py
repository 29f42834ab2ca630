"""Small files and messages that could take much memory, and how much each takes.

Run as a program it works through the shapes, each in a process of its own, and prints one line of JSON for each:
``[name, megabytes that its peak was above what the process had before, CPU seconds]``. An argument chooses the shapes
that have it in their names.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import product

from engine.convert import Converter
from engine.errors import BadFile, MalformedMessage
from engine.items import Items, batches
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.rejects import RejectFiles
from engine.schema.model import Schema
from tests.builders.samples import PROCESSED_AT, PRODUCTS, SOURCE, USERS, schema_of

CHUNK_BYTES = 262_144
FILE_BYTES = 300_000
"""Somewhat more than a slice; what repeats after that takes no more. A unit that is longer comes once."""

MESSAGE_BYTES = 1_048_576
"""SQS quota: the size of a message."""

KEY = '[key]\npartition = "a"\n[columns.a]\nrequired = true\n'
SCHEMAS = {
    "users": USERS,
    "store": schema_of(f'unknown_columns = "store"\n{KEY}'),
    "many columns": schema_of(KEY + "".join(f'[columns.c{i}]\ndefault = "N/A"\n' for i in range(100))),
    "long default": schema_of(f'{KEY}[columns.b]\ndefault = "{"d" * 3_000}"\n'),
}
PACKINGS = {"packed": (500, 61_440), "plain": (1, 61_440), "largest": (10_000, MESSAGE_BYTES)}
"""Records and bytes of a message."""

HEADERS = {
    "usual": b"name,mail,a\n",
    "one": b"a\n",
    "10,000 columns": b"a,name,mail," + b",".join(b"c%d" % i for i in range(9_997)) + b"\n",
    "without names": b"a,name,mail" + b"," * 500_000 + b"\n",
    "short names": b"a,name,mail," + b",".join(b"%x" % i for i in range(150_000)) + b"\n",
    "50 KB name": b"a,name,mail," + b"n" * 50_000 + b"\n",
    "900 KB name": b"a,name,mail," + b"n" * 900_000 + b"\n",
}
UNITS = {
    "empty lines": b"\n",
    "one letter": b"a\n",
    "commas": b"," * CHUNK_BYTES + b"\n",
    "a megabyte of commas": b"," * 1_000_000 + b"\n",
    "a megabyte of fields": b"ab," * 330_000 + b"\n",
    "wide letters": "€,".encode() * 60_000 + b"\n",
    "formulas": b"=\n",
    "no text": b"\xff\n",
    "a megabyte of no text": b"\xff" * 1_000_000 + b"\n",
    "three megabytes": b"x" * 3_000_000,
    "four bytes a letter": "😀".encode() * 250_000 + b"\n",
    "broken": b'"a"b\n',
    "closed far away": b'a","b\n',
    "open": b'"\n',
    "empty in quotes": b'""\n',
    "one quote among many lines": b"a\n" * 150_000 + b'"b"\n',
    "lines in quotes": b'"' + b"\n" * 1_000_000 + b'"\n',
    "lines of a letter in quotes": b'"' + b"a\n" * 500_000 + b'"\n',
    "never closed, then lines": b'x,"y\n' + b"a\n" * 600_000,
    "never closed, then empty lines": b'x,"y\n' + b"\n" * 1_400_000,
    "a megabyte of quotes": b'"' * 1_000_000 + b"\n",
    "a megabyte of semicolons": b";=" * 500_000 + b"\n",
}

OBJECTS = {
    "short": b'{"a":"x"}\n',
    "one more member": b'{"a":"x","b":1}\n',
    "a long list": b'{"a":"x","b":[%s]}\n' % b",".join([b"1"] * 200_000),
    "a list of empty lists": b'{"a":"x","b":[%s]}\n' % b",".join([b"[]"] * 130_000),
    "a list too long": b'{"a":"x","b":[%s]}\n' % b",".join([b"1"] * 500_000),
    "many members": b'{"a":"x",%s}\n' % b",".join(b'"%x":1' % i for i in range(40_000)),
    "a long name": b'{"a":"x","%s":1}\n' % (b"n" * 60_000),
    "a megabyte of a name": b'{"a":"x","%s":1}\n' % (b"n" * 1_000_000),
    "other names each": b"".join(b'{"a":"x","%x":1}\n' % i for i in range(16_000)),
}
"""JSON lines, of which the schema knows ``a``."""


def ingest(header: bytes, unit: bytes, schema: Schema, records: int, max_bytes: int) -> None:
    """Do what the producer does with a file, apart from sending."""
    converter = Converter(SOURCE, schema, records_per_message=records, max_message_bytes=max_bytes)
    files = RejectFiles("rejects/", "span")
    data = header + unit * max(1, FILE_BYTES // len(unit))
    with suppress(BadFile):
        for start in range(0, len(data), CHUNK_BYTES):
            for converted in converter.feed(data[start : start + CHUNK_BYTES], PROCESSED_AT):
                files.add(converted.rejects)
        for converted in converter.finish(PROCESSED_AT):
            files.add(converted.rejects)


Shape = Callable[[], None]


def file_shapes() -> Iterator[tuple[str, Shape]]:
    """Each unit under the usual header, each packing and schema, each header."""
    for unit in UNITS:
        yield f"file: {unit}", partial(ingest, HEADERS["usual"], UNITS[unit], USERS, *PACKINGS["packed"])
    for schema, packing in product(("many columns", "long default", "store"), PACKINGS):
        name = f"file: {schema}, {packing}"
        yield name, partial(ingest, HEADERS["one"], UNITS["one letter"], SCHEMAS[schema], *PACKINGS[packing])
    for header, (schema, unit) in product(list(HEADERS)[2:5], (("users", "one letter"), ("store", "commas"))):
        name = f"file: {header}, {schema}, {unit}"
        yield name, partial(ingest, HEADERS[header], UNITS[unit], SCHEMAS[schema], *PACKINGS["packed"])
    for header, packing in product(("50 KB name", "10,000 columns"), ("plain", "largest")):
        row = b"a,b,c" + b"," * (HEADERS[header].count(b",") - 2) + b"\n"
        yield (
            f"file: {header}, {packing}, fits",
            partial(ingest, HEADERS[header], row, SCHEMAS["store"], *PACKINGS[packing]),
        )
    for unit, packing in product(OBJECTS, ("packed", "largest")):
        yield (
            f"file: JSON, {unit}, {packing}",
            partial(ingest, b"", OBJECTS[unit], SCHEMAS["store"], *PACKINGS[packing]),
        )


def consume(body: str, schema: Schema) -> None:
    """Do what the worker does with a message, apart from writing."""
    items = Items(schema)
    with suppress(MalformedMessage):
        message = parse_message(body, {}, "id", 5, schema)
        if isinstance(message, Message):
            items.add(message)
    for wave in items.waves():
        for batch in batches(wave):
            items.text(batch)


def packed(rows: str, *, columns: str = '"name","email","phone"', key: str = "k", end: str = "]}") -> str:
    """A packed message with as many of `rows`, JSON with a comma after it, as fit."""
    about = f'{{"bucket":"b","key":"{key}","version":null,"etag":"e","modified":1}}'
    head = f'{{"v":1,"object":{about},"span":0,"message":0,"processedAt":"t","columns":[{columns}],"rows":['
    return head + (rows * ((MESSAGE_BYTES - len(head)) // len(rows))).rstrip(",") + end


def plain(fields: str) -> str:
    """A plain message with as many of `fields`, in which ``%x`` is a number, as fit."""
    count = MESSAGE_BYTES // (len(fields) + 3)
    return '{"name":"a","mail":"b",' + ",".join(fields % i for i in range(count)) + "}"


BODIES: dict[str, Callable[[], str]] = {
    "short rows": lambda: packed('[1,"a","b","c"],'),
    "short rows, an escape": lambda: packed('[1,"a","b","\\\\"],'),
    "rows without values": lambda: packed('[1,null,"b",null],'),
    "a long key of the object": lambda: packed('[1,null,"b",null],', key="k" * 1_000),
    "a key of the object that S3 does not know": lambda: packed('[1,null,"b",null],', key="k" * 300_000),
    "a long column": lambda: packed('[1,null,"b","c"],', columns=f'"name","email","{"n" * 60_000}"'),
    "a very long column": lambda: packed('[1,null,"b","c"],', columns=f'"name","email","{"n" * 500_000}"'),
    "empty lists for rows": lambda: packed("[],"),
    "objects for rows": lambda: packed("{},"),
    "lists in rows": lambda: packed('[1,"a","b",[[],[],[]]],'),
    "numbers for rows": lambda: packed("1,"),
    "rows of many lengths": lambda: packed('[1],[1,2],[1,"a","b",null],'),
    "columns twice": lambda: packed("[1],", columns='"name","email",' + '"a",' * 200_000 + '"b"'),
    "many columns": lambda: packed("[1],", columns='"name","email",' + ",".join(f'"{i:x}"' for i in range(100_000))),
    "one row of many columns": lambda: packed(
        '"a",', columns='"name","email",' + ",".join(f'"{i:x}"' for i in range(50_000)), end="]]}"
    ).replace('"rows":[', '"rows":[[1,'),
    "attributes without a column": lambda: packed('[1,"a","b",{"x":{"S":"y"}}],', columns='"name","email",""'),
    "no attributes without a column": lambda: packed('[1,"a","b",{}],', columns='"name","email",""'),
    "many attributes without a column": lambda: packed(
        ",".join(f'"{i:x}":{{"N":"1"}}' for i in range(55_000)), columns='"name","email",""', end="}]]}"
    ).replace('"rows":[', '"rows":[[1,"a","b",{'),
    "a list without a column": lambda: packed('{"L":[]},', columns='"name","email",""', end="]}}]]}").replace(
        '"rows":[', '"rows":[[1,"a","b",{"x":{"L":['
    ),
    "nested deeply": lambda: "[" * MESSAGE_BYTES,
    "lists": lambda: '{"v":1,"x":[' + "[]," * (MESSAGE_BYTES // 3) + "[]]}",
    "plain, many fields": lambda: plain('"%x":1'),
    "plain, many numbers": lambda: plain('"%x":1.5'),
    "plain, many lists": lambda: plain('"%x":[]'),
    "plain, a list and a number": lambda: '{"name":1.5,"x":[' + "[]," * (MESSAGE_BYTES // 3) + "[]]}",
    "plain, one long field": lambda: '{"name":"a","mail":"b","phone":"' + "é" * (MESSAGE_BYTES // 2) + '"}',
}


def as_products(body: str) -> str:
    """The same message with columns of the other schema, which stores those that it does not know."""
    return body.replace('"name"', '"sku"').replace('"mail"', '"price"')


def message_shapes() -> Iterator[tuple[str, Shape]]:
    """Each body as workers of both schemas take it."""
    for name, body in BODIES.items():
        yield f"message: {name}, users", partial(_consume_made, body, str, USERS)
        yield f"message: {name}, products", partial(_consume_made, body, as_products, PRODUCTS)


def _consume_made(make: Callable[[], str], change: Callable[[str], str], schema: Schema) -> None:
    consume(change(make()), schema)


SHAPES: dict[str, Shape] = {**dict(file_shapes()), **dict(message_shapes())}


def _status(field: str) -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(field))


def main() -> None:
    """Print the peak of each shape."""
    for name, shape in SHAPES.items():
        if sys.argv[1:] and sys.argv[1] not in name:
            continue
        child = os.fork()
        if child == 0:
            before, began = _status("VmRSS:"), time.process_time()
            shape()
            print(json.dumps([name, _status("VmHWM:") - before, time.process_time() - began]), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
