"""Bytes of an object -> blocks of records: finds what its format leaves open and joins the layers that read it.

The first bytes are held back until they tell the encoding, and then until there are `SAMPLE_BYTES` of text, or the end,
for the dialect. So what is found depends on the object alone, however its bytes are split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from engine.errors import BadFile
from engine.reading.block import FILE_START, Block, Position
from engine.reading.delimited import CsvReader
from engine.reading.dialect import SAMPLE_BYTES, find_dialect
from engine.reading.encoding import HEAD_BYTES, UTF_8, Transcoder, find_encoding
from engine.reading.format import FIND_ALL, Dialect, Format
from engine.reading.limits import USUAL_LIMITS, Limits
from engine.reading.lines import last_line_end

_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive or a spreadsheet; export it as CSV"),
    (b"\x1f\x8b", "gzip data; upload it uncompressed"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet; export it as CSV"),
    (b"%PDF", "a PDF document"),
)


class Found(NamedTuple):
    """What an object turned out to be. `columns` is None until the header is read."""

    type: str
    compression: str
    encoding: str
    delimiter: str
    quote: str
    escape: str
    header_lines: int
    columns: int | None

    def result(self) -> dict[str, Any]:
        """Return it for result and log: no text of the file, since a file without a header has data there."""
        return self._asdict()


class ObjectReader:
    """Incremental reader of one object, or the rest of it from `start`, in any format that `form` allows.

    `held` bytes wait for more.
    """

    def __init__(self, form: Format = FIND_ALL, start: Position = FILE_START, limits: Limits = USUAL_LIMITS) -> None:
        if form.type not in (None, "csv") or form.compression not in (None, "none"):
            raise BadFile("files of the type or compression that the schema declares cannot be read")
        self._form, self._start, self._limits = form, start, limits
        self._head = b""
        self._encoding: str | None = None
        self._transcoder: Transcoder | None = None
        self._reader: CsvReader | None = None
        if start.dialect is not None:  # only text that is UTF-8 already can be continued
            self._encoding = UTF_8
            self._reader = CsvReader(start, limits, form=form, dialect=start.dialect)

    @property
    def header(self) -> Sequence[str] | None:
        """The columns' names as they are in the file or the schema, once the header is complete."""
        return None if self._reader is None else self._reader.header

    @property
    def held(self) -> int:
        """How many bytes are held back."""
        return len(self._head) + (0 if self._reader is None else self._reader.held)

    @property
    def found(self) -> Found | None:
        """What the first bytes turned out to be; None until there are enough of them."""
        if self._reader is None or self._encoding is None:
            return None
        dialect, header = self._reader.dialect, self._reader.header
        return Found(
            type="csv",
            compression="none",
            encoding=self._encoding,
            delimiter=dialect.delimiter,
            quote=dialect.quote or "none",
            escape=dialect.escape,
            header_lines=self._form.header_lines,
            columns=None if header is None else len(header),
        )

    def feed(self, data: bytes) -> Iterator[Block]:
        """Take the next bytes and yield the blocks that they complete. Raises `BadFile`."""
        return self._read(data, final=False)

    def finish(self) -> Iterator[Block]:
        """Take the end of the object. Raises `BadFile` if there was no header."""
        return self._read(b"", final=True)

    def _read(self, data: bytes, *, final: bool) -> Iterator[Block]:
        if self._encoding is None:
            data, self._head = self._head + data, b""
            if len(data) < HEAD_BYTES and not final:
                self._head = data
                return
            _refuse_other_formats(data)
            self._encoding = find_encoding(data[:HEAD_BYTES], self._form.encoding)
            if self._encoding != UTF_8:
                self._transcoder = Transcoder(self._encoding)
        if self._transcoder is None:
            yield from self._read_text(data, final)
            return
        size = self._limits.slice_bytes
        for begin in range(0, len(data), size):
            yield from self._unplaced(self._read_text(self._transcoder.feed(data[begin : begin + size]), final=False))
        if final:
            yield from self._unplaced(self._read_text(self._transcoder.finish(), final=True))

    def _read_text(self, data: bytes, final: bool) -> Iterator[Block]:
        if self._reader is None:
            data, self._head = self._head + data, b""
            if len(data) <= SAMPLE_BYTES and not final:
                self._head = data
                return
            self._reader = CsvReader(
                self._start,
                self._limits,
                form=self._form,
                dialect=_dialect_of(data, self._form),
                encoding=self._encoding or UTF_8,
            )
        yield from self._reader.feed(data)
        if final:
            yield from self._reader.finish()

    def _unplaced(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield the blocks without their ends: a place in transcoded text is no place in the object."""
        for block in blocks:
            yield replace(block, end=None)


def _dialect_of(data: bytes, form: Format) -> Dialect:
    sample = data[:SAMPLE_BYTES]
    if len(data) > SAMPLE_BYTES:
        sample = sample[: last_line_end(sample, len(sample)) or len(sample)]
    return find_dialect(sample.decode(errors="replace").removeprefix("\ufeff"), form)


def _refuse_other_formats(head: bytes) -> None:
    for signature, what in _SIGNATURES:
        if head.startswith(signature):
            raise BadFile(f"the file is not CSV text but {what}")
