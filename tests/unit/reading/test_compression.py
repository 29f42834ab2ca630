"""Compressed bytes -> pieces: equal to the oracles however they are cut; damage is noticed and ends as `BadFile`."""

import bz2
import gzip
import io
import itertools
import lzma
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import BadFile
from engine.reading.compression import (
    HEAD_BYTES,
    MAX_WINDOW_LOG,
    PIECE_BYTES,
    Decompressor,
    find_compression,
)
from engine.reading.delimited import CsvReader
from engine.reading.dialect import SAMPLE_BYTES
from engine.reading.format import Wanted
from engine.reading.reader import ObjectReader
from tests.builders.csv_text import SIZES, cut

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_CHECKED: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: zstd.compress(data, options=ZSTD_CHECKED),
    "bzip2": bz2.compress,
}
DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": zstd.decompress,
    "bzip2": bz2.decompress,
}
KINDS = st.sampled_from(sorted(COMPRESS))
TEXTS = st.lists(st.binary(max_size=60) | st.integers(1, 2_000).map(lambda n: b"row,of,text\n" * n), max_size=4)


class Result(NamedTuple):
    """What came of a compressed file: its data, why it failed, and the sizes of the pieces."""

    data: bytes
    fault: str | None
    pieces: list[int]


def decompress(kind: str, chunks: Iterable[bytes]) -> Result:
    decompressor, fault = Decompressor(kind), None
    pieces: list[bytes] = []
    try:
        for chunk in chunks:
            pieces += decompressor.feed(chunk)
        pieces += decompressor.finish()
    except BadFile as error:
        fault = str(error)
    assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)
    return Result(b"".join(pieces), fault, list(map(len, pieces)))


def members(kind: str, texts: list[bytes]) -> bytes:
    return b"".join(map(COMPRESS[kind], texts)) or COMPRESS[kind](b"")


@settings(max_examples=80)
@given(kind=KINDS, texts=TEXTS, sizes=SIZES)
def test_any_chunking_equals_the_oracle(kind: str, texts: list[bytes], sizes: list[int]) -> None:
    data = members(kind, texts)
    result = decompress(kind, cut(data, sizes))
    assert result.data == DECOMPRESS[kind](data) == b"".join(texts)
    assert result.fault is None
    assert result == decompress(kind, [data])


@settings(max_examples=80)
@given(kind=KINDS, texts=TEXTS, sizes=SIZES, data=st.data())
def test_file_that_is_cut_off_fails_after_the_bytes_before(
    kind: str, texts: list[bytes], sizes: list[int], data: st.DataObject
) -> None:
    parts = [COMPRESS[kind](text) for text in texts or [b""]]
    whole = b"".join(parts)
    boundaries = {len(b"".join(parts[:i])) for i in range(1, len(parts) + 1)}
    stop = data.draw(st.integers(0, len(whole) - 1))
    result = decompress(kind, cut(whole[:stop], sizes))
    assert b"".join(texts).startswith(result.data)
    assert (result.fault is None) == (stop in boundaries)
    assert result == decompress(kind, [whole[:stop]])


@settings(max_examples=150)
@given(kind=KINDS, texts=TEXTS, sizes=SIZES, data=st.data())
def test_damaged_bytes_never_become_other_bytes(
    kind: str, texts: list[bytes], sizes: list[int], data: st.DataObject
) -> None:
    whole = bytearray(members(kind, texts))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=3)):
        whole[place] = data.draw(st.integers(0, 255))
    result = decompress(kind, cut(bytes(whole), sizes))
    assert result == decompress(kind, [bytes(whole)])
    # Names and times in a header, and whole members replaced by skippable ones, may change without any harm.
    if result.fault is None:
        assert result.data == DECOMPRESS[kind](bytes(whole))


@given(kind=KINDS, rubbish=st.binary(min_size=1, max_size=100), sizes=SIZES)
def test_rubbish_is_a_bad_file(kind: str, rubbish: bytes, sizes: list[int]) -> None:
    head = COMPRESS[kind](b"")[:10]
    for data in (rubbish, head + rubbish):
        result = decompress(kind, cut(data, sizes))
        assert result.fault is not None or result.data == DECOMPRESS[kind](data)


