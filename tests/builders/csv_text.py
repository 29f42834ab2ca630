"""CSV for the tests: a reader so plain that it can be checked by eye, texts to read, and ways to cut them."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from engine.errors import BadFile
from engine.reading.block import FILE_START, Block, Position, Reject
from engine.reading.delimited import CsvReader
from engine.reading.format import RFC_4180, Dialect, Format
from engine.reading.limits import USUAL_LIMITS, Limits
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


def read(
    chunks: Iterable[bytes],
    limits: Limits = USUAL_LIMITS,
    start: Position = FILE_START,
    dialect: Dialect = RFC_4180,
    **form: Any,
) -> Reading:
    """Read chunks with `CsvReader`; `form` are settings of `Format`."""
    reader, reading = CsvReader(start, limits, form=Format(**form), dialect=dialect), Reading()

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


def read_whole(data: bytes, limits: Limits = USUAL_LIMITS, dialect: Dialect = RFC_4180, **form: Any) -> Reading:
    """Read a file in one chunk and one slice: what `CsvReader` must come to, however it gets the bytes."""
    return read([data], replace(limits, slice_bytes=len(data) + 1), dialect=dialect, **form)


# Where the reader is in a record, and what it meets there -> where it is then, and what becomes of the text.
_STEPS = {
    ("begin", "quote"): ("quoted", "begin"),
    ("begin", "delimiter"): ("begin", "next field"),
    ("begin", "blank"): ("begin", "keep"),
    ("begin", "text"): ("plain", "keep"),
    ("plain", "quote"): ("plain", "keep"),
    ("plain", "delimiter"): ("begin", "next field"),
    ("plain", "blank"): ("plain", "keep"),
    ("plain", "text"): ("plain", "keep"),
    ("quoted", "quote"): ("closed", "drop"),
    ("quoted", "delimiter"): ("quoted", "keep"),
    ("quoted", "blank"): ("quoted", "keep"),
    ("quoted", "text"): ("quoted", "keep"),
    ("closed", "quote"): ("broken", "drop"),
    ("closed", "delimiter"): ("begin", "next field"),
    ("closed", "blank"): ("closed", "drop"),
    ("closed", "text"): ("broken", "drop"),
}


def fields_of(record: str, dialect: Dialect = RFC_4180) -> list[str] | None:
    """Read one record character by character; None if its quotes are broken. Plain enough to be checked by eye."""
    fields, state, rest = [""], "begin", list(record)
    while rest:
        kind, text = _take(rest, state, dialect)
        state, fate = _STEPS[state, kind]
        if state == "broken":
            return None
        if fate == "next field":
            fields.append("")
        elif fate == "begin":
            fields[-1] = ""
        elif fate == "keep":
            fields[-1] += text
    return None if state == "quoted" else fields


def _take(rest: list[str], state: str, dialect: Dialect) -> tuple[str, str]:
    """Take the next character, with what it escapes; return what it is and its text."""
    character = rest.pop(0)
    if dialect.escape == "backslash" and character == "\\" and rest:
        following = rest.pop(0)
        if following + "".join(rest[:1]) == "\r\n":
            following += rest.pop(0)
        known = {dialect.delimiter, dialect.quote, "\\", "\r\n", "\r", "\n"}
        return "text", following if following in known else character + following
    if character == dialect.quote:
        if state == "quoted" and dialect.escape == "double" and rest[:1] == [character]:
            return "text", rest.pop(0)
        return "quote", character
    if character == dialect.delimiter:
        return "delimiter", character
    return "blank" if character in " \t" else "text", character


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

DIALECTS = [
    *(Dialect(delimiter=delimiter) for delimiter in ",;\t|^ "),
    Dialect(delimiter=";", quote="'"),
    Dialect(quote=""),
    Dialect(escape="backslash"),
    Dialect(delimiter="\t", quote="", escape="backslash"),
    Dialect(comment="#"),
    Dialect(multiline=True),
    Dialect(multiline=False),
]
SOME_DIALECT = st.just(RFC_4180) | st.sampled_from(DIALECTS)

# Whatever changes the reader's mind, in any order. Half of it is quotes and line ends.
_PIECES = [
    b'"',
    b'""',
    b'"\n',
    b'\n"',
    b',"',
    b'",',
    b"\n",
    b"\r",
    b"\r\n",
    b",",
    b"a",
    b"bcd",
    b" ",
    b"\0",
    b"\\",
    b"#",
]
_PIECES += ["é".encode(), "€".encode(), "😀".encode(), b"\xe2\x82", b"\xff", b"\x80", b"\xef\xbb\xbf", b"a,b\n"]
_HEADS = st.sampled_from([b"a,b\n", b"\xef\xbb\xbfa\r\n", b"\n\ra\r", b""])
_PILES = choices(_PIECES, max_size=12) | choices(_PIECES, min_size=20)
RUBBISH = st.builds(lambda head, pile: head + b"".join(pile), _HEADS, _PILES)


def written_in(dialect: Dialect, data: bytes) -> bytes:
    """Return text of commas and double quotes with the characters of a dialect in their places."""
    quote = dialect.quote or '"'
    return data.translate(bytes.maketrans(b',"', (dialect.delimiter + quote).encode()))


@dataclass(frozen=True)
class Valid:
    """A file without any fault: the records that were put into it, header first, and its bytes."""

    records: list[list[str]]
    data: bytes


_NEXT_CELL, _NEXT_ROW = "cell", "row"
_PARTS = [*"ab ,\"\n\r\tß€😀\u2028\x85\x1c\x0b\x00\ufeff'\\#;|", *[_NEXT_CELL] * 8, *[_NEXT_ROW] * 7]
_LINE_ENDS = ["\n", "\r\n", "\r"] * 4 + ["\n\n", "\n\r", "\r\r", "\r\n\r\n", "\r\r\n\n"]  # some with empty lines


@st.composite
def valid_files(draw: st.DrawFn, dialect: Dialect = RFC_4180) -> Valid:
    """Files with quoting, all line ends mixed, empty lines, with or without BOM and a last line end."""
    rows = [[""]]
    for part in draw(choices(_PARTS, min_size=12)):
        if part == _NEXT_ROW:
            rows.append([""])
        elif part == _NEXT_CELL:
            rows[-1].append("")
        elif _can_hold(dialect, part):
            rows[-1][-1] += part
    count = sum(map(len, rows))
    quoted = iter(draw(choices([False, True], min_size=count, max_size=count)))
    ends = iter(draw(choices(_LINE_ENDS, min_size=len(rows), max_size=len(rows))))
    text = ""
    for row in rows:
        cells = [_encoded(cell, dialect, quoted=next(quoted)) for cell in row]
        line = dialect.delimiter.join(cells)
        if not line:  # a lone empty field without quotes would be an empty line
            row[0] = "" if dialect.quote else "x"
            line = dialect.quote * 2 or "x"
        text += line + next(ends)
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    bom = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    return Valid(rows, bom + text.encode())


def _can_hold(dialect: Dialect, character: str) -> bool:
    """Return whether a field can hold a character at any place."""
    if not dialect.quote:
        # `csv` reads an escaped CRLF as CR and the end of the record.
        return character not in "\r\n\ufeff" and (character != dialect.delimiter or dialect.escape == "backslash")
    return True


def _encoded(cell: str, dialect: Dialect, *, quoted: bool) -> str:
    quote = dialect.quote
    if dialect.escape == "backslash":
        for special in ("\\", *quote, *(dialect.delimiter if not quote else "")):
            cell = cell.replace(special, "\\" + special)
    else:
        cell = cell.replace(quote, quote * 2) if quote else cell
    needed = (dialect.delimiter, quote or "\n", "\r", "\n", "\ufeff", "#")
    return quote + cell + quote if quoted or any(each in cell for each in needed) else cell


def csv_rows(data: bytes, dialect: Dialect) -> list[list[str]]:
    """Read a whole file with Python's csv."""
    reader = csv.reader(
        io.StringIO(data.decode("utf-8-sig"), newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        doublequote=dialect.escape == "double",
        escapechar="\\" if dialect.escape == "backslash" else None,
        strict=True,
    )
    return [row for row in reader if row]
