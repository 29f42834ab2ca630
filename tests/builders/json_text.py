"""JSON lines for the tests: a reader so plain that it can be checked by eye, and lines to read."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from hypothesis import strategies as st

from engine.errors import BadFile
from engine.exact_json import NumberText
from engine.reading.block import FILE_START, Block, Position, Reject
from engine.reading.format import Path
from engine.reading.json_lines import JsonLinesReader
from engine.reading.json_members import Members
from engine.reading.limits import USUAL_LIMITS, Limits

COLUMNS: dict[str, list[Path]] = {"id": [("id",), ("key",)], "city": [("address", "city")], "a": [("a",)]}


@dataclass
class JsonReading:
    """All that came of a file. `rows`: the fields of each good row, its byte offset, and its original text."""

    rows: dict[int, tuple[Any, int, str]] = field(default_factory=dict)
    rejects: dict[int, tuple[int, str]] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict, compare=False)
    fault: bool = False
    ends: list[Position] = field(default_factory=list, compare=False)

    @property
    def fields(self) -> list[Any]:
        """The fields of the good rows, in order."""
        return [fields for fields, _, _ in self.rows.values()]


def plain(value: Any) -> Any:
    """Return a value in which equal things are equal and different ones are not: 1, 1.0, true and "1"."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, NumberText | Decimal) or type(value) in (int, float):
        return "number", _exactly(str(value))
    return type(value).__name__, value


def members(unknown: str = "store") -> Members:
    return Members(COLUMNS, unknown=unknown)


def read_json(
    chunks: Iterable[bytes],
    limits: Limits = USUAL_LIMITS,
    start: Position = FILE_START,
    reader: JsonLinesReader | None = None,
) -> JsonReading:
    """Read chunks with `JsonLinesReader`."""
    reader, reading = reader or JsonLinesReader(members(), start, limits), JsonReading()

    def take(blocks: Iterator[Block]) -> None:
        for block in blocks:
            assert block.rows or block.rejects
            add_block(reading, block)

    try:
        for chunk in chunks:
            take(reader.feed(chunk))
            assert reader.held <= limits.record_bytes, "more is held back than one record"
        take(reader.finish())
    except BadFile:
        reading.fault = True
    return reading


def add_block(reading: JsonReading, block: Block) -> None:
    """Add what is in a block to a reading."""
    assert block.end is not None
    reading.ends.append(block.end)
    for i, (number, fields) in enumerate(zip(block.numbers, block.rows, strict=True)):
        original: Reject = block.reject(i, "why")
        assert (original.row, original.reason) == (number, "why")
        assert original.offset is not None
        reading.rows[number] = list(map(plain, fields)), original.offset, original.record
    assert block.rejects == sorted(block.rejects)
    for reject in block.rejects:
        assert reject.offset is not None
        reading.rejects[reject.row] = reject.offset, reject.record
        reading.reasons[reject.row] = reject.reason


