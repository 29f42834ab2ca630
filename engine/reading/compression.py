"""Compressed bytes, in chunks split anywhere, -> pieces of decompressed bytes. Pure.

Feed a `Decompressor` the chunks in order and then `finish` it. Both yield pieces of at most `PIECE_BYTES`, whatever the
ratio of the compression, and the pieces do not depend on how the input was split: a second attempt at an object sees
the same rows before the same failure. Memory is one slice of input, one piece of output and the window of the format.

Each format is read as its own program reads it: several members, frames or streams in a row are one file, and checksums
are verified where the file has them (gzip and bzip2 always, zstd if its writer added them, as `zstd` does). One thing
differs: gzip(1) and bzip2(1) ignore what follows the last member with a warning and exit with a failure. Nobody reads
warnings here, and a damaged member would be lost with its rows, so such a file fails after the rows before.

A checksum comes at the end of what it is for: a member, a frame, or a block of 900 kB in bzip2. So the bytes of a
damaged member have been yielded when that is noticed, and may be wrong; then the file fails. A file that was merely cut
off yields nothing wrong.

A place in decompressed bytes is no place in the object: a reader that continues there decompresses all bytes before it
again, and offsets of rejects count decompressed bytes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, cast

from engine.errors import BadFile

PIECE_BYTES = 262_144
"""Size of a piece: what a reader parses at a time (`Limits.slice_bytes`)."""

SLICE_BYTES = 65_536
"""Compressed bytes handled at a time. Each member costs a copy of what follows it in its slice."""

MAX_RATIO = 1_000
"""Decompressed bytes for each compressed one, from `BOMB_BYTES` on, before a file is taken for a decompression bomb.

Measured: tables of names and numbers are 10 to 90:1, one with 300 columns that are nearly all empty 70 to 190:1, one
with 1,000 empty columns up to 220:1 (gzip), 690:1 (zstd) and 890:1 (bzip2). Zeros are 1,030:1 in gzip, which is the
most that it can do, and 10,000:1 and more in the others.
"""

BOMB_BYTES = 256 * 1_048_576
"""Decompressed bytes that any ratio is allowed: reading them takes a second or two, and a file of so few equal rows
may be meant."""

MAX_WINDOW_LOG = 23
"""The largest window of a zstd frame, as a power of two: 8 MiB. A frame declares its window, and the decompressor keeps
that many bytes. RFC 8878 recommends that decoders support 8 MiB and that encoders use no more, and `zstd -1` to `-19`
never do; `zstd -d` accepts 128 MiB, which `--long` declares. Measured, the producer's peak with users as CSV: 95 MB
with 2 MiB, 126 with 32, 151 with 64, 221 with 128. It must stay below 150, also where the schema makes it remember keys
(`engine.repeats`).
"""

HEAD_BYTES = 16
"""Bytes at the beginning of a file that are needed to recognise its compression."""


class _Stream(Protocol):
    """What the decompressor objects of bz2, zstd and igzip have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Codec(NamedTuple):
    """Makes a decompressor of one member; `errors` is what it raises for damaged data."""

    open: Callable[[], _Stream]
    errors: tuple[type[Exception], ...]


def _gzip() -> _Codec:
    from isal import igzip_lib

    # Reads the member's header, and verifies checksum and size.
    error = cast("type[Exception]", igzip_lib.IsalError)  # the stubs take it for an instance
    return _Codec(lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP), (error,))


def _zstd() -> _Codec:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
    return _Codec(lambda: zstd.ZstdDecompressor(options=options), (zstd.ZstdError,))


def _bzip2() -> _Codec:
    import bz2

    return _Codec(bz2.BZ2Decompressor, (OSError, ValueError))


class _Format(NamedTuple):
    """`magic` begins each member and has `magic_bytes`; `padded`: zeros may follow the last member."""

    magic: re.Pattern[bytes]
    magic_bytes: int
    codec: Callable[[], _Codec]
    padded: bool = False


# Libraries are imported when the first such file comes: most stacks never see one.
_FORMATS = {
    "gzip": _Format(re.compile(rb"\x1f\x8b"), 2, _gzip, padded=True),
    # A frame, or a skippable one.
    "zstd": _Format(re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL), 4, _zstd),
    # The header, and the beginning of a block or of the end of the stream: "BZh9" alone may be the name of a column.
    "bzip2": _Format(re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)", re.DOTALL), 10, _bzip2),
}

_DECOMPRESS_IT = "upload it uncompressed, or compressed with gzip, zstd or bzip2"

