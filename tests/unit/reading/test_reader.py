"""Objects of any dialect and encoding: what is found in the first bytes, and what is read with it."""

import codecs

import pytest

from engine.errors import BadFile
from engine.reading.block import Reject
from engine.reading.closely import DOUBTFUL
from engine.reading.dynamodb_json import INCREMENTAL
from engine.reading.format import Format
from engine.reading.limits import Limits
from engine.reading.reader import Found, ObjectReader
from tests.builders.csv_text import Reading, add_block, cut

ROWS = [["id", "name", "note"], ["1", "Zoë", "a"], ["2", "Max", "b"], ["3", "", "c"]]


def read_object(data: bytes, form: Format, sizes: list[int]) -> tuple[Reading, Found | None]:
    """Read a whole object in chunks of these sizes."""
    reader, reading = ObjectReader(form), Reading()
    try:
        for chunk in cut(data, sizes):
            for block in reader.feed(chunk):
                add_block(reading, block)
        for block in reader.finish():
            add_block(reading, block)
    except BadFile as error:
        reading.fault = str(error)
    reading.header = None if reader.header is None else list(reader.header)
    return reading, reader.found


def text_of(delimiter: str, end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in ROWS)


@pytest.mark.parametrize("sizes", [[1], [7], [100_000]])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("codec", "declared", "found"),
    [
        ("utf-8", None, "utf-8"),
        ("utf-8-sig", None, "utf-8"),
        ("utf-16", None, "utf-16-le"),
        ("utf-8-sig", "utf-8", "utf-8"),
        ("utf-8", "utf-8-sig", "utf-8"),
        ("utf-16", "utf-16", "utf-16-le"),
        ("utf-16", "utf-16-le", "utf-16-le"),
        ("utf-16-le", "utf-16-le", "utf-16-le"),
        ("utf-32", "utf-32", "utf-32-le"),
        ("latin-1", "iso8859-1", "iso8859-1"),
        ("cp1252", "cp1252", "cp1252"),
    ],
)
def test_delimiter_and_encoding(codec: str, declared: str | None, found: str, delimiter: str, sizes: list[int]) -> None:
    reading, what = read_object(text_of(delimiter).encode(codec), Format(encoding=declared), sizes)
    assert reading.fault is None
    assert [reading.header, *reading.fields] == ROWS
    assert what == Found("csv", "none", found, delimiter, '"', "double", 1, 3)


@pytest.mark.parametrize("mark", [b"\xfe\xff", b"\xff\xfe"])
def test_utf_16_of_either_byte_order(mark: bytes) -> None:
    codec = "utf-16-be" if mark == b"\xfe\xff" else "utf-16-le"
    reading, what = read_object(mark + text_of(",", "\r\n").encode(codec), Format(), [3])
    assert [reading.header, *reading.fields] == ROWS
    assert what is not None
    assert what.encoding == codec


def test_multibyte_encoding_is_read_across_chunks() -> None:
    text = "id,name\n1,表示ソ\n2,能\n"
    reading, _ = read_object(text.encode("shift_jis"), Format(encoding="shift_jis"), [1])
    assert reading.fields == [["1", "表示ソ"], ["2", "能"]]


@pytest.mark.parametrize("codec", ["utf-8", "latin-1", "cp1252"])
def test_format_of_a_tiny_file_is_found_from_all_of_it(codec: str) -> None:
    encoding = None if codec == "utf-8" else codecs.lookup(codec).name
    reading, what = read_object("'id'\r'0'\r".encode(codec), Format(encoding=encoding), [100])
    assert what is not None
    assert (what.quote, reading.header, reading.fields) == ("'", ["id"], [["0"]])


def test_bytes_that_the_declared_encoding_lacks_are_a_reject() -> None:
    data = b"id,name\n1,\x81\xe9\n2,\xe9\n"
    reading, _ = read_object(data, Format(encoding="cp1252"), [2])
    assert reading.fields == [["2", "é"]]
    # The offset counts the text as UTF-8.
    assert reading.rejects == [Reject(1, 8, "the row is not cp1252 text", r"1,\x81é")]