class _Refused(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise _Refused
    return dict(pairs)


def _constant(_: str) -> Any:
    raise _Refused


def load_exactly(line: bytes) -> Any:
    """Return what a line of JSON holds, read by Python's json, with exact numbers. Raises `ValueError`."""
    text = line.decode()
    value = json.loads(
        text, parse_float=_number, parse_int=_number, parse_constant=_constant, object_pairs_hook=_unique
    )
    if re.search("[\ud800-\udfff]", json.dumps(value, default=str, ensure_ascii=False)):
        raise _Refused
    return value


def _number(text: str) -> Decimal | NumberText:
    if abs(float(text)) == float("inf"):
        raise _Refused
    return _exactly(text)


def _exactly(text: str) -> Decimal | NumberText:
    try:
        return Decimal(text)
    except InvalidOperation:  # zero with an exponent of 20 digits
        return NumberText(text)


def fields_of(value: Any) -> list[Any]:
    """Return the fields of `COLUMNS` and the rest of an object. Raises `ValueError` if they read in two ways."""
    if not isinstance(value, dict):
        raise _Refused
    fields: list[Any] = [None, None, None]
    rest = {}
    for key, each in value.items():
        match key.strip().casefold():
            case "id" | "key":
                column, found = 0, [each]
            case "address":
                column, found = 1, _cities(each)
            case "a":
                column, found = 2, [each]
            case _:
                rest[key] = each
                continue
        for one in found:
            if one is not None and fields[column] is not None:
                raise _Refused
            fields[column] = fields[column] if one is None else one
    return [*fields, rest or None]


def _cities(address: Any) -> list[Any]:
    if address is None:
        return []
    if not isinstance(address, dict):
        raise _Refused
    return [each for key, each in address.items() if key.strip().casefold() == "city"]


def read_json_plainly(data: bytes, limits: Limits = USUAL_LIMITS) -> JsonReading:
    """Read a whole file line by line: what `JsonLinesReader` must come to, however it gets the bytes."""
    reading = JsonReading()
    offset = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    number = 0
    for line in re.findall(rb"[^\n]*\n|[^\n]+", data[offset:]):
        begin, offset = offset, offset + len(line)
        too_long = len(line) > limits.record_bytes
        if not too_long and not line.strip(b" \t\r\n"):
            continue
        number += 1
        beginning = line[: limits.record_bytes].strip()
        if number == 1 and (beginning.startswith(b"[") or beginning == b"{"):
            reading.fault = True
            return reading
        text = line[: limits.record_bytes].rstrip(b"\r\n").decode(errors="backslashreplace")
        try:
            if too_long:
                raise _Refused
            reading.rows[number] = list(map(plain, fields_of(load_exactly(line)))), begin, text
        except ValueError:
            reading.rejects[number] = begin, text
    return reading


KEYS = st.sampled_from(
    ["id", "ID", "key", " a", "a", "A", "address", "Address", "city", "City", "x", "y", "", 'k":', "é"]
)
TEXT_PIECES = st.sampled_from(
    [
        '"',
        ":",
        '":',
        " ",
        "a",
        "é",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "{",
        "}",
        "\\",
        "12345678901234567",
        "1e400",
        "\n",
        "\t",
    ]
)
TEXTS = st.lists(TEXT_PIECES, max_size=4).map("".join)
NUMBERS = st.one_of(
    st.integers(-(10**22), 10**22).map(str),
    st.integers(-100, 100).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,22})?([eE][-+]?[0-9]{1,3})?", fullmatch=True).map(
        lambda text: text.translate({ord(c): str(i % 10) for i, c in enumerate("٠١٢٣٤٥٦٧٨٩")})
    ),
    st.sampled_from(
        [
            "0.1",
            "1e5",
            "-0",
            "-0.0",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551616",
            "1e308",
            "1e400",
            "1e-400",
            "0.12345678901234567890",
            "NaN",
            "Infinity",
            "-Infinity",
            "01",
            "1.",
        ]
    ),
)


@dataclass(frozen=True)
class Raw:
    """A piece of JSON text."""

    text: str


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), TEXTS, NUMBERS.map(Raw)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.lists(st.tuples(KEYS, inner), max_size=3).map(tuple)),
    max_leaves=6,
)
OBJECTS = st.lists(st.tuples(KEYS, VALUES), max_size=5).map(tuple)
STYLES = st.tuples(
    st.booleans(), st.sampled_from([":", ": ", " : ", "\t:", " :"]), st.sampled_from([",", ", "]), st.booleans()
)


def write(value: Any, style: tuple[bool, str, str, bool]) -> str:
    """Write a value as JSON; a tuple is the members of an object, whose keys may repeat."""
    ascii_only, colon, comma, escaped = style
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, tuple):
        return "{" + comma.join(write(key, style) + colon + write(each, style) for key, each in value) + "}"
    if isinstance(value, list):
        return "[" + comma.join(write(each, style) for each in value) + "]"
    text = json.dumps(value, ensure_ascii=ascii_only)
    return text.replace('\\"', "\\u0022").replace(":", "\\u003a") if escaped and isinstance(value, str) else text


LINES = st.one_of(
    st.builds(write, OBJECTS, STYLES).map(str.encode),
    st.sampled_from(
        [
            b"",
            b" ",
            b"\r",
            b"null",
            b"1",
            b"{}",
            b"{},{}",
            b"[",
            b"{",
            b'{"a":1}}',
            b'{"a":"\xff"}',
            b'{"a":"\\ud800"}',
            b"\x00",
            b"\x0b",
            b'{"id":1}',
            b'{"id":2,"a":3}',
        ]
    ),
)


@st.composite
def json_files(draw: st.DrawFn) -> bytes:
    """Files of good and faulty lines, some with a few bytes changed."""
    lines = draw(st.lists(LINES, max_size=8))
    ends = draw(st.lists(st.sampled_from([b"\n", b"\r\n", b"\n\n"]), min_size=len(lines), max_size=len(lines)))
    data = bytearray(b"".join(line + end for line, end in zip(lines, ends, strict=True)))
    if draw(st.booleans()):
        data = data.rstrip(b"\r\n")
    if data and draw(st.integers(0, 3)) == 0:
        for _ in range(draw(st.integers(1, 3))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.sampled_from(list(b'{}[]",:\\0\n\r e.\xc3u')))
    return (b"\xef\xbb\xbf" if draw(st.integers(0, 9)) == 0 else b"") + bytes(data)