# A format that is text at its beginning is matched by more of it than its name.
_REFUSED: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), f"{what}; {advice}")
    for pattern, what, advice in (
        (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", "a zip archive or a spreadsheet", "export it as CSV"),
        (rb"\xd0\xcf\x11\xe0", "an old spreadsheet", "export it as CSV"),
        (rb"\xfd7zXZ\x00", "compressed with xz", _DECOMPRESS_IT),
        (rb"\x5d\x00\x00.{2}(?:\xff{8}|.{5}\x00{3})", "compressed with lzma", _DECOMPRESS_IT),
        (rb"LZIP[\x00\x01]", "compressed with lzip", _DECOMPRESS_IT),
        (rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18", "compressed with lz4", _DECOMPRESS_IT),
        (rb"\xff\x06\x00\x00sNaPpY", "compressed with snappy", _DECOMPRESS_IT),
        (rb"\x89LZO\x00", "compressed with lzop", _DECOMPRESS_IT),
        (rb"\x1f[\x9d\xa0]", "compressed with compress", _DECOMPRESS_IT),
        (rb"[\x22-\x27]\xb5\x2f\xfd", "compressed with a version of zstd before 1.0", _DECOMPRESS_IT),
        (rb"\x37\xa4\x30\xec", "a dictionary of zstd", _DECOMPRESS_IT),
        (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _DECOMPRESS_IT),
        (rb"Rar!\x1a\x07", "a RAR archive", _DECOMPRESS_IT),
        (rb"Salted__|-----BEGIN PGP|age-encryption\.", "encrypted", "upload it decrypted"),
        (rb"PAR1[\x15\x00]", "a Parquet file", "export it as CSV or JSON lines"),
        (rb"Obj\x01", "an Avro file", "export it as CSV or JSON lines"),
        (rb"ORC\x08", "an ORC file", "export it as CSV or JSON lines"),
        (rb"\xe0\x01\x00\xea", "binary Amazon Ion", "export it as CSV or JSON lines"),
        (rb"%PDF", "a PDF document", "export it as CSV"),
    )
)


def find_compression(head: bytes, declared: str | None = None) -> str:
    """Return the compression of a file: "none", "gzip", "zstd" or "bzip2".

    `head` is its first `HEAD_BYTES`, or all of it.

    Raises `BadFile` if that is not what is `declared`, or a format that is not supported.
    """
    found = next((name for name, format_ in _FORMATS.items() if format_.magic.match(head)), "none")
    if found == "none" and (what := next((what for pattern, what in _REFUSED if pattern.match(head)), None)):
        raise BadFile(f"the file is {what}")
    if declared not in (None, found):
        said = "uncompressed" if declared == "none" else f"compressed with {declared}"
        is_ = f"compressed with {found}" if found != "none" else "not"
        raise BadFile(f"the schema says that the file is {said}, but it is {is_}")
    return found


class Decompressor:
    """Incremental decompressor of "gzip", "zstd" or "bzip2"; see the head of this module."""

    def __init__(self, compression: str) -> None:
        self.compression = compression
        self._format = _FORMATS[compression]
        self._codec = self._format.codec()
        self._stream: _Stream | None = None  # None: between two members
        self._begun = False
        self._in_padding = False
        self._held = b""  # input that has not filled a slice
        self._made: list[bytes] = []  # output that has not filled a piece
        self._room = PIECE_BYTES  # in that piece
        self._read = self._written = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes and yield the pieces that they complete. Raises `BadFile` if they are damaged."""
        for start in range(0, len(data), SLICE_BYTES):
            self._held += data[start : start + SLICE_BYTES]
            if len(self._held) >= SLICE_BYTES:
                yield from self._expand(SLICE_BYTES, final=False)

    def finish(self) -> Iterator[bytes]:
        """Take the end of the file and yield the last pieces. Raises `BadFile` if the data is not complete."""
        yield from self._expand(len(self._held), final=True)
        yield from self._take()
        if self._stream is not None or not self._begun:
            raise self._bad("ends too early: the file was cut off" if self._begun else "is empty")

    def _expand(self, size: int, *, final: bool) -> Iterator[bytes]:
        """Decompress the first `size` of the bytes held, and yield the pieces that have become full."""
        data, self._held = self._held[:size], self._held[size:]
        self._read += size
        try:
            while data or (self._stream is not None and not self._stream.needs_input):
                data = self._step(data, final=final)
                if not self._room:
                    yield from self._take()
                    if self._written > max(BOMB_BYTES, MAX_RATIO * self._read):
                        raise self._bad(f"becomes more than {MAX_RATIO:,} times as large: it is a decompression bomb")
        except BadFile:
            yield from self._take()  # what was read before the fault
            raise

    def _step(self, data: bytes, *, final: bool) -> bytes:
        """Decompress what there is room for, of one member; return what is left of `data`."""
        stream = self._stream = self._stream or self._begin_member(data, final=final)
        if stream is None:
            return b""
        try:
            made = stream.decompress(data, self._room)
        except self._codec.errors as error:
            raise self._bad(_fault(error)) from None
        self._made.append(made)
        self._room -= len(made)
        if not stream.eof:
            return b""
        self._stream = None
        return stream.unused_data

    def _begin_member(self, data: bytes, *, final: bool) -> _Stream | None:
        """Open the member that begins with `data`; return None if it does not begin yet."""
        format_ = self._format
        if self._in_padding or (self._begun and format_.padded and data.startswith(b"\0")):
            self._in_padding = True
            if data.strip(b"\0"):
                raise self._bad("is followed by zeros and other bytes")
            return None
        if len(data) < format_.magic_bytes and not final:
            self._read -= len(data)
            self._held = data + self._held
            return None
        if not format_.magic.match(data):
            raise self._bad("is followed by other bytes" if self._begun else "does not begin as it must")
        self._begun = True
        return self._codec.open()

    def _take(self) -> Iterator[bytes]:
        """Yield the output so far as a piece."""
        piece = b"".join(self._made)
        self._made, self._room = [], PIECE_BYTES
        self._written += len(piece)
        if piece:
            yield piece

    def _bad(self, what: str) -> BadFile:
        return BadFile(f"the {self.compression} data {what}")


def _fault(error: Exception) -> str:
    """Return what is wrong with compressed data, from the error of its library."""
    said = str(error).casefold()
    if "too much memory" in said:
        return "needs a window of more than 8 MiB: compress it again without --long and --ultra, as by zstd -19"
    if "dictionary" in said:
        return "needs a dictionary: compress it without one"
    return "is damaged"