@pytest.mark.parametrize("declared", ["utf-16", "utf-32"])
def test_byte_order_that_nothing_says_is_refused(declared: str) -> None:
    reading, _ = read_object(text_of(",").encode(f"{declared}-le"), Format(encoding=declared), [3])
    assert reading.fault == (
        f"the schema declares {declared} text, but the file has no byte order mark: declare {declared}-le or "
        f"{declared}-be in [format]"
    )


@pytest.mark.parametrize(
    ("codec", "data"),
    [("iso2022_jp", b"k,b\nx,\n\x1b$\xffk,b\nx,\n\x1b$B%=\x1b(B,1\n"), ("punycode", b"k,b\n\xff,1\n")],
)
def test_bytes_at_which_a_codec_gives_up_end_the_file(codec: str, data: bytes) -> None:
    reading, _ = read_object(data, Format(encoding=codec), [3])
    assert reading.fault == f"the file is not {codec} text: it cannot be decoded to its end"


@pytest.mark.parametrize("most", range(20, 28))
@pytest.mark.parametrize("end", ["é", "表", "😀"])
def test_record_that_is_too_long_may_be_cut_off_within_a_character(most: int, end: str) -> None:
    text, limits = "id,name\n1," + end * 20 + "\n2,b\n", Limits(record_bytes=most, slice_bytes=16)
    reader, reading = ObjectReader(Format(), limits=limits), Reading()
    for block in [*reader.feed(text.encode("utf-16")), *reader.finish()]:
        add_block(reading, block)
    assert reading.fields == [["2", "b"]]
    assert [(each.reason, each.record.strip(end)) for each in reading.rejects] == [(limits.too_long, "1,")]


@pytest.mark.parametrize("data", [b"id,name\n1,Zo\xeb\n", b"id,na\xefve\n1,a\n"])
def test_what_is_not_utf_8_has_the_remedy_in_its_reason(data: bytes) -> None:
    reading, _ = read_object(data, Format(), [100])
    reason = reading.rejects[0].reason if reading.rejects else reading.fault or ""
    assert reason.endswith("the row is not UTF-8 text: set encoding in [format] if the file has another one")


def test_file_without_a_header_gets_its_names_from_the_schema() -> None:
    form = Format(header_lines=0, names=("id", "name", "note"))
    reading, what = read_object(text_of(";").encode().removeprefix(b"id;name;note\n"), form, [5])
    assert [reading.header, *reading.fields] == ROWS
    assert what is not None
    assert (what.delimiter, what.header_lines) == (";", 0)


def test_lines_before_a_header_of_several_lines() -> None:
    data = b"Export\r\n\r\nid,na,\r\n,me,x y\r\n1,a,b\r\n"
    reading, _ = read_object(data, Format(skip_lines=2, header_lines=2), [1])
    assert (reading.header, reading.fields) == (["id", "na me", "x y"], [["1", "a", "b"]])
    assert reading.rows[1][1] == data.index(b"1,a")


def test_incremental_export_is_refused_though_nothing_is_declared() -> None:
    line = b'{"Metadata":{"WriteTimestampMicros":"1"},"Keys":{"pk":{"S":"a"}},"NewImage":{"pk":{"S":"a"}}}\n'
    reading, _ = read_object(line, Format(), [100])
    assert reading.fault == INCREMENTAL


