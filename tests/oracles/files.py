"""Generated files of every dialect, encoding and compression, read by the engine and by Python's csv and json.

Each row must be equal, or rejected with a reason. Run as a program, ``python -m tests.oracles.files FILES``, it reads
that many files (until ``--seconds`` have passed) and prints the counts as JSON, and each file that differs by its seed.
"""

import argparse
import bz2
import csv
import gzip
import io
import itertools
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from isal import igzip

from engine.errors import BadFile
from engine.reading.block import Block
from engine.reading.format import Dialect, Format, Wanted
from engine.reading.limits import USUAL_LIMITS
from engine.reading.reader import ObjectReader
from tests.builders.csv_text import cut
from tests.builders.json_text import COLUMNS, JsonReading, plain, read_json_plainly

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINE_ENDS = "\n", "\r\n", "\r"

# Python codec -> what the schema has to declare (None: it is found).
ENCODINGS = {
    "utf-8": None,
    "utf-8-sig": None,
    "utf-16": None,
    "utf-16-be": "utf-16-be",
    "utf-16-le": "utf-16-le",
    "latin-1": "iso8859-1",
    "cp1252": "cp1252",
    "shift_jis": "shift_jis",
    "cp037": "cp037",
}
KINDS = ("csv declared", "csv found", "jsonl", "jsonl damaged", "dynamodb-json")
COMPRESSIONS = ("none", "gzip", "zstd", "bzip2")

WORDS = (
    *("a", "Zoë", "10", "-1.5", "", " ", "x y", " b ", "N/A", "\\N", "C:\\new", "\\", "2 m", "#1", "= 2", "id"),
    *("it's", "'tis", "rock 'n'", "'", "''", '24" monitor', '"', '""', '"q"', "é€", "表能", "😀", "a\tb"),
    *("a, b", "a,b", ",", "x;y", ";", "p|q", "|", "two\nlines", "a\r\nb", "c\rd", "\n", "1,b\n2,c"),
    *("\x00", "\x85", "\u2028", "\x1c", "\ufeff"),
)
NUMBERS = ("0", "-0.0", "1.10", "12345678901234567890123", "0.12345678901234567890", "1e5", "1E-7", "9007199254740993")


class File(NamedTuple):
    """One file: its bytes, how they are fed, what the schema declares, and what the oracle says of its text."""

    kind: str
    data: bytes
    sizes: list[int]
    slice_bytes: int
    form: Format
    text: bytes
    """The text as UTF-8, with its byte order mark if it has one."""
    dialect: Dialect | None = None