def test_large_file_comes_in_full_pieces_in_any_cut() -> None:
    data = b"".join(b"%d,some text,%d\n" % (i, i * i) for i in range(100_000))
    for kind, compress in COMPRESS.items():
        packed = compress(data[:1_000_000]) + compress(data[1_000_000:])
        result = decompress(kind, [packed])
        assert result.data == data
        assert set(result.pieces[:-1]) == {PIECE_BYTES}
        assert decompress(kind, cut(packed, [50_000])) == decompress(kind, cut(packed, [1 << 20])) == result


@pytest.mark.parametrize("kind", COMPRESS)
def test_many_tiny_members_are_joined(kind: str) -> None:
    result = decompress(kind, [COMPRESS[kind](b"x") * 20_000])
    assert result == (b"x" * 20_000, None, [20_000])


@pytest.mark.parametrize("kind", COMPRESS)
def test_damage_costs_at_most_what_comes_after_it(kind: str) -> None:
    rows = b"".join(b"%d,%d\n" % (i, i * i) for i in range(60_000))
    first, second = COMPRESS[kind](rows), bytearray(COMPRESS[kind](rows))
    second[-3 if kind != "bzip2" else -8] ^= 1
    result = decompress(kind, [first + bytes(second)])
    assert result.data.startswith(rows)
    assert (rows + rows).startswith(result.data)
    assert result.fault == f"the {kind} data is damaged"


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("sizes", [[1], [1 << 20]])
def test_other_bytes_after_the_last_member_fail_the_file(kind: str, sizes: list[int]) -> None:
    result = decompress(kind, cut(COMPRESS[kind](b"a,b\n1,2\n") + b"garbage and more", sizes))
    assert result == (b"a,b\n1,2\n", f"the {kind} data is followed by other bytes", [8])


@pytest.mark.parametrize("sizes", [[1], [1 << 20]])
def test_zeros_after_gzip_are_padding(sizes: list[int]) -> None:
    data = gzip.compress(b"a\n") + bytes(70_000)
    assert decompress("gzip", cut(data, sizes if sizes != [1] else [999])) == (b"a\n", None, [2])
    later = decompress("gzip", cut(data + gzip.compress(b"b\n"), [1 << 20]))
    assert later.fault == "the gzip data is followed by zeros and other bytes"
    assert decompress("zstd", [COMPRESS["zstd"](b"a\n") + bytes(9)]).fault == "the zstd data is followed by other bytes"


def test_skippable_frames_of_zstd_are_skipped() -> None:
    skippable = b"\x5f\x2a\x4d\x18\x05\0\0\0abcde"
    data = skippable + zstd.compress(b"one") + skippable * 2 + zstd.compress(b"two") + skippable
    for size in (1, 3, 1_000):
        assert decompress("zstd", cut(data, [size])) == (b"onetwo", None, [6])


def test_gzip_header_with_all_fields() -> None:
    plain = gzip.compress(b"data", mtime=0)
    # FTEXT, FHCRC, FEXTRA, FNAME and FCOMMENT are set; then come the fields, and the CRC-16 of the header.
    head = plain[:3] + b"\x1f" + plain[4:10] + b"\x03\x00abcname\0comment\0"
    crc = zlib.crc32(head) & 0xFFFF
    data = head + crc.to_bytes(2, "little") + plain[10:]
    assert gzip.decompress(data) == b"data"
    for size in (1, 7, 1_000):
        assert decompress("gzip", cut(data * 2, [size])) == (b"datadata", None, [8])


@pytest.mark.parametrize("kind", COMPRESS)
def test_nothing_at_all_is_a_bad_file(kind: str) -> None:
    assert decompress(kind, []) == (b"", f"the {kind} data is empty", [])


@pytest.mark.parametrize("kind", COMPRESS)
def test_compression_is_found(kind: str) -> None:
    data = COMPRESS[kind](b"x,y\n")
    assert find_compression(data[:HEAD_BYTES]) == find_compression(data[:HEAD_BYTES], kind) == kind


@given(text=st.text(max_size=20))
@example(text="BZh9,name")
@example(text="PAR1,PAR2")
@example(text="LZIP,7z,Rar!")
@example(text="](x,y)")
@example(text="")
def test_text_is_not_compressed(text: str) -> None:
    head = text.encode(errors="replace")[:HEAD_BYTES]
    assert find_compression(head) == find_compression(head, "none") == "none"


