"""Bytes of an object -> blocks of records: finds what its format leaves open and joins the layers that read it.

Bytes are decompressed, then turned into UTF-8, then read as records. The first bytes are held back until they tell the
compression and the encoding, and then until there are `SAMPLE_BYTES` of text, or the end, for type and dialect. So what
is found depends on the object alone, however its bytes are split.

A reader that continues at a `Position` reads the first bytes too, up to the end of the header, and finds the same. Then
it drops the text before that place; of an object that is plain UTF-8 those bytes need not be read, see `jump`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from engine.errors import BadFile
from engine.reading import compression, encoding
from engine.reading.block import FILE_START, Block, Position
from engine.reading.compression import Decompressor, find_compression
from engine.reading.delimited import CsvReader
from engine.reading.dialect import SAMPLE_BYTES, find_dialect
from engine.reading.dynamodb_json import DynamoDbJsonReader, find_json_type
from engine.reading.encoding import UTF_8, Transcoder, find_encoding
from engine.reading.format import FIND_ALL, NOTHING_WANTED, RFC_4180, Dialect, Format, Wanted
from engine.reading.json_lines import JsonLinesReader
from engine.reading.json_members import Members
from engine.reading.limits import USUAL_LIMITS, Limits
from engine.reading.lines import last_line_end

# A CSV header may begin with a bracket too, but hardly with what follows it in JSON.
_JSON_START = re.compile(r'\s*(?:\{\s*(?:"|\}|$)|\[\s*\{)')


class Found(NamedTuple):
    """What an object turned out to be. None: nothing that its type has, or not known before the header is read."""

    type: str
    compression: str
    encoding: str
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    header_lines: int | None = None
    columns: int | None = None

    def result(self) -> dict[str, Any]:
        """Return it for result and log: no text of the file, since a file without a header has data there."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class _Records(Protocol):
    """A reader of records from UTF-8 text."""

    @property
    def header(self) -> Sequence[str] | None: ...

    @property
    def held(self) -> int: ...

    @property
    def position(self) -> Position: ...

    def feed(self, data: bytes) -> Iterator[Block]: ...

    def finish(self) -> Iterator[Block]: ...


