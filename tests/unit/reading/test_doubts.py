"""Nothing is silently wrong: text that reads in two ways becomes rejects, and honest text is loaded."""

import csv
import io
from random import Random

import pytest

from engine.reading.block import Reject
from engine.reading.closely import CONTINUED, DOUBTFUL, LINE_BREAK, MIXED_QUOTES
from engine.reading.doubts import looks_whole
from engine.reading.fields import BAD_QUOTES, NEVER_CLOSED, syntax_of
from engine.reading.format import Dialect
from engine.reading.records import HEADER_AGAIN
from tests.builders.csv_text import Reading, cut, read
from tests.builders.faulty_csv import faulty_file, honest_file

NAMES = "id,name,price\n"


def read_text(text: str, *, header: str = NAMES, **dialect: str | bool) -> Reading:
    """Read the rows in `text`, in one chunk, and check that chunks of one byte make no difference."""
    data = (header + text).encode()
    reading = read([data], dialect=Dialect(**dialect))  # type: ignore[arg-type]
    assert read(cut(data, [1]), dialect=Dialect(**dialect)) == reading  # type: ignore[arg-type]
    return reading


def reasons(reading: Reading) -> list[tuple[str, str]]:
    return [(reject.record, reject.reason) for reject in reading.rejects]


def test_stray_quote_that_swallows_rows_up_to_an_inch_mark() -> None:
    reading = read_text('1,"Cable 2 m,5\n2,Cable 3 m,6\n3,Monitor 24",7\n4,Mouse,8\n')
    assert reading.fields == [["4", "Mouse", "8"]]
    assert reading.rejects == [
        Reject(1, 14, DOUBTFUL, '1,"Cable 2 m,5'),
        Reject(2, 29, DOUBTFUL, "2,Cable 3 m,6"),
        Reject(3, 43, DOUBTFUL, '3,Monitor 24",7'),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '1,"Cable 2 m,5\n2,Monitor 24",7\n',
        '1,"Cable, 2 m,5\n2,Monitor 24",7\n',  # the closing quote is missing
        '1,5,"Cable\n2,6,Monitor 24"\n',
        '"1,Cable,5\nMonitor 24",7,8\n',
        '1, "Cable 2 m, 5\n2, Cable 3 m, 6\n3, Monitor 24", 7\n',
        '1,"Cable 2 m,5\n2,,\n3,Monitor 24",7\n',
        '1,"Cable, 2 m",5\n2,"Cable, 3 m,6\n3,"",7\n4,Monitor 24",8\n',
    ],
)
def test_rows_inside_a_quoted_field_are_never_believed(text: str) -> None:
    reading = read_text(text)
    lines = text.splitlines()
    loaded = [",".join(row) for row in reading.fields]
    assert all(row in lines or row == "1,Cable, 2 m,5" for row in loaded)
    assert {reject.reason for reject in reading.rejects} == {DOUBTFUL}