def make(seed: str) -> File:
    """Return the file of that seed."""
    rng = random.Random(seed)
    kind = rng.choices(["csv declared", "csv found", "jsonl", "jsonl damaged", "dynamodb-json"], [40, 25, 15, 10, 10])[
        0
    ]
    codec = rng.choice([*ENCODINGS] if kind.startswith("csv") else ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    if kind == "jsonl damaged":
        codec = "utf-8"
    if kind.startswith("csv"):
        text, form, dialect = _csv(rng, codec, declared=kind == "csv declared")
    else:
        text, dialect = _json(rng, kind), None
        text = text.encode(codec, "replace").decode(codec)
        type_ = "dynamodb-json" if kind == "dynamodb-json" else "jsonl"
        form = Format(type=type_ if kind == "jsonl damaged" or rng.random() < 0.5 else None)
    plain_bytes = text.encode(codec)
    if kind == "jsonl damaged":
        plain_bytes = _damaged(rng, plain_bytes)
        as_utf_8 = plain_bytes
    else:
        as_utf_8 = (("\ufeff" if codec in ("utf-8-sig", "utf-16") else "") + text).encode()
    compression = rng.choice(COMPRESSIONS)
    form = replace(
        form,
        encoding=ENCODINGS[codec],
        compression=compression if rng.random() < 0.3 else None,
    )
    data = _compressed(rng, plain_bytes, compression)
    sizes = rng.choice(
        [[1], [rng.randint(2, 40)], [rng.randint(41, 3_000)], [rng.randint(1, 400) for _ in range(9)], []]
    )
    if len(data) > 20_000:
        sizes = [rng.randint(1_000, 70_000)]
    slice_bytes = rng.choice([USUAL_LIMITS.slice_bytes, USUAL_LIMITS.slice_bytes, 64, 700])
    return File(kind, data, sizes, slice_bytes, form, as_utf_8, dialect)


def _csv(rng: random.Random, codec: str, *, declared: bool) -> tuple[str, Format, Dialect]:
    while True:
        try:
            return _csv_once(rng, codec, declared=declared)
        except csv.Error:  # a row that this dialect cannot express
            continue


def _csv_once(rng: random.Random, codec: str, *, declared: bool) -> tuple[str, Format, Dialect]:
    if declared:
        dialect = Dialect(
            delimiter=rng.choice(",;\t|:^ ~"),
            quote=rng.choice(['"', '"', "'", ""]),
            escape=rng.choice(["double", "double", "backslash"]),
            comment=rng.choice(["", "", "#"]),
            multiline=rng.choice([None, None, True, False]),
        )
        quoting = csv.QUOTE_NONE if not dialect.quote else rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    else:
        dialect = Dialect(delimiter=rng.choice(",;\t|"), quote=rng.choice(['"', '"', '"', "'"]))
        # Single quotes are found where they are around all texts of a column.
        quoting = csv.QUOTE_MINIMAL if dialect.quote == '"' and rng.random() < 0.6 else csv.QUOTE_ALL
    end = rng.choice(LINE_ENDS)
    width = rng.choice([1, 2, 3, 3, 4, 7, 12])
    count = rng.choice([0, 1, 2, 5, 10, 20, 40] if rng.random() < 0.985 else [3_000])
    words = [word.encode(codec, "replace").decode(codec) for word in rng.sample(WORDS, rng.randint(3, len(WORDS)))]
    if not dialect.quote:
        # Without quotes a cell holds what can be escaped, at most.
        special = "\r\n" + ("" if dialect.escape == "backslash" else dialect.delimiter)
        words = [word for word in words if not set(special) & set(word)] or ["a"]
    rows = [[str(i), *(_cell(rng, words) for _ in range(width - 1))] for i in range(count)]
    for row in rows if rng.random() < 0.1 else []:
        row += [""] * rng.choice([0, 0, 0, 1, 3])
        del row[rng.choice([width, width, width, width - 1]) or 1 :]
    header_lines = rng.choice([0, 1, 1, 1, 2]) if declared else 1
    between = " " if declared else rng.choice("      ;|,")
    names = ["id", *(f"name{between}{i}" for i in range(1, width))]
    heads = [names, [f"of {name}" for name in names]][:header_lines]
    records = [_written(row, dialect, quoting, end) for row in heads + rows]
    if dialect.comment:
        for _ in range(rng.randint(0, 3)):
            records.insert(rng.randint(0, len(records)), f'{dialect.comment} a, "b{end}')
    if rng.random() < 0.2:
        records.insert(rng.randint(0, len(records)), end)  # an empty line
    skip_lines = rng.choice([0, 0, 1, 3]) if declared else 0
    text = "".join([*(f'Export "{i}"{end}' for i in range(skip_lines)), *records])
    if rng.random() < 0.3:
        text = text.removesuffix(end)
    form = Format()
    if declared:
        form = Format(
            type=rng.choice([None, "csv"]),
            delimiter=dialect.delimiter,
            quote=dialect.quote or "none",
            escape=dialect.escape,
            comment=dialect.comment or None,
            skip_lines=skip_lines,
            header_lines=header_lines,
            names=None if header_lines else tuple(names),
            multiline=dialect.multiline,
        )
    return text, form, dialect


def _cell(rng: random.Random, words: list[str]) -> str:
    return "".join(rng.choices(words, k=rng.choice([0, 1, 1, 1, 1, 2])))


def _settings(dialect: Dialect) -> dict[str, Any]:
    return {
        "delimiter": dialect.delimiter,
        "quotechar": dialect.quote or None,
        "doublequote": dialect.escape == "double",
        "escapechar": "\\" if dialect.escape == "backslash" else None,
    }


def _written(row: list[str], dialect: Dialect, quoting: Any, end: str) -> str:
    # With another line terminator, fields with a line break of the other kind would not be quoted.
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n", quoting=quoting, **_settings(dialect)).writerow(row)
    return out.getvalue().removesuffix("\r\n") + end


def _json(rng: random.Random, kind: str) -> str:
    make_line = _item if kind == "dynamodb-json" else _object
    end = rng.choice(["\n", "\n", "\r\n"])
    lines = [make_line(rng) for _ in range(rng.choice([1, 2, 5, 10, 30] if rng.random() < 0.985 else [2_000]))]
    text = end.join(lines)
    return text + end * rng.choice([0, 1, 1, 2])


def _object(rng: random.Random, depth: int = 0) -> str:
    keys = [rng.choice(["id", "key", "a", " A", "address", "city", "x", "y", "é", 'q"', "k:", ""]) for _ in range(5)]
    if not depth or rng.random() < 0.95:
        keys = list(dict.fromkeys(keys))
    colon, comma = rng.choice([(":", ","), (": ", ", ")])
    members = (json.dumps(key) + colon + _value(rng, depth) for key in keys[: rng.randint(1, 5)])
    return "{" + comma.join(members) + "}"


def _value(rng: random.Random, depth: int) -> str:
    pick = rng.random()
    if pick < 0.4:
        return json.dumps(_cell(rng, list(WORDS)), ensure_ascii=rng.random() < 0.5)
    if pick < 0.6:
        return rng.choice(NUMBERS)
    if pick < 0.8 or depth > 3:
        return rng.choice(["null", "true", "false", str(rng.randint(-(10**9), 10**9))])
    if pick < 0.9:
        return "[" + ",".join(_value(rng, depth + 1) for _ in range(rng.randint(0, 3))) + "]"
    return _object(rng, depth + 1)


def _item(rng: random.Random) -> str:
    item = {name: _attribute(rng, 0) for name in rng.sample(["id", "city", "a", "x", "y", "S"], rng.randint(1, 6))}
    return json.dumps({"Item": item}, ensure_ascii=rng.random() < 0.5)


def _attribute(rng: random.Random, depth: int) -> dict[str, Any]:
    kind = rng.choice(["S", "S", "N", "BOOL", "NULL", "SS", "NS", "L", "M", "B"][: 10 if depth < 3 else 7])
    content: dict[str, Callable[[], Any]] = {
        "S": lambda: _cell(rng, list(WORDS)),
        "N": lambda: rng.choice(["0", "1.50", "-7", "1E+20", "12345678901234567890123", "x", ""]),
        "BOOL": lambda: rng.random() < 0.5,
        "NULL": lambda: True,
        "SS": lambda: rng.sample(["a", "b", "c", ""], rng.randint(1, 3)),
        "NS": lambda: rng.sample(["1", "2", "3.5"], rng.randint(1, 3)),
        "L": lambda: [_attribute(rng, depth + 1) for _ in range(rng.randint(0, 2))],
        "M": lambda: {name: _attribute(rng, depth + 1) for name in rng.sample("pqr", rng.randint(0, 2))},
        "B": lambda: "AP8=",
    }
    return {kind: content[kind]()}


def _damaged(rng: random.Random, data: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] = rng.choice(b'{}[]",:\\0\n\r e.\xc3u')
    return bytes(damaged)


def _compressed(rng: random.Random, data: bytes, compression: str) -> bytes:
    places = sorted(rng.randint(0, len(data)) for _ in range(rng.choice([0, 0, 1, 2])))
    members = [data[start:stop] for start, stop in itertools.pairwise([0, *places, len(data)])]
    match compression:
        case "gzip":
            return b"".join(rng.choice([gzip.compress, igzip.compress])(each) for each in members)
        case "zstd":
            return b"".join(map(zstd.compress, members))
        case "bzip2":
            return b"".join(map(bz2.compress, members))
        case _:
            return data


class Read(NamedTuple):
    """What the engine made of a file: fields and text of good rows and reasons of rejects, by offset; or its fault."""

    rows: dict[int, tuple[Any, str]]
    rejects: dict[int, tuple[str, str]]
    header: Any
    fault: str | None
    dialect: tuple[str | None, ...]


def read(file: File) -> Read:
    """Read a file with the engine."""
    reader = ObjectReader(
        file.form,
        Wanted(COLUMNS, tuple(COLUMNS), "store"),
        limits=replace(USUAL_LIMITS, slice_bytes=file.slice_bytes),
    )
    rows: dict[int, tuple[Any, str]] = {}
    rejects: dict[int, tuple[str, str]] = {}
    numbers: list[int] = []

    def take(blocks: Iterator[Block]) -> None:
        for block in blocks:
            for i, fields in enumerate(block.rows):
                original = block.reject(i, "")
                assert original.offset is not None
                rows[original.offset] = fields, original.record
            for reject in block.rejects:
                assert reject.offset is not None
                assert reject.reason
                rejects[reject.offset] = reject.reason, reject.record
            numbers.extend(block.numbers)
            numbers.extend(reject.row for reject in block.rejects)

    fault = None
    try:
        for chunk in cut(file.data, file.sizes):
            take(reader.feed(chunk))
        take(reader.finish())
    except BadFile as error:
        fault = str(error)
    assert sorted(numbers) == list(range(1, len(numbers) + 1)), "a row number is missing or there twice"
    what = reader.found
    dialect = () if what is None else (what.delimiter, what.quote, what.escape)
    return Read(rows, rejects, reader.header, fault, dialect)


class Outcome(NamedTuple):
    """What came of comparing a file: rows that are equal, rejected ones, why it was refused, and what differs.

    `guessed`: how many rows it has, if it was taken for another dialect than the one it was written in.
    """

    equal: int
    rejected: int
    refused: str | None = None
    different: str | None = None
    guessed: int | None = None


def compare(file: File) -> Outcome:
    """Read a file with the engine and with the oracle."""
    found = read(file)
    if file.dialect is not None:
        return _compare_csv(file, file.dialect, found)
    return _compare_items(file, found) if file.kind == "dynamodb-json" else _compare_json(file, found)


def _compare_csv(file: File, dialect: Dialect, found: Read) -> Outcome:
    records = _csv_records(file.text, dialect, file.form.skip_lines)
    header, rows = records[: file.form.header_lines], records[file.form.header_lines :]
    if found.fault is not None:
        return Outcome(0, len(rows), refused=found.fault)
    if file.kind == "csv found" and found.dialect != (dialect.delimiter, dialect.quote, dialect.escape):
        same = found.header == header[0][2] and [row for row, _ in found.rows.values()] == [row[2] for row in rows]
        if not same:
            return Outcome(0, 0, guessed=len(rows))
    if file.form.header_lines == 1 and list(found.header) != header[0][2]:
        return Outcome(0, 0, different="the header")
    expected = {start: fields for start, _, fields in rows}
    for start, (fields, _) in found.rows.items():
        if expected.get(start) != list(fields):
            return Outcome(0, 0, different=f"the row at {start}")
    rejected = 0
    for start, stop, _ in rows:
        if start not in found.rows:
            rejected += 1
            if not any(start <= place < stop for place in found.rejects):
                return Outcome(0, 0, different=f"no row and no reject at {start}")
    return Outcome(len(found.rows), rejected)


def _csv_records(text: bytes, dialect: Dialect, skip_lines: int) -> list[tuple[int, int, list[str]]]:
    """Return what csv reads: the first byte of each record, the byte after it, and its fields."""
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text.decode().removeprefix("\ufeff"))
    place = 3 if text.startswith(b"\xef\xbb\xbf") else 0
    place += sum(len(line.encode()) for line in lines[:skip_lines])
    left = iter(lines[skip_lines:])
    at_start = True

    def source() -> Iterator[str]:
        nonlocal at_start
        for line in left:
            is_comment = at_start and dialect.comment and line.startswith(dialect.comment)
            at_start = False
            yield "\n" if is_comment else line  # an empty record is none

    records = []
    quoting: Any = csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE
    reader = csv.reader(source(), quoting=quoting, strict=True, **_settings(dialect))
    lengths = [len(line.encode()) for line in lines[skip_lines:]]
    line_num = 0
    for fields in reader:
        size = sum(lengths[line_num : reader.line_num])
        line_num = reader.line_num
        if fields:
            records.append((place, place + size, fields))
        place += size
        at_start = True
    return records


