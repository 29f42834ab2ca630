"""Some rows of an object as they are in it, with all that is before its first row: a file to correct and load again.

Pure. Memory: what the reader holds, and the object's bytes up to the first row.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain

from engine.errors import BadFile
from engine.reading.block import Block, Reject
from engine.reading.compression import Decompressor
from engine.reading.encoding import UTF_8, Transcoder
from engine.reading.reader import Found, ObjectReader
from engine.schema.model import Schema

_MARK = "\ufeff"


class Originals:
    """Takes rows out of one object, in row order and each once. `count`: how many it has found."""

    def __init__(self, schema: Schema, is_wanted: Callable[[int], bool], last: int) -> None:
        """Take the rows for which `is_wanted`; after row `last` nothing more is read."""
        self._form, self._is_wanted, self._last = schema.format, is_wanted, last
        self._reader = ObjectReader(schema.format, schema.wanted)
        # A declared encoding must be kept. Otherwise UTF-8 is recognised.
        encoding = schema.format.encoding or UTF_8
        self._encoder = codecs.getincrementalencoder(encoding)(errors="backslashreplace")
        self._beginning = b""
        self._end = ""
        self.count = 0

    async def read(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the bytes of a file with these rows. Raises `BadFile` at damage, after the rows before it."""
        async for chunk in chunks:
            if not self._end:
                self._beginning += chunk
            for block in self._reader.feed(chunk):
                yield self._take(block)
                if max([*block.numbers[-1:], *(reject.row for reject in block.rejects[-1:])]) >= self._last:
                    return
        for block in self._reader.finish():
            yield self._take(block)

    def _take(self, block: Block) -> bytes:
        text = "" if self._end else self._begin(block)
        wanted = [block.reject(i, "") for i, number in enumerate(block.numbers) if self._is_wanted(number)]
        wanted += [reject for reject in block.rejects if self._is_wanted(reject.row)]
        self.count += len(wanted)
        wanted.sort()
        return self._encoder.encode(text + "".join(f"{reject.record}{self._end}" for reject in wanted))

    def _begin(self, block: Block) -> str:
        """Return what is before the first row: the header, and lines that are skipped."""
        found = self._reader.found
        text = ""
        if found and found.type == "csv":
            size = min(reject.offset or 0 for reject in _first(block))
            text = _text(self._beginning, size, found).decode()
            if self._form.encoding:
                text = text.removeprefix(_MARK)  # the codec writes one where it needs it
        self._beginning = b""
        self._end = "\r\n" if text.endswith("\r\n") else "\n"
        return text


def _first(block: Block) -> Iterator[Reject]:
    """Yield the first row of a block, be it good or not, and perhaps one more."""
    if block.rows:
        yield block.reject(0, "")
    yield from block.rejects[:1]


def _text(data: bytes, size: int, found: Found) -> bytes:
    """Return the first `size` bytes of a file that begins with `data` as UTF-8 text."""
    pieces: Iterable[bytes] = [data]
    if found.compression != "none":
        decompressor = Decompressor(found.compression)
        pieces = chain(decompressor.feed(data), decompressor.finish())
    transcoder = None if found.encoding == UTF_8 else Transcoder(found.encoding)
    text = b""
    with suppress(BadFile):  # the data need not be complete
        for piece in pieces:
            text += transcoder.feed(piece) if transcoder else piece
            if len(text) >= size:
                break
    return text[:size]