class ObjectReader:
    """Incremental reader of one object, or the rest of it from `start`, in any format that `form` allows.

    It takes the object from its first byte in either case. `start` needs neither header nor dialect. `wanted` are the
    columns of JSON objects. `held` bytes wait for more.
    """

    def __init__(
        self,
        form: Format = FIND_ALL,
        wanted: Wanted = NOTHING_WANTED,
        start: Position = FILE_START,
        limits: Limits = USUAL_LIMITS,
    ) -> None:
        self._form, self._start, self._limits = form, start, limits
        self._wanted = wanted
        self._head = b""
        self._cut_off = False  # no more text comes, though the last record may not be complete
        self._compression: str | None = None
        self._decompressor: Decompressor | None = None
        self._encoding: str | None = None
        self._transcoder: Transcoder | None = None
        self._type: str | None = None
        self._dialect: Dialect | None = None
        self._reader: _Records | None = None
        self._is_before_start = start.offset > 0
        self._unread = b""  # before the header's end: what the reader holds back
        self._text_bytes = 0  # before `start`: how many bytes of text there were

    @property
    def header(self) -> Sequence[str] | None:
        """The columns' names as they are in the file or the schema, once the header is complete."""
        return None if self._reader is None else self._reader.header

    @property
    def held(self) -> int:
        """How many bytes are held back."""
        return len(self._head) + (0 if self._reader is None else self._reader.held)

    @property
    def type(self) -> str:
        """The type of the file, that of `Format`; until it is known, "csv"."""
        return self._type or "csv"

    @property
    def found(self) -> Found | None:
        """What the first bytes turned out to be; None until there are enough of them."""
        if self._reader is None or self._compression is None or self._encoding is None or self._type is None:
            return None
        found = Found(self._type, self._compression, self._encoding)
        if self._dialect is None:
            return found
        header = self._reader.header
        return found._replace(
            delimiter=self._dialect.delimiter,
            quote=self._dialect.quote or "none",
            escape=self._dialect.escape,
            header_lines=self._form.header_lines,
            columns=None if header is None else len(header),
        )

    def jump(self) -> int | None:
        """Return the offset of the byte to be fed next, if that is not the byte after the last one."""
        if not self._is_before_start or self._reader is None or self._reader.header is None:
            return None
        if self._decompressor is not None or self._transcoder is not None:
            return None
        self._continue_at_start(self._reader)
        return self._start.offset

    def feed(self, data: bytes) -> Iterator[Block]:
        """Take the next bytes and yield the blocks that they complete. Raises `BadFile`."""
        return self._read(data, final=False)

    def finish(self) -> Iterator[Block]:
        """Take the end of the object. Raises `BadFile` if there was no header."""
        return self._read(b"", final=True)

    def _read(self, data: bytes, *, final: bool) -> Iterator[Block]:
        if self._compression is None:
            data, self._head = self._head + data, b""
            if len(data) < compression.HEAD_BYTES and not final:
                self._head = data
                return
            self._compression = find_compression(data[: compression.HEAD_BYTES], self._form.compression)
            if self._compression != "none":
                self._decompressor = Decompressor(self._compression)
        if self._decompressor is None:
            yield from self._read_plain(data, final=final)
            return
        yield from self._read_pieces(self._decompressor.feed(data))
        if final:
            yield from self._read_pieces(self._decompressor.finish())
            yield from self._read_plain(b"", final=True)

    def _read_pieces(self, pieces: Iterator[bytes]) -> Iterator[Block]:
        """Read decompressed bytes. Before a fault in them, what is held back to find the format is read."""
        while True:
            try:
                piece = next(pieces, None)
            except BadFile:
                self._cut_off = True
                with suppress(BadFile):  # the damage is why
                    yield from self._read_head()
                raise
            if piece is None:
                return
            yield from self._read_plain(piece, final=False)

    def _read_head(self) -> Iterator[Block]:
        """Read the bytes that are held back to find the format. The last record of them is not complete."""
        if self._head:
            read = self._read_plain if self._encoding is None else self._read_text
            yield from read(b"", final=False)

    def _read_plain(self, data: bytes, *, final: bool) -> Iterator[Block]:
        if self._encoding is None:
            data, self._head = self._head + data, b""
            if len(data) < compression.HEAD_BYTES and not (final or self._cut_off):
                self._head = data
                return
            if self._decompressor is not None and find_compression(data[: compression.HEAD_BYTES]) != "none":
                raise BadFile("the file is compressed twice; compress it once")
            self._encoding = find_encoding(data[: encoding.HEAD_BYTES], self._form.encoding)
            if self._encoding != UTF_8:
                self._transcoder = Transcoder(self._encoding)
        if self._transcoder is None:
            yield from self._read_text(data, final=final)
            return
        size = self._limits.slice_bytes
        for begin in range(0, len(data), size):
            yield from self._read_text(self._transcoder.feed(data[begin : begin + size]), final=False)
        if final:
            yield from self._read_text(self._transcoder.finish(), final=True)

    def _read_text(self, data: bytes, *, final: bool) -> Iterator[Block]:
        if self._reader is None:
            data, self._head = self._head + data, b""
            if len(data) <= SAMPLE_BYTES and not (final or self._cut_off):
                self._head = data
                return
            sample = _sample_of(data, final=final)
            self._type = _type_of(sample, self._form)
            if self._type == "csv":
                self._dialect = find_dialect(sample, self._form)
            self._reader = self._open(FILE_START)
        if self._is_before_start:
            data = self._after_start(self._reader, data)
            if self._is_before_start:
                if final:
                    raise BadFile("the file ends before the place where reading was to go on")
                return
        yield from self._reader.feed(data)
        if final:
            yield from self._reader.finish()

    def _after_start(self, reader: _Records, data: bytes) -> bytes:
        """Return what of `data` comes after `start`, once the header is read."""
        self._text_bytes += len(data)
        if reader.header is None:
            data = self._unread + data
            for _ in reader.feed(data[len(self._unread) :]):
                pass
            if reader.header is None:
                self._unread = data[len(data) - reader.held :]
                return b""
        if self._text_bytes < self._start.offset:
            return b""
        self._continue_at_start(reader)
        return data[len(data) - (self._text_bytes - self._start.offset) :]

    def _continue_at_start(self, reader: _Records) -> None:
        """Read on at `start`, with what `reader` found before it."""
        _, _, header, _, _, dialect = reader.position
        self._is_before_start, self._unread = False, b""
        self._reader = self._open(self._start._replace(header=header, dialect=dialect))

    def _open(self, start: Position) -> _Records:
        """Return the reader of this type of file."""
        paths, attributes, unknown, reserved = self._wanted
        match self._type:
            case "jsonl":
                return JsonLinesReader(Members(paths, unknown=unknown, reserved=reserved), start, self._limits)
            case "dynamodb-json":
                return DynamoDbJsonReader(
                    attributes, unknown=unknown, reserved=reserved, start=start, limits=self._limits
                )
            case _:
                return CsvReader(
                    start,
                    self._limits,
                    form=self._form,
                    dialect=self._dialect or RFC_4180,
                    encoding=self._encoding or UTF_8,
                )


def _sample_of(data: bytes, *, final: bool) -> str:
    """Return the whole lines at the beginning of a text. `final`: it has all of them."""
    sample = data[:SAMPLE_BYTES]
    if len(data) > SAMPLE_BYTES or not final:
        sample = sample[: last_line_end(sample, len(sample)) or len(sample)]
    return sample.decode(errors="replace").removeprefix("\ufeff")


def _type_of(sample: str, form: Format) -> str:
    """Return what type of file begins with `sample`. Raises `BadFile` for JSON in place of a header of CSV."""
    if form.type not in (None, "csv"):
        return form.type
    found = (find_json_type(sample.encode()) or "csv") if _JSON_START.match(sample) else "csv"
    if form.type is None or found == "csv":
        return found
    if form.header_lines and not form.skip_lines:
        raise BadFile(f'the schema declares CSV, but the file looks like JSON: set type = "{found}" in [format]')
    return form.type
