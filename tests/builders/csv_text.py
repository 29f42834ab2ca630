"""CSV for the tests: a reader so plain that it can be checked by eye, texts to read, and ways to cut them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hypothesis import strategies as st

from engine.errors import BadFile
from engine.reading.block import FILE_START, Block, Position, Reject
from engine.reading.delimited import CsvReader
from engine.reading.limits import USUAL_LIMITS, Limits
from engine.reading.records import BAD_QUOTES, NEVER_CLOSED, NOT_UTF8, TOO_BROKEN
from tests.builders.choices import choices

ROOMY = 1_000
"""More than any generated text has bytes: neither record nor slice is cut."""


@dataclass
class Reading:
    """All that came of a file. `rows`: the fields of each good row, its byte offset, and its original text."""

    header: list[str] | None = None
    rows: dict[int, tuple[list[str], int, str]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    fault: str | None = None

    @property
    def fields(self) -> list[list[str]]:
        """The fields of the good rows, in order."""
        return [fields for fields, _, _ in self.rows.values()]

    @property
    def numbers(self) -> list[int]:
        """The numbers of all rows, good and rejected, in order."""
        return sorted([*self.rows, *(reject.row for reject in self.rejects)])


def read(chunks: Iterable[bytes], limits: Limits = USUAL_LIMITS, start: Position = FILE_START) -> Reading:
    """Read chunks with `CsvReader`."""
    reader, reading = CsvReader(start, limits), Reading()

    def take(blocks: Iterator[Block]) -> None:
        for block in blocks:
            assert block.rows or block.rejects
            add_block(reading, block)

    try:
        for chunk in chunks:
            take(reader.feed(chunk))
            assert reader.held <= limits.record_bytes, "more is held back than one record"
        take(reader.finish())
        reading.header = list(reader.header or [])
    except BadFile as error:
        reading.header = None if reader.header is None else list(reader.header)
        reading.fault = str(error)
    return reading


def add_block(reading: Reading, block: Block) -> None:
    """Add what is in a block to a reading."""
    for i, (number, fields) in enumerate(zip(block.numbers, block.rows, strict=True)):
        original = block.reject(i, "why")
        assert (original.row, original.reason) == (number, "why")
        assert original.offset is not None
        reading.rows[number] = fields, original.offset, original.record
    assert block.rejects == sorted(block.rejects)
    reading.rejects += block.rejects


def read_plainly(data: bytes, limits: Limits = USUAL_LIMITS) -> Reading:
    """Read a whole file byte by byte: what `CsvReader` must come to, however it gets the bytes."""
    reading = Reading()
    offset = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    lines = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", data[offset:])
    number = first = wasted = 0
    while first < len(lines):
        fields, behind, reason = _record_at(lines, first, limits)
        if reason not in (None, NOT_UTF8):
            # All these lines were scanned, as far as they may be one record; now all but the first are scanned again.
            while behind > first + 1 and len(b"".join(lines[first:behind])) > limits.record_bytes:
                behind -= 1
            scanned = len(b"".join(lines[first:behind])) if behind > first + 1 else 0
            wasted += scanned if scanned > limits.waste_unnoticed else 0
            if scanned > limits.waste_unnoticed and wasted > limits.waste_allowed + limits.waste_share * offset:
                reason = TOO_BROKEN
            else:
                behind = first + 1
        original = b"".join(lines[first:behind])
        begin, offset, first = offset, offset + len(original), behind
        if fields == []:
            continue
        text = original[: limits.record_bytes].rstrip(b"\r\n").decode(errors="backslashreplace")
        if reading.header is None:
            if fields is None:
                reading.fault = f"the header line cannot be read: {reason}"
                return reading
            reading.header = fields
            continue
        number += 1
        if fields is None:
            reading.rejects.append(Reject(number, begin, str(reason), text))
        else:
            reading.rows[number] = fields, begin, text
    if reading.header is None:
        reading.fault = "the file is empty: it has no header line"
    return reading


# Where the reader is in a record, and what it meets there -> where it is then, and what becomes of the byte.
_STEPS = {
    ("begin", b'"'): ("quoted", "drop"),
    ("begin", b","): ("begin", "next field"),
    ("begin", b"x"): ("plain", "keep"),
    ("plain", b'"'): ("plain", "keep"),
    ("plain", b","): ("begin", "next field"),
    ("plain", b"x"): ("plain", "keep"),
    ("quoted", b'"'): ("behind quote", "drop"),
    ("quoted", b","): ("quoted", "keep"),
    ("quoted", b"x"): ("quoted", "keep"),
    ("behind quote", b'"'): ("quoted", "keep"),
    ("behind quote", b","): ("begin", "next field"),
    ("behind quote", b"x"): ("broken", "drop"),
}


def _record_at(lines: list[bytes], first: int, limits: Limits) -> tuple[list[str] | None, int, str | None]:
    """The record that begins with a line: its fields (none: an empty line), the line behind it, and what is wrong."""
    cells, state, size = [b""], "begin", 0
    for i in range(first, len(lines)):
        size += len(lines[i])
        content = lines[i].rstrip(b"\r\n")
        if i == first and not content:
            return [], i + 1, None
        for byte in (content[j : j + 1] for j in range(len(content))):
            state, fate = _STEPS[state, byte if byte in b',"' else b"x"]
            if state == "broken":
                return None, i + 1, limits.too_long if size > limits.record_bytes else BAD_QUOTES
            if fate == "next field":
                cells.append(b"")
            elif fate == "keep":
                cells[-1] += byte
        if state != "quoted":
            return _closed(cells, i + 1, limits.too_long if size > limits.record_bytes else None)
        cells[-1] += lines[i][len(content) :]
    return None, len(lines), limits.too_long if size > limits.record_bytes else NEVER_CLOSED


def _closed(cells: list[bytes], behind: int, fault: str | None) -> tuple[list[str] | None, int, str | None]:
    if fault:
        return None, behind, fault
    try:
        return [cell.decode() for cell in cells], behind, None
    except UnicodeDecodeError:
        return None, behind, NOT_UTF8


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut bytes into chunks of the given sizes, the last of which is repeated."""
    start, sizes = 0, sizes or [len(data) or 1]
    for i in range(len(data)):
        size = sizes[min(i, len(sizes) - 1)]
        if start >= len(data):
            break
        yield data[start : start + size]
        start += size


