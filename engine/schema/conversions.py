"""Conversions of binary, lists, sets and JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise
from typing import Any, Final

import orjson

from engine import exact_json
from engine.decimal_text import are_canonical, canonical_numbers
from engine.exact_json import NumberText
from engine.schema.json_columns import by_shape
from engine.schema.values import MAX_DEPTH, VARIES, Attribute, Encoded, Value, attribute_of
from engine.text import is_text

_ESCAPED: Final = bytes({*range(32), *b'"\\'} - {*b"\n"})
"""Characters that JSON escapes, but for the one between lines."""


_IN_NUMBERS: Final = "0123456789.-\n"
"""Characters of canonical numbers, and the one between lines."""


@dataclass(frozen=True, slots=True)
class Binary:
    """Conversion of binary data, from Base64 in its one canonical form or, with `hexadecimal`, from pairs of digits."""

    hexadecimal: bool = False
    type: str = "B"
    strict: bool = True

    def convert(self, texts: Sequence[str]) -> Sequence[str | None]:
        """Return each value as Base64, None for a text that is not in the declared encoding."""
        return list(map(_base64_of_hex if self.hexadecimal else _canonical_base64, texts))

    def nested(self, value: Any) -> None:
        """Refuse lists and objects."""

    def reason(self, value: Any) -> str:
        """Return what is wrong with a refused value."""
        return "is not hexadecimal" if self.hexadecimal else "is not Base64 in its canonical form"


def _canonical_base64(text: str) -> str | None:
    try:
        canonical = base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
    return text if text == canonical else None


def _base64_of_hex(text: str) -> str | None:
    try:
        return base64.b64encode(binascii.unhexlify(text)).decode()
    except (binascii.Error, ValueError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Json:
    """Conversion of JSON texts, and of JSON values as they are."""

    type: str = VARIES
    strict: bool = False

    def convert(self, texts: Sequence[str]) -> Sequence[Attribute | Encoded | None]:
        """Return each JSON text as an attribute value, None for a text that is not JSON or that DynamoDB rejects."""
        return by_shape(texts, _attribute_of_json) or list(map(_attribute_of_json, texts))

    def nested(self, value: Any) -> Attribute | None:
        """Return a JSON value as an attribute value."""
        return attribute_of(value)

    def reason(self, value: Any) -> str:
        """Return what is wrong with a refused value."""
        return (
            "is not JSON that DynamoDB can hold (names occur once, numbers have at most 38 digits, at most "
            f"{MAX_DEPTH} levels)"
        )


def _attribute_of_json(text: str) -> Attribute | None:
    try:
        return attribute_of(_loads(text))
    except ValueError:
        return None


def _loads(text: str) -> Any:
    """Return what `exact_json.loads` returns, or the same with numbers that print as the text has them.

    If a JSON text is what a serialiser makes of its own value, apart from blanks between its parts, then nothing of it
    got lost: no name was there twice, and no digit.
    """
    try:
        value = orjson.loads(text)
        written = orjson.dumps(value).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # it may only have too large a number, or too many levels
        return exact_json.loads(text)
    return value if written == text.replace(", ", ",").replace(": ", ":") else exact_json.loads(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """Conversion of lists, or of sets, of texts or numbers.

    A text is split at `separator` (None: only a JSON list is accepted). Elements are trimmed with `trim`. A set holds
    each element once, and one without elements is no value.
    """

    unique: bool
    numbers: bool = False
    separator: str | None = None
    trim: bool = False
    type: str = field(init=False)
    strict: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", ("NS" if self.numbers else "SS") if self.unique else "L")

    def convert(self, texts: Sequence[str]) -> Sequence[Attribute | Encoded | None]:
        """Return each text's elements, None for a text that is refused."""
        separator = self.separator
        if separator is None:
            return [None] * len(texts)
        whole = None if "\n" in separator else self._convert_whole(texts, separator)
        if whole is not None:
            return whole
        lists = [text.split(separator) for text in texts]
        elements = list(chain.from_iterable(lists))
        if self.trim or self.numbers:
            elements = list(map(str.strip, elements))
        # All elements of the column together: converting a few at a time costs more. An empty one may be a missing one.
        held = canonical_numbers(elements) if self.numbers else [element or None for element in elements]
        rows = [held[start:end] for start, end in pairwise(accumulate(map(len, lists), initial=0))]
        if None not in held and len(separator) == 1 and separator not in _IN_NUMBERS:
            # None of them is written with the separator.
            whole = self._convert_whole([separator.join(map(str, row)) for row in rows], separator)
            if whole is not None:
                return whole
        return list(map(self._held, rows))

    def _convert_whole(self, texts: Sequence[str], separator: str) -> Sequence[Attribute | Encoded] | None:
        """Write a column as JSON by replacing its separators, if all elements can stand there as they are; or None."""
        lines = "\n".join(texts)
        if lines.count("\n") != len(texts) - 1:
            return None
        try:
            data, mark = lines.encode(), separator.encode()
        except UnicodeEncodeError:
            return None
        elements = data.replace(mark, b"\n")
        if len(elements.translate(None, _ESCAPED)) < len(elements) or not self._are_clean(elements):
            return None
        first, between, last = self._json_parts()
        written = first + data.replace(mark, between).replace(b"\n", last + b"\n" + first) + last
        if b'""' in written:
            return None
        values: list[Attribute | Encoded] = list(map(Encoded, written.split(b"\n")))
        if self.unique:
            lists = [text.split(separator) for text in texts]
            for i, different in enumerate(map(len, map(set, lists))):
                if different < len(lists[i]):
                    values[i] = {self.type: list(dict.fromkeys(lists[i]))}
        return values

    def _are_clean(self, lines: bytes) -> bool:
        """Return whether all elements, one a line, stand there as they are kept."""
        if self.numbers:
            return are_canonical(b"%b\n" % lines)
        elements = lines.decode().split("\n") if self.trim else []
        return elements == list(map(str.strip, elements))

    def _json_parts(self) -> tuple[bytes, bytes, bytes]:
        """Return what is before, between and after the elements of a value in JSON."""
        if self.unique:
            return b'{"%b":["' % self.type.encode(), b'","', b'"]}'
        name = b"N" if self.numbers else b"S"
        return b'{"L":[{"%b":"' % name, b'"},{"%b":"' % name, b'"}]}'

    def nested(self, value: Any) -> Value:
        """Return the elements of a JSON list; empty text, which is no value, for a set without elements."""
        if not isinstance(value, list):
            return None
        if self.unique and not value:
            return ""
        if self.numbers:
            # True is a number to Python.
            known = all(isinstance(each, str) or type(each) in (int, float) for each in value)
            return self._held(canonical_numbers(list(map(str, value)))) if known else None
        known = all(isinstance(each, str) and not isinstance(each, NumberText) and is_text(each) for each in value)
        return self._held(value) if known else None

    def reason(self, value: Any) -> str:
        """Return what is wrong with a refused value."""
        if isinstance(value, str) and self.separator is None:
            return "is text, and the schema has no separator for it"
        what = "numbers that DynamoDB can hold" if self.numbers else "texts that are not empty"
        return f"is not a {'set' if self.unique else 'list'} of {what}"

    def _held(self, elements: Sequence[str | None]) -> Attribute | None:
        if None in elements:
            return None
        if self.unique:
            return {self.type: list(dict.fromkeys(elements))}
        return {"L": [{"N": each} for each in elements] if self.numbers else [{"S": each} for each in elements]}