def _compare_json(file: File, found: Read) -> Outcome:
    expected: JsonReading = read_json_plainly(file.text)
    if expected.fault or found.fault is not None:
        same = expected.fault and found.fault is not None
        return Outcome(0, 0, refused=found.fault, different=None if same else f"the file: {found.fault}")
    rows = {place: (list(map(plain, fields)), text) for place, (fields, text) in found.rows.items()}
    if rows != {place: (fields, text) for fields, place, text in expected.rows.values()}:
        return Outcome(0, 0, different="the rows")
    if {place: text for place, (_, text) in found.rejects.items()} != dict(expected.rejects.values()):
        return Outcome(0, 0, different="the rejects")
    return Outcome(len(rows), len(found.rejects))


def _compare_items(file: File, found: Read) -> Outcome:
    if found.fault is not None:
        return Outcome(0, 0, refused=found.fault)
    place = 3 if file.text.startswith(b"\xef\xbb\xbf") else 0
    expected = {}
    for line in file.text[place:].split(b"\n"):
        if line.strip():
            item = json.loads(line)["Item"]
            own = [item.pop(name, None) for name in COLUMNS]
            expected[place] = [*own, item or None]
        place += len(line) + 1
    if found.rows.keys() | found.rejects.keys() != expected.keys():
        return Outcome(0, 0, different="a row is neither there nor rejected")
    for start, (fields, _) in found.rows.items():
        if list(fields) != expected[start] or '"N": "x"' in json.dumps(fields):
            return Outcome(0, 0, different=f"the row at {start}")
    return Outcome(len(found.rows), len(found.rejects))


def main() -> None:
    """Read the files that the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3_600)
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for number in range(arguments.first, arguments.first + arguments.files):
        if time.monotonic() > end:
            break
        file = make(str(number))
        outcome = compare(file)
        counts[f"files, {file.kind}"] += 1
        counts.update(files=1, bytes=len(file.data), equal=outcome.equal, rejected=outcome.rejected)
        if outcome.refused:
            counts["refused"] += 1
            reasons[outcome.refused] += 1
        if outcome.guessed is not None:
            counts[f"guessed otherwise, {outcome.guessed if outcome.guessed < 3 else 'more'} rows"] += 1
        if outcome.different:
            counts["different"] += 1
            counts[f"different, {file.kind}"] += 1
            print(number, file.kind, outcome.different, file.form, flush=True)
        if counts["files"] % 5_000 == 0:
            print(json.dumps(counts), flush=True)
    print(json.dumps(counts | {"refusals": dict(reasons.most_common(20))}, indent=1))


if __name__ == "__main__":
    main()
