"""Objects of any size that are never stored: a block of a megabyte again and again, plain or compressed as a stream.

The key names kind, blocks and packing: ``uploads/jsonl-1000.jsonl`` has about 1 GB. A compressed object is one member
or frame. It is compressed twice, to know its size and while it is sent, and no two of its blocks are the same: a window
of a few megabytes would otherwise make it a decompression bomb.
"""

from __future__ import annotations

import hashlib
import random
import re
import string
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from isal import isal_zlib

from benchmarks import data
from benchmarks.kinds import KINDS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK_BYTES = 1_000_000
"""About the size of a block; JSON has more for the same rows."""

MAX_WINDOW_LOG = 23
"""The largest window that Millpond reads: 8 MiB."""

_KEY = re.compile(r"uploads/([a-z]+)-([0-9]{1,5})\.([a-z]+)(?:\.([a-z0-9.]+))?")
_LETTERS = string.ascii_lowercase, string.digits


class _Packer(Protocol):
    """A compressor of one stream."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _zstd(window_log: int) -> _Packer:
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: 3,
        zstd.CompressionParameter.window_log: window_log,
    }
    return zstd.ZstdCompressor(options=options)


PACKINGS: dict[str, Callable[[], _Packer]] = {
    "gz": lambda: isal_zlib.compressobj(1, wbits=31),
    "zst": lambda: _zstd(21),
    "long.zst": lambda: _zstd(MAX_WINDOW_LOG),
}
"""By the end of a key. 21 is the window of level 3, 2 MiB."""


def key_of(kind: str, blocks: int, packing: str = "") -> str:
    """Return the S3 key under which an object of so many blocks is found."""
    suffix = "jsonl" if kind in ("jsonl", "dynamodb") else "csv"
    return f"uploads/{kind}-{blocks}.{suffix}" + (f".{packing}" if packing else "")


def rows_of(kind: str, blocks: int) -> int:
    """Return how many rows that object has."""
    return _parts(kind)[1].count(b"\n") * blocks


@dataclass(frozen=True, slots=True)
class LargeObject:
    """An object that was never stored; `packing` is empty or one of `PACKINGS`."""

    key: str
    kind: str
    blocks: int
    packing: str
    modified: int = data.MODIFIED
    content_type: str = "application/octet-stream"
    version: str | None = None

    @property
    def size(self) -> int:
        """Its bytes."""
        return _size_of(self)

    @property
    def etag(self) -> str:
        """Its ETag, without quotes."""
        return hashlib.md5(self.key.encode(), usedforsecurity=False).hexdigest()

    def pieces(self, first: int, behind: int) -> Iterator[memoryview]:
        """Yield the bytes from `first` on, before `behind`; those before are made and dropped."""
        at = 0
        for piece in self.stream():
            begin, end = max(0, first - at), min(len(piece), behind - at)
            if begin < end:
                yield memoryview(piece)[begin:end]
            at += len(piece)
            if at >= behind:
                return

    def stream(self) -> Iterator[bytes]:
        """Yield all of its bytes."""
        header, block = _parts(self.kind)
        if not self.packing:
            yield header
            for _ in range(self.blocks):
                yield block
            return
        packer = PACKINGS[self.packing]()
        yield packer.compress(header)
        for number in range(self.blocks):
            yield packer.compress(_varied(block, number))
        yield packer.flush()


def large(key: str) -> LargeObject | None:
    """Return the object of that key; None if there is none."""
    found = _KEY.fullmatch(key)
    if found is None or found[1] not in KINDS or found[4] not in (None, *PACKINGS):
        return None
    return LargeObject(key, found[1], int(found[2]), found[4] or "")


@lru_cache
def _size_of(stored: LargeObject) -> int:
    return sum(map(len, stored.stream()))


@lru_cache
def _parts(kind: str) -> tuple[bytes, bytes]:
    """Return header and block."""
    content = KINDS[kind].make(BLOCK_BYTES)
    if content.startswith(b"{"):
        return b"", content
    header, _, block = content.partition(b"\n")
    return header + b"\n", block


def _varied(block: bytes, number: int) -> bytes:
    """Return the block with letters and digits exchanged among themselves, for each number in a way of its own."""
    draw = random.Random(number)  # noqa: S311
    mixed = "".join("".join(draw.sample(letters, len(letters))) for letters in _LETTERS)
    return block.translate(bytes.maketrans("".join(_LETTERS).encode(), mixed.encode()))
