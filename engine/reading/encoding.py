"""Text in any encoding -> UTF-8, as a layer in front of a reader. Pure.

The encoding is declared, or a byte order mark says it; it is never guessed. `Transcoder` takes bytes that are split
anywhere. What its codec cannot decode becomes bytes that are not valid UTF-8 either, so the reader behind it rejects
the record, and `original_text` shows the bytes that were in the file.
"""

from __future__ import annotations

import codecs
import re

from engine.errors import BadFile

HEAD_BYTES = 4
"""Bytes at the beginning of a file that are needed to recognise a byte order mark."""

UTF_8 = "utf-8"

_MARKS = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Each undecodable byte becomes one of 256 lone surrogates, which strict UTF-8 does not allow.
_UNDECODED = 0xDC00

_UNDECODED_CHARACTER = re.compile("[\udc00-\udcff]")


def _keep_undecoded(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(_UNDECODED + byte) for byte in error.object[error.start : error.end]), error.end


_ERRORS = "millpond.undecoded"
codecs.register_error(_ERRORS, _keep_undecoded)


def _drop_cut_off(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogatepass")(error)
    except UnicodeDecodeError as cut_off:  # a record that is too long ends within a character
        return "", cut_off.end


_ORIGINAL = "millpond.original"
codecs.register_error(_ORIGINAL, _drop_cut_off)


def find_encoding(head: bytes, declared: str | None) -> str:
    """Return the canonical name of a file's encoding: by its byte order mark, else as declared, else UTF-8.

    Raises `BadFile` for UTF-32 that is not declared, and for a byte order mark that contradicts the declaration or that
    it needs.
    """
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if declared is None:
        if marked is not None and marked.startswith("utf-32"):
            raise BadFile("the file is UTF-32 text; save it as UTF-8, or declare its encoding in [format]")
        return marked or UTF_8
    declared = UTF_8 if declared == "utf-8-sig" else declared
    if marked is None:
        if head and declared in ("utf-16", "utf-32"):
            raise BadFile(
                f"the schema declares {declared} text, but the file has no byte order mark: declare {declared}-le or "
                f"{declared}-be in [format]"
            )
        return declared
    if marked not in (declared, f"{declared}-le", f"{declared}-be"):
        raise BadFile(
            f"the schema declares {declared} text, but the file begins with the mark of {marked.upper()}: correct "
            "encoding in [format], or leave it out"
        )
    return marked


class Transcoder:
    """Incremental decoder of `encoding` whose output is UTF-8."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)(_ERRORS)

    def feed(self, data: bytes) -> bytes:
        """Return the next bytes as UTF-8; the rest of a character that is not complete is held back.

        Raises `BadFile` where the codec gives up.
        """
        return self._decoded(data, final=False)

    def finish(self) -> bytes:
        """Return what is left of a character that is not complete. Raises `BadFile`."""
        return self._decoded(b"", final=True)

    def _decoded(self, data: bytes, *, final: bool) -> bytes:
        try:
            return self._decoder.decode(data, final).encode(errors="surrogatepass")
        except UnicodeError:  # some codecs do not leave to the error handler what they cannot decode
            raise BadFile(f"the file is not {self._encoding} text: it cannot be decoded to its end") from None


def original_text(record: bytes) -> str:
    r"""Return a record that went through a `Transcoder` as text, undecodable bytes of the file as ``\xff``."""
    text = record.decode(errors=_ORIGINAL)
    return _UNDECODED_CHARACTER.sub(lambda found: f"\\x{ord(found[0]) - _UNDECODED:02x}", text)