def test_empty_bzip2_stream_is_found() -> None:
    assert find_compression(bz2.compress(b"")[:HEAD_BYTES]) == "bzip2"


def test_declared_compression_must_be_the_one_that_is_found() -> None:
    with pytest.raises(BadFile, match="schema says that the file is uncompressed, but it is compressed with gzip"):
        find_compression(gzip.compress(b"")[:HEAD_BYTES], "none")
    with pytest.raises(BadFile, match="schema says that the file is compressed with zstd, but it is not"):
        find_compression(b"a,b\n1,2\n", "zstd")


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", "a,b")
    return out.getvalue()


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (_zip(), "zip archive"),
        (lzma.compress(b"a,b\n"), "xz"),
        (lzma.compress(b"a,b\n", format=lzma.FORMAT_ALONE), "lzma"),
        (b"LZIP\x01\x0c", "lzip"),
        (b"\x04\x22\x4d\x18\x64\x40\xa7", "lz4"),
        (b"\xff\x06\x00\x00sNaPpY", "snappy"),
        (b"\x89LZO\x00\r\n\x1a\n", "lzop"),
        (b"\x1f\x9d\x90", "compress"),
        (b"\x27\xb5\x2f\xfd", "before 1.0"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "7-Zip"),
        (b"Rar!\x1a\x07\x01\x00", "RAR"),
        (b"Salted__12345678", "encrypted"),
        (b"-----BEGIN PGP MESSAGE-----", "encrypted"),
        (b"age-encryption.org/v1", "encrypted"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"Obj\x01\x04", "Avro"),
        (b"\xe0\x01\x00\xea", "Ion"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_other_formats_are_refused_by_name(head: bytes, what: str) -> None:
    for declared in (None, "none", "gzip"):
        with pytest.raises(BadFile, match=what):
            find_compression(head[:HEAD_BYTES], declared)


def zstd_frame(window_log: int) -> bytes:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: window_log}
    packer = zstd.ZstdCompressor(options=options)
    return packer.compress(b"x") + packer.flush()  # of unknown size, so the frame keeps the window that was asked for


def test_zstd_windows_up_to_the_limit_are_read() -> None:
    assert decompress("zstd", [zstd_frame(MAX_WINDOW_LOG)]).data == b"x"


@pytest.mark.parametrize("window_log", [MAX_WINDOW_LOG + 1, 25, 27, 28])
def test_zstd_frame_with_a_larger_window_is_refused_with_advice(window_log: int) -> None:
    fault = str(decompress("zstd", [zstd_frame(window_log)]).fault)
    assert "a window of more than 8 MiB" in fault
    assert "zstd -19" in fault


def test_zstd_frame_that_needs_a_dictionary_says_so() -> None:
    dictionary = zstd.train_dict([b"some sample %d" % i for i in range(1_000)], 1_000)
    assert "dictionary" in str(decompress("zstd", [zstd.compress(b"some sample 7", zstd_dict=dictionary)]).fault)


@pytest.mark.parametrize("kind", COMPRESS)
def test_reader_of_compressed_csv_reads_the_same_rows_at_the_same_places(kind: str) -> None:
    data = b"a,b\n" + b"".join(b"%d,x\n" % i for i in range(100_000)) + b'"bad"x,y\n'
    plain, packed = CsvReader(), ObjectReader()
    wanted = [*plain.feed(data), *plain.finish()]
    compressed = COMPRESS[kind](data)
    blocks = [block for chunk in cut(compressed, [10_000]) for block in packed.feed(chunk)] + [*packed.finish()]
    assert packed.header == plain.header == ["a", "b"]
    for name in ("rows", "numbers", "rejects"):
        got = [each for block in blocks for each in getattr(block, name)]
        assert got == [each for block in wanted for each in getattr(block, name)]
    assert blocks[-1].end is not None
    assert wanted[-1].end is not None
    assert blocks[-1].end[:2] == wanted[-1].end[:2] == (len(data), 100_002)