def test_two_possible_delimiters_are_refused() -> None:
    reading, _ = read_object(b"a,b;c\n1,2;3\n4,5;6\n", Format(), [100])
    assert reading.fault == (
        "the columns can be separated by commas or semicolons: say which with delimiter in [format]"
    )
    reading, _ = read_object(b"a,b;c\n1,2;3\n4,5;6\n", Format(delimiter=";"), [100])
    assert reading.fields == [["1,2", "3"], ["4,5", "6"]]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("name,mail\n".encode("utf-32"), "UTF-32"),
        (b"\x00\x00\xfe\xff" + "name,mail\n".encode("utf-32-be"), "UTF-32"),
        (b"PK\x03\x04....", "zip archive or a spreadsheet"),
        (b"\x1f\x8b\x08\x00....", "gzip"),
        (b"\xd0\xcf\x11\xe0....", "old spreadsheet"),
        (b"%PDF-1.7\n", "PDF"),
    ],
)
@pytest.mark.parametrize("sizes", [[1], [100]])
def test_objects_of_other_formats_are_refused_by_name(data: bytes, what: str, sizes: list[int]) -> None:
    reading, _ = read_object(data, Format(), sizes)
    assert reading.fault is not None
    assert what in reading.fault


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ('{"id":"1","n":5}\n', "jsonl"),
        ('{"id":1}\n', "jsonl"),
        ('[\n{"id":1}\n]\n', "jsonl"),
        ('{\n "id":1\n}\n', "jsonl"),
        ('{"Item":{"id":{"S":"1"}}}\n', "dynamodb-json"),
    ],
)
def test_json_where_the_schema_declares_csv_is_refused(text: str, type_: str) -> None:
    reading, _ = read_object(text.encode(), Format(type="csv"), [100])
    assert reading.fault == f'the schema declares CSV, but the file looks like JSON: set type = "{type_}" in [format]'
    # A field of a row may be JSON.
    reading, _ = read_object(text.encode(), Format(type="csv", header_lines=0, names=("a",), delimiter="\t"), [100])
    assert reading.fault is None


@pytest.mark.parametrize(
    ("codec", "mark", "declared"),
    [
        ("utf-16-le", "UTF-16-LE", "iso8859-1"),
        ("utf-8", "UTF-8", "iso8859-1"),
        ("utf-8", "UTF-8", "utf-16"),
        ("utf-16-le", "UTF-16-LE", "utf-8"),
        ("utf-16-be", "UTF-16-BE", "utf-8"),
        ("utf-16-be", "UTF-16-BE", "utf-16-le"),
        ("utf-16-le", "UTF-16-LE", "utf-32"),
        ("utf-32-le", "UTF-32-LE", "utf-8"),
        ("utf-32-be", "UTF-32-BE", "utf-32-le"),
    ],
)
def test_byte_order_mark_that_contradicts_the_declared_encoding_is_refused(
    codec: str, mark: str, declared: str
) -> None:
    reading, _ = read_object(("\ufeff" + text_of(",")).encode(codec), Format(encoding=declared), [100])
    assert reading.fault == (
        f"the schema declares {declared} text, but the file begins with the mark of {mark}: correct encoding in "
        "[format], or leave it out"
    )
    assert reading.fields == []


@pytest.mark.parametrize(
    ("text", "delimiter", "quote", "escape", "row"),
    [
        ("id,name\n1,'Doe, J'\n2,'x'\n", ",", "'", "double", ["1", "Doe, J"]),
        ("'id';'name'\n1;'it''s'\n2;'x'\n", ";", "'", "double", ["1", "it's"]),
        ("id,name\n1,'tis\n2,rock 'n' roll\n", ",", '"', "double", ["1", "'tis"]),
        ("id,a,b\n1,x,'tis\n2,,'\n", ",", '"', "double", ["1", "x", "'tis"]),  # not one row of two lines
        ("id,name\n1,'a'\n2,b\n", ",", '"', "double", ["1", "'a'"]),  # an apostrophe in the text, not a quote
        ('id|name\n1|"say \\"hi| now\\""\n2|x\n', "|", '"', "backslash", ["1", 'say "hi| now"']),
        ('id,path\n1,"C:\\"\n2,"D:\\x"\n', ",", '"', "double", ["1", "C:\\"]),
        ("price;text\n1,5;a, b\n2,5;c\n", ";", '"', "double", ["1,5", "a, b"]),
        ('name;"a, b"\n1;2\n', ";", '"', "double", ["1", "2"]),
        ("name\na;b\n", ",", '"', "double", ["a;b"]),  # a delimiter that the header lacks is text
    ],
)
def test_dialect_is_found(text: str, delimiter: str, quote: str, escape: str, row: list[str]) -> None:
    reading, found = read_object(text.encode(), Format(), [3])
    assert reading.fault is None
    assert found is not None
    assert (found.delimiter, found.quote, found.escape) == (delimiter, quote, escape)
    assert reading.fields[0] == row