@pytest.mark.parametrize(
    "value",
    [
        "Street 5\nBerlin",
        "Street 5, 2nd floor\n10115 Berlin\nGermany",
        "Street 5, 2nd floor\n10115 Berlin, Germany",
        "Dear Sir, or Madam,\n\nthank you, and good bye.\nBest, J",
        'She said "yes",\nand left.',
        "- one\n- two, or three\n",
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_honest_text_with_line_breaks_is_loaded(value: str, place: int) -> None:
    row = ["1", "2", "3"]
    row[place] = value
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerow(row)
    reading = read_text(out.getvalue())
    assert (reading.fields, reading.rejects) == ([row], [])


def test_doubtful_field_is_believed_where_the_schema_says_that_fields_have_line_breaks() -> None:
    text = '1,"a\n2,b,3\nc",4\n'
    assert read_text(text).fields == []
    assert read_text(text, multiline=True).fields == [["1", "a\n2,b,3\nc", "4"]]


def test_line_breaks_are_refused_where_the_schema_says_so() -> None:
    reading = read_text('1,"a\nb,c,d",2\n3,"c, d",4\n', multiline=False)
    assert reading.fields == [["3", "c, d", "4"]]
    assert reasons(reading) == [('1,"a', LINE_BREAK), ('b,c,d",2', LINE_BREAK)]


@pytest.mark.parametrize("row", ['A"x, y",a@x.de', 'Size "A, B" wide,5', '24"x36,27"x40,1'])
def test_quotes_around_a_delimiter_in_unquoted_fields_are_a_reject(row: str) -> None:
    reading = read_text(f'{row}\n1,"a, b",2\n')
    assert reading.fields == [["1", "a, b", "2"]]
    assert reasons(reading) == [(row, MIXED_QUOTES)]


@pytest.mark.parametrize(
    "row",
    ['1,24" monitor,5', '1,5" nail,"x, y"', '24",27",2', 'Monitor 24" wide,Screen 27" flat,1', '1,say "hi" now,2'],
)
def test_quotes_that_read_in_one_way_are_characters(row: str) -> None:
    (expected,) = csv.reader([row])
    assert read_text(row + "\n").fields == [expected]


def test_blanks_around_quotes_are_no_part_of_the_value() -> None:
    reading = read_text('1, "j@x.de"\t,"a" \n2,  "a, ""b""\nc" , d \n"3"x, "4",5\n', header="a,b,c\n")
    assert reading.fields == [["1", "j@x.de", "a"], ["2", 'a, "b"\nc', " d "]]
    assert [reject.record for reject in reading.rejects] == ['"3"x, "4",5']


def test_header_again_is_a_reject() -> None:
    reading = read_text('1,a,2\nid,name,price\n\ufeffid,name,price\n3,"b",4\n"id",name,price\n')
    assert reading.fields == [["1", "a", "2"], ["3", "b", "4"]]
    assert [(reject.row, reject.reason) for reject in reading.rejects] == [
        (2, HEADER_AGAIN),
        (3, HEADER_AGAIN),
        (5, HEADER_AGAIN),
    ]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("id,name,price", "ID,Name,PRICE"),
        ("id,name,price", " id , Name,price"),
        ("id,name,price", '"ID","NAME","PRICE"'),
        ("id,name,price", "\ufeffID,NAME,PRICE"),
        ("Größe,Ä,ß", "GRÖSSE,ä,SS"),
        ("STRASSE,b,c", "straße,b,c"),
        ("größe,ид,Ж", "GRÖẞE,ИД,ж"),
        ("ид,Ж,ы", "ИД,ж,Ы"),
    ],
)
@pytest.mark.parametrize("other", ["a,b,c", '"a",b,c'])
def test_header_again_in_another_letter_case_is_a_reject(header: str, row: str, other: str) -> None:
    # Columns are found by their names without regard to case and to blanks around them.
    reading = read_text(f"{other}\n{row}\n", header=header + "\n")
    assert reading.fields == [["a", "b", "c"]]
    assert [(reject.row, reject.reason) for reject in reading.rejects] == [(2, HEADER_AGAIN)]


@pytest.mark.parametrize(("header", "row"), [("k,b,c", "\u212a,b,c"), ("file,b,c", "\ufb01le,b,c")])
def test_header_again_does_not_depend_on_the_lines_read_with_it(header: str, row: str) -> None:
    # The sign of Kelvin and the ligature of f and i fold to ASCII letters.
    alone = read_text(f"{row}\n", header=header + "\n")
    together = read_text(f"{row}\n1,2,b c k file\n", header=header + "\n")
    assert (together.fields[:-1], together.rejects) == (alone.fields, alone.rejects)


def test_row_with_some_names_of_the_header_is_a_row() -> None:
    assert read_text("ID,Name,5\nID,Name\nid,name,prices\n").rejects == []


def test_lines_of_a_broken_record_are_not_rows() -> None:
    # The inner quotes are not doubled, and the second line reads as a row.
    reading = read_text('1,"He said "hi" and\na,b,c\nleft, too",7\n2,b,3\n')
    assert reading.fields == [["2", "b", "3"]]
    assert reasons(reading) == [
        ('1,"He said "hi" and', BAD_QUOTES),
        ("a,b,c", CONTINUED),
        ('left, too",7', CONTINUED),
    ]


def test_field_that_is_closed_on_the_line_of_the_next_broken_one_goes_on() -> None:
    reading = read_text('1,"a "b" c\nd,e,f\ng","h "i" j\nk,l,m\nn"\n2,b,3\n')
    assert reading.fields == [["2", "b", "3"]]