LIMITS = st.sampled_from(
    [
        Limits(record, piece, waste_unnoticed=unnoticed, waste_allowed=allowed, waste_share=share)
        for record in (5, 9, 20, ROOMY)
        for piece in (1, 2, 7, 30, ROOMY)
        for unnoticed in (0, 6, ROOMY)
        for allowed in (0, 20, ROOMY)
        for share in range(3)
    ]
)
SIZES = choices(range(1, 13), max_size=12)

# Whatever changes the reader's mind, in any order. Half of it is quotes and line ends.
_PIECES = [b'"', b'""', b'"\n', b'\n"', b',"', b'",', b"\n", b"\r", b"\r\n", b",", b"a", b"bcd", b" ", b"\0"]
_PIECES += ["é".encode(), "€".encode(), "😀".encode(), b"\xe2\x82", b"\xff", b"\x80", b"\xef\xbb\xbf"]
_HEADS = st.sampled_from([b"a,b\n", b"\xef\xbb\xbfa\r\n", b"\n\ra\r", b""])
_PILES = choices(_PIECES, max_size=12) | choices(_PIECES, min_size=20)
RUBBISH = st.builds(lambda head, pile: head + b"".join(pile), _HEADS, _PILES)


@dataclass(frozen=True)
class Valid:
    """A file without any fault: the records that were put into it, header first, and its bytes."""

    records: list[list[str]]
    data: bytes


_NEXT_CELL, _NEXT_ROW = "cell", "row"
_PARTS = [*'ab ,"\n\r\téß€😀\u2028\x85\x1c\x0b\x00\ufeff', *[_NEXT_CELL] * 7, *[_NEXT_ROW] * 6]
_LINE_ENDS = ["\n", "\r\n", "\r"] * 4 + ["\n\n", "\n\r", "\r\r", "\r\n\r\n", "\r\r\n\n"]  # some with empty lines


@st.composite
def valid_files(draw: st.DrawFn) -> Valid:
    """Files with quoting, all line ends mixed, empty lines, with or without BOM and a last line end."""
    rows = [[""]]
    for part in draw(choices(_PARTS, min_size=12)):
        if part == _NEXT_ROW:
            rows.append([""])
        elif part == _NEXT_CELL:
            rows[-1].append("")
        else:
            rows[-1][-1] += part
    count = sum(map(len, rows))
    quoted = iter(draw(choices([False, True], min_size=count, max_size=count)))
    ends = iter(draw(choices(_LINE_ENDS, min_size=len(rows), max_size=len(rows))))
    text = ""
    for row in rows:
        cells = [_encoded(cell, quoted=next(quoted) or cell.startswith("\ufeff")) for cell in row]
        line = ",".join(cells) or '""'  # a lone empty field without quotes would be an empty line
        text += line + next(ends)
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    bom = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    return Valid(rows, bom + text.encode())


def _encoded(cell: str, *, quoted: bool) -> str:
    if quoted or any(c in ',"\r\n' for c in cell):
        return '"' + cell.replace('"', '""') + '"'
    return cell