@pytest.mark.parametrize(
    "text",
    [
        "id;a\n1;''\n",
        "id;a\n1;'x'\n",
        "id|a|b\n0|x|\n1|'\n2|x|\n3|y\n4|'|z\n",  # one row of four lines, or rows that miss a field
    ],
)
def test_single_quotes_that_nothing_tells_from_apostrophes_are_refused(text: str) -> None:
    reading, _ = read_object(text.encode(), Format(), [100])
    assert reading.fault is not None
    assert reading.fault.startswith("single quotes may be quotes or characters of the text: say which with quote")
    for quote in ("'", '"'):
        assert read_object(text.encode(), Format(quote=quote), [100])[0].fault is None


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("'id';'a'\n1;'x'\n", ["1", "x"]),  # the header is quoted too
        ("id;a\n1;'x;y'\n", ["1", "x;y"]),  # otherwise the row does not fit
        ("id;a\n'1';'x\ny'\n'2';'z'\n", ["1", "x\ny"]),  # all texts are quoted
        ("id;a\n1;'tis\n", ["1", "'tis"]),
    ],
)
def test_single_quotes_with_evidence_are_believed(text: str, row: list[str]) -> None:
    reading, _ = read_object(text.encode(), Format(), [100])
    assert (reading.fault, reading.fields[:1]) == (None, [row])


def test_what_is_found_depends_on_the_first_bytes_alone() -> None:
    head = b"id;name\n" + b"1;x\n" * 20_000
    for size in (1_000, 65_536, 65_537, 200_000):
        _, found = read_object(head + b"2,'x'\n" * 100_000, Format(), [size])
        assert found is not None
        assert (found.delimiter, found.quote) == (";", '"')


def test_found_has_no_text_of_the_file() -> None:
    _, found = read_object(b"secret,name\n1,2\n", Format(), [100])
    assert found is not None
    assert "secret" not in str(found.result())


def test_line_break_in_a_field_reads_in_two_ways_where_short_rows_are_padded() -> None:
    data = b'id,n,q\n1,"Cable\n2,Monitor 24",7\n3,x\n'
    reading, _ = read_object(data, Format(short_rows="pad"), [])
    assert list(reading.rows) == [3]
    assert [reject.reason for reject in reading.rejects] == [DOUBTFUL] * 2
    reading, _ = read_object(data, Format(short_rows="pad", multiline=True), [])
    assert list(reading.rows) == [1, 2]


@pytest.mark.parametrize(
    ("data", "row"),
    [
        (b'h,i,j,k,l\n1,2,3,4,"x\na, "" ,b\ny"\n"q", "q",1,2,3\n', ["1", "2", "3", "4", 'x\na, " ,b\ny']),
        (b'h,i\n"\n", "\n"\n1,"a"\n', ["\n", "\n"]),
        (b'h;i\r"\r"; "\r"\rv;"c"\r', ["\r", "\r"]),
    ],
)
def test_blanks_and_quotes_on_a_line_that_begins_within_a_field(data: bytes, row: list[str]) -> None:
    reading, _ = read_object(data, Format(), [])
    assert (reading.rows[1][0], len(reading.rows), reading.rejects) == (row, 2, [])
