"""Lines are counted only where the exact reader certainly comes to the same records."""

import pytest

from engine.reading.counting import RecordCounter
from engine.reading.format import RFC_4180, Dialect

UNCERTAIN = None
LONG = b"a" * 999
"""So much text outside of quotes that each of them is looked at by itself."""


def count(lines: bytes, dialect: Dialect = RFC_4180, width: int = 3, *, pad: bool = False) -> tuple[int, int] | None:
    return RecordCounter(dialect, width, pad=pad).count(lines)


@pytest.mark.parametrize(
    ("lines", "records"),
    [
        (b"a,b,c\n" * 4, 4),
        (b"a,b,c\r\n" * 4, 4),
        (b"a,b,c\n\n\na,b,c\n", 2),
        (b"\r\na,b,c\r\n\r\na,b,c\r\n", 2),
        (b"\na,b,c\n", 1),
        (b"a,b,c\ra,b,c\n\ra,b,c\r\n", 3),
        (b"a,b,c\ra,b,c\r\n", 2),
        (b'"a","b","c"\n' * 4, 4),
        (b'"a","b","c"\r\n\r\n"a",b,"c"\r\n', 2),
        (b'a,"b, b",c\n"a ""b"" c",,\n', 2),
        (b'"a"\n""\n\n""""\n', 3),
        (LONG + b',"b",' + LONG + b"\n", 1),
        (b'"a",' + LONG + b',"b"\r\n', 1),
        (b'"a ""b""",' + LONG + b',""\n', 1),
        (b'"a\nb",c,d\n\n"a\r\nb",c,d\n', 2),
        (b'a,"b,\nb",c\n', 1),
        (b'a,"b ""b"",\nb",c\n', 1),
        (b'"a,a,a","b\nb",c\n', 1),
    ],
)
def test_records_are_counted(lines: bytes, records: int) -> None:
    assert count(lines) == (records, len(lines))


@pytest.mark.parametrize(
    "lines",
    [
        b'a"b"c,d,e\n',
        b'a,"b" ,c\n',
        b'a, "b",c\n',
        b'a,b,c\na b"c",d,e\n',
        b'"a"b,c,d\n',
        b'"a",b"c",d\n',
        LONG + b',b"b",' + LONG + b"\n",
        LONG + b',"b"b,' + LONG + b"\n",
        b'"a",' + LONG + b'"b",c\n',
        b' "b",' + LONG + b"," + LONG + b"\n",
        b'a,"b,\n,b",c\n',
        b'a,"b,\r,b",c\n',
        b'a,"b,""\n"",b",c\n',
        b'a,"b\nb",c,d\n',
        b'"a\nb",c,d,"e"\n',
    ],
)
def test_what_the_reader_may_read_otherwise_is_not_counted(lines: bytes) -> None:
    assert count(lines) is UNCERTAIN


def test_open_record_is_left_out() -> None:
    whole = b'"a",b,c\na,"b\nb",c\n'
    assert count(whole + b'"x"",\ny,\n') == (2, len(whole))
    assert count(whole + b'x,"y\nz\n') == (2, len(whole))
    assert count(b'x,"y\nz\n') == (0, 0)


def test_line_breaks_are_believed_as_the_schema_says() -> None:
    doubtful, certain = b'a,"b,b\n,b",c\n', b'a,"b\nb",c\n'
    assert count(doubtful, RFC_4180._replace(multiline=True)) == (1, len(doubtful))
    assert count(certain, RFC_4180._replace(multiline=False)) is UNCERTAIN
    assert count(certain, pad=True) is UNCERTAIN
    assert count(b'"b\nb"\n', width=1) is UNCERTAIN


def test_other_dialects() -> None:
    backslash = Dialect(escape="backslash")
    assert count(b'"a",b,c\n', backslash) == (1, 8)
    assert count(b'"a\\"",b,c\n', backslash) is UNCERTAIN
    assert count(b'"a""a",b,c\n', backslash) is UNCERTAIN
    assert count(b'"a""a",b,' + LONG + b"\n", backslash) is UNCERTAIN
    comment = Dialect(comment="#")
    assert count(b"#a\na,b,c\n", comment) == (1, 9)
    assert count(b'#a\n"a",b,c\n', comment) is UNCERTAIN
    assert count(b'a,b,c\n"a",#b,c\n', comment) == (2, 15)
    wide = Dialect(delimiter="§")
    assert count("a§b§c\n".encode(), wide) == (1, 8)
    assert count('"a"§b§c\n'.encode(), wide) is UNCERTAIN