def test_stray_quote_costs_one_row_if_a_later_row_proves_that_no_field_is_open() -> None:
    reading = read_text('1,"Cable 2 m,5\n2,Cable,6\n3,"Cable, 4 m",7\n4,Mouse,8\n')
    assert reading.fields == [["2", "Cable", "6"], ["3", "Cable, 4 m", "7"], ["4", "Mouse", "8"]]
    assert reasons(reading) == [('1,"Cable 2 m,5', BAD_QUOTES)]


def test_stray_quote_costs_one_row_if_nothing_can_close_it() -> None:
    reading = read_text('1,"Cable 2 m,5\n2,Cable,6\n4,Mouse,8\n')
    assert reading.fields == [["2", "Cable", "6"], ["4", "Mouse", "8"]]
    assert reasons(reading) == [('1,"Cable 2 m,5', NEVER_CLOSED)]


def test_rest_of_a_field_that_is_never_closed_is_rejected_up_to_a_whole_row() -> None:
    reading = read_text('1,"Street 5\nBerlin, Germany\nEurope,x,y, z\n2,Cable,6\n')
    assert reading.fields == [["2", "Cable", "6"]]
    assert [reject.reason for reject in reading.rejects] == [NEVER_CLOSED, CONTINUED, CONTINUED]


def test_backslash_before_a_line_end_does_not_swallow_the_next_row() -> None:
    reading = read_text("1,C:\\\n2,D:\n3,E:\n", header="id,path\n", escape="backslash", quote="")
    assert reading.fields == [["3", "E:"]]
    assert [reject.reason for reject in reading.rejects] == [DOUBTFUL, DOUBTFUL]


def test_backslash_escapes_what_needs_it_and_is_a_character_otherwise() -> None:
    reading = read_text('a\\,b,"say \\"hi\\", now",C:\\temp\n\\N,"\\\\",x\\\\\n', escape="backslash")
    assert reading.fields == [["a,b", 'say "hi", now', "C:\\temp"], ["\\N", "\\", "x\\"]]


def test_without_quotes_a_quote_is_a_character() -> None:
    reading = read_text('"a",24",\'x\'\n', quote="")
    assert reading.fields == [['"a"', '24"', "'x'"]]


def test_comment_lines_are_no_records() -> None:
    reading = read_text('#x\n1,"a\n#b",2\n# "c\n3,d,4\n', header="# made\nid,name,price\n", comment="#")
    assert reading.fields == [["1", "a\n#b", "2"], ["3", "d", "4"]]
    assert list(reading.rows) == [1, 2]


@pytest.mark.parametrize("seed", range(10))
def test_no_row_of_files_with_a_wrong_quote_is_loaded_wrong(seed: int) -> None:
    random = Random(seed)
    for _ in range(30):
        file = faulty_file(random)
        loaded = [tuple(row) for row in read([file.data]).fields if len(row) == file.width]
        assert [row for row in loaded if row not in file.right] == []


@pytest.mark.parametrize(
    ("delimiter", "width", "most"), [(",", 2, 0.08), (",", 3, 0.02), (",", 6, 0.01), (";", 2, 0), ("\t", 3, 0)]
)
def test_few_honest_texts_are_rejected_and_none_is_changed(delimiter: str, width: int, most: float) -> None:
    random, lost, total = Random(width), 0, 0
    for _ in range(20):
        rows, data = honest_file(random, delimiter, width)
        reading = read([data], dialect=Dialect(delimiter=delimiter))
        assert all(row in rows for row in reading.fields)
        assert read([data], dialect=Dialect(delimiter=delimiter, multiline=True)).fields == rows
        total += len(rows)
        lost += len(rows) - len(reading.fields)
    assert lost <= most * total


@pytest.mark.parametrize(
    ("part", "last_counts", "whole"),
    [
        ("a,b, c", False, True),
        ("a, b, c", False, False),
        ("a,b,c, d", False, True),
        ("Dear Sir, or Madam,", True, False),
        ("a,b,", True, True),
    ],
)
def test_half_of_the_delimiters_must_be_tight_for_a_line_to_look_like_a_row(
    part: str, last_counts: bool, whole: bool
) -> None:
    syntax = syntax_of(Dialect())
    assert looks_whole(part, part.count(","), syntax, loose=False, last_counts=last_counts) is whole
