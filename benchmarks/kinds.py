"""Files of many kinds, each with a schema for it; the same ones in every process. Pure.

Most have 100,000 different cells or so: real files repeat themselves less than the rows of `benchmarks.data`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks import data

BIRTHS = (-631_152_000, 1_893_456_000)
"""1950 to 2030, for dates."""

EVENTS = (1_451_606_400, 1_767_225_600)
"""2016 to 2025, for times."""

Draw = random.Random


@dataclass(frozen=True, slots=True)
class Kind:
    """Files of one kind: `schema` is the rest of a schema file after its first lines (None: the packaged users).

    `make` returns the content of a file with about that many bytes.
    """

    label: str
    schema: str | None
    make: Callable[[int], bytes]


def _file(header: Sequence[str], line: Callable[[Draw, int], str], size: int) -> bytes:
    draw = random.Random(9)  # noqa: S311
    lines = [",".join(header)] if header else []
    held = 0
    for number in range(size):
        lines.append(line(draw, number))
        held += len(lines[-1]) + 1
        if held >= size:
            break
    return ("\n".join(lines) + "\n").encode()


def _moment(draw: Draw, span: tuple[int, int] = BIRTHS) -> datetime:
    return datetime.fromtimestamp(draw.randrange(*span), UTC)


def _columns(settings: str, count: int, key: str = "id") -> str:
    columns = "".join(f"[columns.c{i}]\n{settings}\n" for i in range(count))
    return f'[key]\npartition = "{key}"\n[columns.{key}]\nrequired = true\n{columns}'


def _cells(settings: str, cell: Callable[[Draw], str], count: int = 5, delimiter: str = ",") -> Kind:
    """Return files of a number and `count` cells of one kind."""
    header = ["id", *(f"c{i}" for i in range(count))]

    def line(draw: Draw, number: int) -> str:
        return delimiter.join([f"{number:08d}", *(cell(draw) for _ in range(count))])

    def make(size: int) -> bytes:
        content = _file(header, line, size)
        return content.replace(",".join(header).encode(), delimiter.join(header).encode(), 1)

    return Kind("", _columns(settings, count), make)


def _written(form: str, settings: str, *, count: int = 5) -> Kind:
    span = EVENTS if "%M" in form else BIRTHS
    return _cells(settings, lambda draw: _moment(draw, span).strftime(form), count)


def _german(draw: Draw) -> str:
    return f"{draw.randrange(10**7):,}".replace(",", ".") + f",{draw.randrange(100):02d}"


def _json_cell(draw: Draw) -> str:
    value = {"a": draw.randrange(1000), "tags": ["x", f"t{draw.randrange(99)}"], "ok": True, "p": draw.random()}
    return '"' + json.dumps(value).replace('"', '""') + '"'


def _escaped_json_cell(draw: Draw) -> str:
    return _json_cell(draw).replace("x", f"caf\\u00e9 {draw.randrange(99)}").replace("tags", 'my \\""tags\\""')


def _names(draw: Draw) -> list[str]:
    return [draw.choice(("Cable", "Monitor", "Lamp", "Desk")) + f" {draw.randrange(10**4)}" for _ in range(5)]


def _quoted(draw: Draw, number: int) -> str:
    return f"{number:08d}," + ",".join(f'"{each}, new"' for each in _names(draw))


def _blank_quoted(draw: Draw, number: int) -> str:
    return f"{number:08d}, " + ", ".join(f'"{each}, new"' for each in _names(draw))


def _multiline(draw: Draw, number: int) -> str:
    names = _names(draw)
    return f'{number:08d},{names[0]},{names[1]},"{names[2]}\nsecond floor",{names[3]},{names[4]}'


def _backslashes(draw: Draw, number: int) -> str:
    return f"{number:08d}," + ",".join(f'"{each} \\"new\\""' for each in _names(draw))


def _inches(draw: Draw, number: int) -> str:
    return f"{number:08d}," + ",".join(f'"{each} 24"" new"' for each in _names(draw))


def _texts(line: Callable[[Draw, int], str], settings: str = "") -> Kind:
    header = ["id", *(f"c{i}" for i in range(5))]
    return Kind("", settings + _columns("", 5), lambda size: _file(header, line, size))


def _users(size: int) -> bytes:
    rows = max(1, size // data.DEFAULT_ROW_BYTES)
    return data.HEADER + (data.block() * (rows // data.BLOCK_ROWS + 1))[: rows * data.DEFAULT_ROW_BYTES]


def _rows(size: int) -> Iterator[dict[str, str]]:
    for line in _users(size).decode().splitlines()[1:]:
        yield dict(zip(("name", "mail", "phone"), line.split(","), strict=True))


def _json_lines(objects: Iterable[object]) -> bytes:
    return "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in objects).encode()


def _items(size: int) -> bytes:
    return _json_lines(
        {"Item": {("email" if name == "mail" else name): {"S": text} for name, text in row.items()}}
        for row in _rows(size)
    )


def _labelled(**kinds: tuple[str, Kind]) -> dict[str, Kind]:
    return {name: Kind(label, kind.schema, kind.make) for name, (label, kind) in kinds.items()}


KINDS = _labelled(
    users=("users, CSV", Kind("", None, _users)),
    jsonl=("users, JSON Lines", Kind("", None, lambda size: _json_lines(_rows(size)))),
    dynamodb=("users, DynamoDB JSON", Kind("", None, _items)),
    decimals=("20 decimal columns", _cells('type = "N"', lambda d: f"{d.randrange(10**6) / 100}", 20)),
    exponents=("5 columns of numbers with exponents", _cells('type = "N"', lambda d: f"{d.random():.6e}")),
    german=(
        "20 German numbers, semicolons",
        _cells('type = "N"\nthousands = "."\ndecimal = ","', _german, 20, ";"),
    ),
    currency=(
        "20 prices with a currency",
        _cells('type = "N"\ncurrency = ["€", "$"]', lambda d: f"${d.randrange(10**6) / 100}", 20),
    ),
    gaps=(
        "20 decimal columns, a third empty",
        _cells('type = "N"', lambda d: "" if d.random() < 1 / 3 else f"{d.randrange(10**6) / 100}", 20),
    ),
    iso_dates=("5 dates, ISO", _written("%Y-%m-%d", 'type = "date"')),
    iso_times=("5 times, ISO", _written("%Y-%m-%dT%H:%M:%SZ", 'type = "datetime"')),
    dates=("5 dates as 31.12.2025", _written("%d.%m.%Y", 'type = "date"\ninput = ["%d.%m.%Y"]')),
    times=(
        "5 times as 31.12.2025 23:59",
        _written("%d.%m.%Y %H:%M", 'type = "datetime"\ninput = ["%d.%m.%Y %H:%M"]'),
    ),
    us_times=(
        "5 times as 01/31/2025 11:59 PM",
        _written("%m/%d/%Y %I:%M %p", 'type = "datetime"\ninput = ["%m/%d/%Y %I:%M %p"]'),
    ),
    month_names=("5 dates as 31-Jan-2025", _written("%d-%b-%Y", 'type = "date"\ninput = ["%d-%b-%Y"]')),
    us_dates=(
        "5 dates as 1/31/2025",
        _cells('type = "date"\ninput = ["%m/%d/%Y"]', lambda d: "{0.month}/{0.day}/{0.year}".format(_moment(d))),
    ),
    two_forms=(
        "5 dates as 1/31/2025 or 2025-01-31",
        _cells(
            'type = "date"\ninput = ["%m/%d/%Y", "%Y-%m-%d"]',
            lambda d: d.choice(("{0.month}/{0.day}/{0.year}", "{0:%Y-%m-%d}")).format(_moment(d)),
        ),
    ),
    milliseconds=(
        "5 times, ISO with milliseconds",
        _cells(
            'type = "datetime"\noutput = "iso-ms"',
            lambda d: f"{_moment(d, EVENTS):%Y-%m-%dT%H:%M:%S}.{d.randrange(1000):03d}Z",
        ),
    ),
    offsets=(
        "5 times, ISO with an offset",
        _cells(
            'type = "datetime"', lambda d: f"{_moment(d, EVENTS):%Y-%m-%dT%H:%M:%S}{d.choice(('+01:00', '+02:00'))}"
        ),
    ),
    seconds=(
        "5 times, seconds since the epoch",
        _cells('type = "datetime"\ninput = ["epoch"]', lambda d: str(d.randrange(*EVENTS))),
    ),
    epochs=("5 times, ISO to epoch", _written("%Y-%m-%dT%H:%M:%SZ", 'type = "datetime"\noutput = "epoch"')),
    zoned=(
        "5 times of Berlin",
        _written("%Y-%m-%d %H:%M:%S", 'type = "datetime"\ntimezone = "Europe/Berlin"'),
    ),
    zoned_dates=(
        "5 times of Berlin as 31.12.2025 23:59, to epoch",
        _written(
            "%d.%m.%Y %H:%M",
            'type = "datetime"\ninput = ["%d.%m.%Y %H:%M"]\ntimezone = "Europe/Berlin"\noutput = "epoch"',
        ),
    ),
    json=("2 JSON columns", _cells('type = "json"', _json_cell, 2)),
    escaped_json=("2 JSON columns with escapes", _cells('type = "json"', _escaped_json_cell, 2)),
    lists=(
        "5 lists of texts",
        _cells('type = "list"\nseparator = "|"', lambda d: "|".join(f"tag{d.randrange(999)}" for _ in range(4))),
    ),
    sets=(
        "5 sets of texts",
        _cells('type = "set"\nseparator = "|"', lambda d: "|".join(f"tag{d.randrange(999)}" for _ in range(4))),
    ),
    number_lists=(
        "5 lists of numbers",
        _cells(
            'type = "list"\nitems = "N"\nseparator = "|"',
            lambda d: "|".join(f"{d.randrange(99_999)}" for _ in range(4)),
        ),
    ),
    price_lists=(
        "5 lists of prices",
        _cells(
            'type = "list"\nitems = "N"\nseparator = "|"',
            lambda d: "|".join(f"{d.randrange(99_999) / 100:.2f}" for _ in range(4)),
        ),
    ),
    quoted=("5 quoted texts with commas", _texts(_quoted)),
    inches=("5 quoted texts with doubled quotes", _texts(_inches)),
    blanks=("5 quoted texts after blanks", _texts(_blank_quoted)),
    multiline=("a quoted line break in each row", _texts(_multiline)),
    backslashes=("5 quoted texts with backslash escapes", _texts(_backslashes, '[format]\nescape = "backslash"\n')),
)
"""By name: users first, which the others are compared with."""