def test_rows_before_the_damage_are_read() -> None:
    rows = [[str(i), str(i * i)] for i in range(10_000)]
    text = "a,b\n" + "".join(f"{a},{b}\n" for a, b in rows)
    assert len(text) > 2 * SAMPLE_BYTES
    reader = ObjectReader()
    blocks = itertools.chain(reader.feed(gzip.compress(text.encode() + b"5,6")[:-8]), reader.finish())
    read: list[list[str]] = []
    with pytest.raises(BadFile, match="cut off"):
        read.extend(row for block in blocks for row in block.rows)
    assert read == rows


SMALL = b"id,name\n" + b"".join(b"%d,Zo\xc3\xab %d\n" % (i, i) for i in range(40))


def read_until_the_fault(data: bytes, size: int) -> tuple[list[list[str]], str, ObjectReader]:
    reader, rows = ObjectReader(), list[list[str]]()
    blocks = itertools.chain.from_iterable([*map(reader.feed, cut(data, [size])), reader.finish()])
    with pytest.raises(BadFile) as caught:
        rows.extend(row for block in blocks for row in block.rows)
    return rows, str(caught.value), reader


@pytest.mark.parametrize("size", [1, 50, 100_000])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
@pytest.mark.parametrize("kind", COMPRESS)
def test_small_file_that_is_cut_off_is_read_up_to_there(kind: str, codec: str, size: int) -> None:
    text = SMALL.decode().encode(codec)
    whole, more = COMPRESS[kind](text + b"5"), COMPRESS[kind](text)
    rows, fault, reader = read_until_the_fault(whole + more[: len(more) // 2], size)
    assert fault == f"the {kind} data ends too early: the file was cut off"
    assert rows[:40] == [[str(i), f"Zoë {i}"] for i in range(40)]
    assert reader.header == ["id", "name"]
    assert reader.found is not None


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("kind", COMPRESS)
def test_small_file_is_read_up_to_a_damaged_member(kind: str, size: int) -> None:
    rows, fault, _ = read_until_the_fault(COMPRESS[kind](SMALL + b'40,"x') + COMPRESS[kind](b"y")[:12] + b"x", size)
    assert fault.startswith(f"the {kind} data ")
    assert rows == [[str(i), f"Zoë {i}"] for i in range(40)]


@pytest.mark.parametrize("kind", COMPRESS)
def test_damage_is_the_reason_even_where_no_format_is_found_before_it(kind: str) -> None:
    _, fault, reader = read_until_the_fault(COMPRESS[kind](b"a,b;c\n1,2;3\n") + b"rubbish that follows", 100)
    assert fault == f"the {kind} data is followed by other bytes"
    _, fault, reader = read_until_the_fault(COMPRESS[kind](SMALL)[:12], 100)
    assert (reader.found, reader.header) == (None, None)


def test_compressed_file_without_a_header_is_refused_like_any_other() -> None:
    reader = ObjectReader()
    with pytest.raises(BadFile, match="the file is empty"):
        list(itertools.chain(reader.feed(gzip.compress(b"")), reader.finish()))


def test_library_is_imported_only_when_a_file_comes() -> None:
    program = (
        "import sys, engine.reading.compression as c\n"
        "print([n for n in ('isal', 'bz2', 'backports.zstd', 'compression.zstd') if n in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert printed == "[]\n"


@given(kind=KINDS, place=st.integers(0), byte=st.integers(0, 255))
def test_damaged_member_fails_the_file_after_the_rows_of_those_before(kind: str, place: int, byte: int) -> None:
    lines = [b'{"id":"%d"}\n' % i for i in range(8_000)]
    first, second = (bytearray(COMPRESS[kind](b"".join(part))) for part in (lines[:7_000], lines[7_000:]))
    assert sum(map(len, lines[:7_000])) > SAMPLE_BYTES
    second[place % len(second)] = byte
    reader = ObjectReader(wanted=Wanted({"id": [("id",)]}, ()))
    rows: list[Any] = []
    fault: BadFile | None = None
    try:
        for block in itertools.chain(reader.feed(bytes(first + second)), reader.finish()):
            rows += block.rows
    except BadFile as error:
        fault = error
    assert rows[:7_000] == [(str(i),) for i in range(7_000)]
    if fault is None:
        assert rows == [(str(i),) for i in range(8_000)]
