"""JSON Lines -> records: independent of the chunks, equal to Python's json; a fault costs one line."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.exact_json import NumberText
from engine.reading.block import MAX_RECORD_BYTES
from engine.reading.json_lines import JsonLinesReader
from engine.reading.json_members import Members
from engine.reading.json_values import KEY_TWICE, NOT_A_NUMBER, NOT_AN_OBJECT, TOO_DEEP, TOO_LARGE
from engine.reading.limits import USUAL_LIMITS, Limits
from engine.reading.records import NOT_UTF8
from tests.builders.csv_text import SIZES, cut
from tests.builders.json_text import (
    NUMBERS,
    JsonReading,
    add_block,
    json_files,
    load_exactly,
    members,
    plain,
    read_json,
    read_json_plainly,
)

LIMITS = st.builds(
    Limits, record_bytes=st.sampled_from([12, 30, 1_000]), slice_bytes=st.sampled_from([1, 7, 40, 1_000])
)


@settings(max_examples=80)
@given(data=json_files(), sizes=SIZES, limits=LIMITS)
@example(data=b" " * 40 + b"\n[\n{}\n", sizes=[100], limits=Limits(record_bytes=30, slice_bytes=7))
@example(data=b"{}\n" + b" " * 12 + b"\n{}", sizes=[100], limits=Limits(record_bytes=12))
def test_any_chunking_of_any_bytes_equals_the_reference_reader(data: bytes, sizes: list[int], limits: Limits) -> None:
    assert read_json(cut(data, sizes), limits) == read_json_plainly(data, limits)


@settings(max_examples=60)
@given(data=json_files(), sizes=SIZES, limits=LIMITS)
def test_reading_can_continue_in_another_reader_after_any_block(data: bytes, sizes: list[int], limits: Limits) -> None:
    whole = read_json(cut(data, sizes), limits)
    if whole.fault:
        return
    reader, before = JsonLinesReader(members(), limits=limits), JsonReading()
    for chunk in cut(data, sizes):
        for block in reader.feed(chunk):
            add_block(before, block)
            assert block.end is not None
            rest = read_json([data[block.end.offset :]], limits, block.end)
            assert {**before.rows, **rest.rows} == whole.rows
            assert {**before.rejects, **rest.rejects} == whole.rejects
            assert not rest.fault


@settings(max_examples=150)
@given(literals=st.lists(NUMBERS, min_size=1, max_size=6), gap=st.sampled_from(["", " ", "\t"]))
@example(literals=["9223372036854775808", "-9223372036854775809", "0.1234567890123456789"], gap="")
@example(literals=["1e-200", "123456789012345678e3", "1.00000000000000000001"], gap=" ")
def test_numbers_keep_their_exact_value(literals: list[str], gap: str) -> None:
    line = "".join(f'{{"a":{gap}{text},"x":[{gap}{text}],"y":{{"z":{text}}}}}\n' for text in literals)
    for number, literal in enumerate(literals, 1):
        reading = read_json([line.encode()])
        try:
            value = load_exactly(literal.encode())
        except ValueError:
            assert number in reading.rejects
            continue
        fields = reading.rows[number][0]
        assert fields[2] == plain(value)
        assert fields[3] == {"x": [plain(value)], "y": {"z": plain(value)}}


@pytest.mark.parametrize("literal", ["0.12345678901234567", "18446744073709551616", "1e-200", "123456789012345678e3"])
@pytest.mark.parametrize("text", ['{"x":{"y":[%s]}}', '{"x":[%s]}', '{"x":[{"y":%s}]}', '{"x":[1,%s]}'])
def test_numbers_within_other_values_keep_their_exact_value(literal: str, text: str) -> None:
    line = (text % literal).encode()
    assert read_json([line]).fields == [[*map(plain, [None] * 3), plain(load_exactly(line))]]


def rows_of(data: str, wanted: Members) -> list[Any]:
    reader = JsonLinesReader(wanted)
    return [row for block in (*reader.feed(data.encode()), *reader.finish()) for row in block.rows]


def reasons_of(data: str, wanted: Members) -> list[str]:
    reader = JsonLinesReader(wanted)
    blocks = [*reader.feed(data.encode()), *reader.finish()]
    return [reject.reason for block in blocks for reject in block.rejects]


def test_fields_have_the_types_of_their_values() -> None:
    wanted = Members({name: [(name,)] for name in "abcdefg"})
    (row,) = rows_of('{"a":"5","b":5,"c":1.50,"d":true,"e":null,"f":[1],"g":{"x":1e2}}', wanted)
    assert row == ("5", "5", "1.5", True, None, [1], {"x": 100.0})
    assert [type(field) for field in row] == [str, NumberText, NumberText, bool, type(None), list, dict]


def test_columns_are_found_under_any_of_their_names_and_paths() -> None:
    wanted = Members({"mail": [("mail",), ("e-mail",), ("contact", "mail")], "name": [("name",)]})
    data = (
        '{"name":"A","mail":"a"}\n{" E-Mail ":"b","NAME":"B"}\n{"contact":{"Mail":"c","x":1},"name":"C"}\n'
        '{"mail":null,"e-mail":"d"}\n{"contact":null}\n{}\n'
    )
    assert rows_of(data, wanted) == [("a", "A"), ("b", "B"), ("c", "C"), ("d", None), (None, None), (None, None)]


@pytest.mark.parametrize("line", ['{"mail":"a","e-mail":"b"}', '{"mail":"a","MAIL":"a"}', '{"c":{"m":1},"mail":"x"}'])
def test_column_that_is_there_twice_is_a_reject(line: str) -> None:
    wanted = Members({"mail": [("mail",), ("e-mail",), ("c", "m")]})
    assert reasons_of(line, wanted) == ["the line has mail twice, under different keys"]


def test_exact_name_comes_before_one_that_differs_in_case() -> None:
    wanted = Members({"one": [("x", "id")], "two": [("x", "ID")]})
    assert rows_of('{"x":{"ID":2,"id":1}}\n{"x":{"Id":3}}', wanted) == [("1", "2"), ("3", None)]
    exactly = Members({"one": [("id",)]}, ignore_case=False, unknown="store")
    assert rows_of('{"ID":2}', exactly) == [(None, {"ID": 2})]


def test_path_that_leads_through_something_else_than_an_object_is_a_reject() -> None:
    assert reasons_of('{"a":{"b":1}}\n{"a":5}\n{"a":[]}', Members({"b": [("a", "b")]})) == ["a is not an object"] * 2


def test_reason_has_the_name_of_a_key_as_the_schema_has_it() -> None:
    long = " " * 100_000
    assert reasons_of(f'{{"{long}A{long}":5}}', Members({"b": [("a", "b")]})) == ["a is not an object"]
    both = Members({"a": [("a",)], "b": [("a", "b")]})
    assert rows_of('{"a":{"b":1}}\n{"a":5}', both) == [({"b": 1}, "1"), ("5", None)]


def test_unknown_members_are_ignored_stored_or_refused() -> None:
    data = '{"id":1,"x":2.5,"y":{"z":1},"":3}\n{"id":2}\n'
    columns = {"id": [("id",)]}
    assert rows_of(data, Members(columns)) == [("1",), ("2",)]
    store = Members(columns, unknown="store")
    assert store.header == ("id", "")
    assert rows_of(data, store) == [("1", {"x": 2.5, "y": {"z": 1}, "": 3}), ("2", None)]
    assert reasons_of(data, Members(columns, unknown="store", reserved={"y"})) == [
        "the key y cannot be stored: the schema uses its name for another"
    ]
    assert reasons_of(data, Members(columns, unknown="fail")) == [
        "the line has a key that the schema does not know, its key 2, and the schema allows none"
    ]


def test_no_columns_are_rows_without_fields() -> None:
    assert rows_of('{"a":1}\n{}\n', Members({})) == [(), ()]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"5", NOT_AN_OBJECT),
        (b"null", NOT_AN_OBJECT),
        (b'"a,b"', NOT_AN_OBJECT),
        (b'{"a":"caf\xe9"}', NOT_UTF8),
        (b'{"a":NaN}', NOT_A_NUMBER),
        (b'{"a":[1,-Infinity]}', NOT_A_NUMBER),
        (b'{"a":1e400}', TOO_LARGE),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", TOO_DEEP),
        (b'{"a":' + b"[" * 3_000 + b"]" * 3_000 + b"}", TOO_DEEP),
        (b'{"a":1,"a":2}', KEY_TWICE),
        (b'{"x":{"b":1,"b" :1}}', KEY_TWICE),
        (b'{"x":"\\u0022:","b":1,"b":2}', KEY_TWICE),
        (b'{"a" :1,"a":2}', KEY_TWICE),
        (b'{"a":1},{"a":2}', "the line is not JSON: see its character 8"),
        (b'{"a":1', "the line is not JSON: see its character 8"),
        (b"a,b", "the line is not JSON: see its character 1"),
    ],
)
def test_faulty_line_is_one_reject(line: bytes, reason: str) -> None:
    good = b'{"id":"x","a":"y"}\n'
    reading = read_json([good * 2 + line + b"\r\n" + good])
    assert list(reading.rows) == [1, 2, 4]
    assert reading.rejects == {3: (2 * len(good), line.decode(errors="backslashreplace"))}
    assert reading.reasons == {3: reason}


def test_lines_that_are_objects_only_together_are_rejects() -> None:
    reading = read_json([b'{"a":[{}\n{}]}\n{},{}\n{"a":"x\ny"}\n'])
    assert reading.rows == {}
    assert sorted(reading.rejects) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("data", [b'[{"id":1},\n{"id":2}]\n', b"\n  [\n", b'{\n  "id": 1\n}\n', b"\xef\xbb\xbf[]"])
@pytest.mark.parametrize("sizes", [[1], [1_000]])
def test_one_json_document_is_refused(data: bytes, sizes: list[int]) -> None:
    assert read_json(cut(data, sizes)).fault


def test_long_json_document_on_one_line_is_refused() -> None:
    assert read_json(cut(b'[{"id":1}' + b',{"id":1}' * 200_000 + b"]", [1 << 18])).fault


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n\r\n \n"])
def test_file_without_a_line_has_no_rows(data: bytes) -> None:
    assert read_json([data]) == JsonReading()


@pytest.mark.parametrize("sizes", [[1 << 16], [1 << 22]])
def test_over_long_line_is_one_reject_and_uses_no_memory(sizes: list[int]) -> None:
    long = b'{"a":"' + b"x" * (3 * MAX_RECORD_BYTES)
    reading = read_json(cut(b'{"a":1}\n' + long + b'\r\n{"a":2}\n', sizes))
    assert list(reading.rows) == [1, 3]
    assert reading.rejects == {2: (8, long[:MAX_RECORD_BYTES].decode())}
    assert reading.reasons == {2: USUAL_LIMITS.too_long}


def test_many_slices_of_lines_in_blocks_of_bounded_size() -> None:
    data = b"".join(b'{"id":%d}\n' % i for i in range(40_000))
    wanted = Members({"id": [("id",)], **{f"c{i}": [(f"c{i}",)] for i in range(500)}})
    reader = JsonLinesReader(wanted)
    blocks = [*reader.feed(data), *reader.finish()]
    assert max(len(block.rows) for block in blocks) * 500 * 16 < 8 * 1_048_576
    assert [row[0] for block in blocks for row in block.rows] == list(map(str, range(40_000)))
    assert [number for block in blocks for number in block.numbers] == list(range(1, 40_001))
    last = blocks[-1].reject(len(blocks[-1].rows) - 1, "")
    assert (last.offset, last.record) == (len(data) - 13, '{"id":39999}')


def test_objects_that_all_have_other_keys_are_read() -> None:
    data = "".join(f'{{"k{i}":{i},"id":"x{i}"}}\n' for i in range(5_000))
    rows = rows_of(data, Members({"id": [("id",)]}, unknown="store"))
    assert rows == [(f"x{i}", {f"k{i}": i}) for i in range(5_000)]
