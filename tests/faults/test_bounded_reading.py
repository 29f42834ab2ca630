"""Files that are made to cost time or memory: what the readers spend on them is bounded."""

import bz2
import collections
import itertools
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from time import process_time

import pytest
from backports import zstd

from engine.errors import BadFile
from engine.reading.compression import BOMB_BYTES, MAX_RATIO, PIECE_BYTES, Decompressor
from engine.reading.dialect import SAMPLE_BYTES, find_dialect
from engine.reading.format import Format
from engine.repeats import RepeatedKeys

PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": zlib.compress, "zstd": zstd.compress, "bzip2": bz2.compress}


def bomb(kind: str, size: int) -> bytes:
    """Compressed zeros that are `size` bytes, made without holding them."""
    part = bytes(1 << 24)
    if kind == "gzip":
        packer = zlib.compressobj(9, wbits=31)
        return b"".join(packer.compress(part) for _ in range(size >> 24)) + packer.flush()
    one = PACKED[kind](part)
    return one * (size >> 24)


@pytest.mark.parametrize("kind", PACKED)
def test_decompression_bomb_fails_and_takes_no_memory(kind: str) -> None:
    data = bomb(kind, BOMB_BYTES + (1 << 25))
    assert len(data) * MAX_RATIO < BOMB_BYTES + (1 << 25)
    decompressor = Decompressor(kind)
    sizes = map(len, itertools.chain(decompressor.feed(data), decompressor.finish()))
    tracemalloc.start()
    assert sum(itertools.islice(sizes, BOMB_BYTES // PIECE_BYTES)) == BOMB_BYTES
    with pytest.raises(BadFile, match="decompression bomb"):
        collections.deque(itertools.islice(sizes, 100 * MAX_RATIO), maxlen=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 1_048_576


def test_dialect_of_stray_quotes_is_found_in_little_time() -> None:
    for line in ("a|\\\n\\\t", '"|\\\n,', ';a\\;\\\nab"', "'\"\\\n", "''|"):
        began = process_time()
        with suppress(BadFile):
            find_dialect(("a,b;c\td|e\n" + line * SAMPLE_BYTES)[:SAMPLE_BYTES], Format())
        assert process_time() - began < 3  # seconds; 20 to 30 without a bound


def test_counting_of_repeated_keys_takes_bounded_memory() -> None:
    repeated = RepeatedKeys((0,))
    tracemalloc.start()
    for at in range(0, 1_000_000, 2_000):
        repeated.add([(f"user{number}@example.com",) for number in range(at, at + 2_000)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (repeated.count, repeated.is_exact) == (0, False)
    assert peak < 27 * 1_048_576
