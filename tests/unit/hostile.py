"""Files and messages that make much of little, and what each of them takes in memory.

Run as a program it works through every shape in a process of its own and prints the peak above what the process had
before, as one line of JSON each: ``[name, megabytes, seconds]``.
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
from engine.errors import BadFile
from engine.rejects import RejectFiles
from engine.schema.model import Schema
from tests.unit.samples import PROCESSED_AT, SOURCE, USERS, schema_of

CHUNK_BYTES = 262_144
FILE_BYTES = 1_000_000
MESSAGE_BYTES = 1_048_576

KEY = '[key]\npartition = "a"\n[columns.a]\nrequired = true\n'
STORE = schema_of(f'unknown_columns = "store"\n{KEY}')
MANY_COLUMNS = schema_of(KEY + "".join(f'[columns.c{i}]\ndefault = "N/A"\n' for i in range(400)))
LONG_DEFAULT = schema_of(f'{KEY}[columns.b]\ndefault = "{"d" * 50_000}"\n')
SCHEMAS = {"users": USERS, "store": STORE, "many columns": MANY_COLUMNS, "long default": LONG_DEFAULT}
# Records and bytes of a message.
SIZES = {"packed": (500, 61_440), "plain": (1, 61_440), "largest": (10_000, MESSAGE_BYTES)}

HEADERS = {
    "usual": b"name,mail,a\n",
    "one": b"a\n",
    "10,000 columns": b"a,name,mail," + b",".join(b"c%d" % i for i in range(9_997)) + b"\n",
    "without names": b"a,name,mail" + b"," * 500_000 + b"\n",
    "short names": b"a,name,mail," + b",".join(b"%x" % i for i in range(150_000)) + b"\n",
    "50 KB name": b"a,name,mail," + b"n" * 50_000 + b"\n",
    "900 KB name": b"a,name,mail," + b"n" * 900_000 + b"\n",
    "open": b'"a',
}
UNITS = {
    "empty lines": b"\n",
    "one letter": b"a\n",
    "one fits": b"a,b,c\n",
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
    "closed far behind": b'a","b\n',
    "open": b'"\n',
    "empty in quotes": b'""\n',
    "one quote among many lines": b"a\n" * 150_000 + b'"b"\n',
    "lines in quotes": b'"' + b"\n" * 1_000_000 + b'"\n',
    "lines of a letter in quotes": b'"' + b"a\n" * 500_000 + b'"\n',
    "never closed, then lines": b'x,"y\n' + b"a\n" * 700_000,
    "never closed, then empty lines": b'x,"y\n' + b"\n" * 1_400_000,
    "a megabyte of quotes": b'"' * 1_000_000 + b"\n",
    "zero bytes": b"\x00\n",
}


def _file(header: bytes, unit: bytes) -> Iterator[bytes]:
    data = header + unit * max(1, FILE_BYTES // len(unit))
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]


def ingest(header: bytes, unit: bytes, schema: Schema, records: int, max_bytes: int) -> None:
    """What the producer does with a file."""
    converter = Converter(SOURCE, schema, records_per_message=records, max_message_bytes=max_bytes)
    files = RejectFiles("rejects/", "span")
    with suppress(BadFile):
        for chunk in _file(header, unit):
            for converted in converter.feed(chunk, PROCESSED_AT):
                files.add(converted.rejects)
        for converted in converter.finish(PROCESSED_AT):
            files.add(converted.rejects)


Shape = Callable[[], None]


def _file_shapes() -> Iterator[tuple[str, Shape]]:
    usual = HEADERS["usual"]
    for name, unit in UNITS.items():
        yield f"users, {name}", partial(ingest, usual, unit, USERS, *SIZES["packed"])
    for (size, sizes), (schema, unit) in product(
        SIZES.items(), product(("many columns", "long default", "store"), ("one letter", "empty in quotes"))
    ):
        yield f"{schema}, {size}, {unit}", partial(ingest, HEADERS["one"], UNITS[unit], SCHEMAS[schema], *sizes)
    for header, schema, unit in product(
        HEADERS.keys() - {"usual", "one"}, ("users", "store"), ("one letter", "commas", "broken")
    ):
        sizes = SIZES["packed"]
        yield f"{header}, {schema}, {unit}", partial(ingest, HEADERS[header], UNITS[unit], SCHEMAS[schema], *sizes)
    for header, size in product(("50 KB name", "10,000 columns"), ("plain", "largest")):
        fits = b"a,b,c" + b"," * (HEADERS[header].count(b",") - 2) + b"\n"
        yield f"{header}, {size}, rows that fit", partial(ingest, HEADERS[header], fits, STORE, *SIZES[size])


SHAPES: dict[str, Shape] = dict(_file_shapes())


def _status(field: str) -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(field))


def main() -> None:
    """Print the peak of each shape; an argument is a part of the names to take."""
    for name, shape in SHAPES.items():
        if sys.argv[1:] and sys.argv[1] not in name:
            continue
        child = os.fork()
        if child == 0:
            before, began = _status("VmRSS:"), time.process_time()
            shape()
            peak, seconds = _status("VmHWM:") - before, time.process_time() - began
            print(json.dumps([name, round(peak, 1), round(seconds, 2)]), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(json.dumps([name, None, None]), flush=True)


if __name__ == "__main__":
    main()
