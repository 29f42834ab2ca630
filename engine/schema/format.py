"""The ``[format]`` table of a schema -> `Format`. What is invalid is refused with the key at fault and the reason."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.errors import SchemaError
from engine.reading.format import COMPRESSIONS, ESCAPES, NO_QUOTE, SHORT_ROWS, TYPES, Format

MAX_SKIPPED_LINES = 1_000
"""Lines before the header, and lines of the header: a preamble, not a part of the data."""

_KEYS = frozenset(Format.__dataclass_fields__)


def parse_format(table: Any, wrong: Callable[[str, str], SchemaError]) -> Format:
    """Return the format that `table` declares; `wrong` makes the error for a key and a reason. Raises `SchemaError`."""
    if not isinstance(table, dict):
        raise wrong("format", "must be a table of settings")
    return _FormatReader(table, wrong).read()


class _FormatReader:
    def __init__(self, table: Mapping[str, Any], wrong: Callable[[str, str], SchemaError]) -> None:
        self._table, self._error = table, wrong

    def read(self) -> Format:
        for key in self._table:
            if key not in _KEYS:
                raise self._wrong(key, f"is not known; known here: {', '.join(sorted(_KEYS))}")
        header_lines = self._count("header_lines", 1)
        names = self._names()
        if header_lines == 0 and names is None:
            raise self._wrong("names", "must list the columns' names, since header_lines = 0")
        found = Format(
            type=self._choice("type", TYPES),
            compression=self._choice("compression", COMPRESSIONS),
            encoding=self._encoding(),
            delimiter=self._character("delimiter"),
            quote=self._quote(),
            escape=self._choice("escape", ESCAPES),
            comment=self._comment(),
            skip_lines=self._count("skip_lines", 0),
            header_lines=header_lines,
            names=names,
            multiline=self._flag("multiline"),
            short_rows=self._choice("short_rows", SHORT_ROWS) or "reject",
        )
        self._tell_apart(found)
        return found

    def _tell_apart(self, found: Format) -> None:
        """Refuse characters that mean two things."""
        meanings = {"\\": "escape character"} if found.escape == "backslash" else {}
        quote = None if found.quote == NO_QUOTE else found.quote
        for key, text in (("delimiter", found.delimiter), ("quote", quote), ("comment", found.comment)):
            if text and meanings.setdefault(text[0], key) != key:
                raise self._wrong(key, f"must not begin like the {meanings[text[0]]}")

    def _choice(self, key: str, choices: Sequence[str]) -> str | None:
        value = self._table.get(key)
        if value is not None and value not in choices:
            raise self._wrong(key, f"must be one of {', '.join(choices)}, not {value!r}")
        return value

    def _character(self, key: str) -> str | None:
        value = self._table.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) != 1 or value in "\r\n\0\ufeff" or "\ud800" <= value <= "\udfff":
            also = f', or "{NO_QUOTE}"' if key == "quote" else ""
            raise self._wrong(key, f"must be one character{also}, not {value!r}")
        return value

    def _quote(self) -> str | None:
        if self._table.get("quote") == NO_QUOTE:
            return NO_QUOTE
        quote = self._character("quote")
        if quote is not None and quote in " \t":
            raise self._wrong("quote", "must not be a blank: blanks around quotes are dropped")
        return quote

    def _comment(self) -> str | None:
        value = self._table.get("comment")
        if value is not None and (not isinstance(value, str) or not value or any(c in value for c in "\r\n")):
            raise self._wrong("comment", f"must be the text that such lines begin with, not {value!r}")
        return value

    def _count(self, key: str, default: int) -> int:
        value = self._table.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SKIPPED_LINES:
            raise self._wrong(key, f"must be a whole number from 0 to {MAX_SKIPPED_LINES:,}, not {value!r}")
        return value

    def _flag(self, key: str) -> bool | None:
        value = self._table.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, f"must be true or false, not {value!r}")
        return value

    def _names(self) -> tuple[str, ...] | None:
        value = self._table.get("names")
        if value is None:
            return None
        if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
            raise self._wrong("names", f"must be a list of the columns' names in order, not {value!r}")
        return tuple(value)

    def _encoding(self) -> str | None:
        value = self._table.get("encoding")
        if value is None:
            return None
        try:
            # Fails for codecs that turn bytes into bytes, and for those that cannot read a part at a time.
            name = codecs.lookup(value).name
            "".encode(name)
            codecs.getincrementaldecoder(name)("strict").decode(b"")
        except (LookupError, TypeError, ValueError):
            raise self._wrong("encoding", f"must be a text encoding that Python knows, not {value!r}") from None
        return name

    def _wrong(self, key: str, reason: str) -> SchemaError:
        return self._error(f"format.{key}", reason)
