"""Numbers as text: the one canonical form of each that DynamoDB can hold, also a whole column at a time. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Context, DecimalException, Inexact, InvalidOperation, Overflow, Subnormal

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,37}")

# DynamoDB: up to 38 significant digits, magnitudes from 1E-130 to 9.99…E+125. Anything else raises.
_HELD = Context(prec=38, Emin=-130, Emax=125, traps=[InvalidOperation, Inexact, Overflow, Subnormal])

# Decimals as programs write them, one a line; for their canonical text only zeros at the end have to go. Possessive, so
# that no state is kept for each of thousands of numbers: that takes half of the time.
PLAIN_WHOLE = "(?:[1-9][0-9]*+|0)"
_PLAIN_LINES = re.compile(rf"(?:-?+{PLAIN_WHOLE}(?:\.[0-9]++)?+\n)*+")

# Canonical text of no more than 38 digits.
_FRACTION = rb"\.[0-9]{1,19}+(?<!0)"
_CANONICAL_LINES = re.compile(rb"(?:(?:0|-?(?:[1-9][0-9]{0,18}+(?:%b)?+|0%b))\n)*+" % (_FRACTION, _FRACTION))

_MAX_PLAIN = 38
"""Characters: no more digits than DynamoDB holds, whatever the rest is."""

# Of these characters, `decimal` reads what `_NUMBER` matches, but for exponents of more than four digits.
_CHARACTERS = b"0123456789+-.eE\n"
_AS_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_EXPONENT = b"e00000"

_MAX_LENGTH = 400
"""Characters of a number: what is longer is refused before it is converted."""


def canonical_number(text: str) -> str | None:
    """Return the canonical text of a number (one text for each value, as keys need), or None if DynamoDB rejects it."""
    if _PLAIN_INTEGER.fullmatch(text):
        return text
    if len(text) > _MAX_LENGTH or not _NUMBER.fullmatch(text):
        return None
    try:
        number = _HELD.create_decimal(text)
    except DecimalException:
        # Zero with an exponent beyond those of `_HELD` is still zero.
        return "0" if not re.search("[1-9]", re.split("[eE]", text)[0]) else None
    if not number:
        return "0"
    # Plain digits, without an exponent and without zeros at the end, in one form only.
    return f"{_HELD.normalize(number):f}"


def canonical_numbers(texts: Sequence[str]) -> Sequence[str | None]:
    """Return what `canonical_number` returns for each text, at a fraction of the time where all are plain decimals."""
    plain = plain_numbers(texts)
    return _decimals(texts) or list(map(canonical_number, texts)) if plain is None else plain


def are_canonical(lines: bytes) -> bool:
    """Return whether each line certainly is what `canonical_number` returns for it."""
    return _CANONICAL_LINES.fullmatch(lines) is not None


def plain_numbers(texts: Sequence[str]) -> Sequence[str] | None:
    """Return what `canonical_number` returns for each text, if all are numbers as JSON has them without exponents."""
    lines = "\n".join([*texts, ""])
    # A text that contains a line break would pass for two numbers.
    if not _PLAIN_LINES.fullmatch(lines) or lines.count("\n") != len(texts):
        return None
    return canonical_decimals(texts, lines)


def canonical_decimals(texts: Sequence[str], lines: str) -> Sequence[str] | None:
    """Return what `canonical_number` returns for each text, all of which are as above; `lines` has one of them a line.

    Returns None if one may have more digits than DynamoDB holds.
    """
    if max(map(len, texts), default=0) > _MAX_PLAIN:
        return None
    if "0\n" in lines and "." in lines:
        texts = [text.rstrip("0").rstrip(".") if text[-1] == "0" and "." in text else text for text in texts]
    if "-0" in lines:
        texts = ["0" if text == "-0" else text for text in texts]
    return texts


def _decimals(texts: Sequence[str]) -> list[str | None] | None:
    """Return what `canonical_number` returns for each text; None if one may be refused."""
    lines = "\n".join([*texts, ""])
    data = lines.encode() if lines.isascii() else b"?"
    if (
        data.translate(None, _CHARACTERS)
        or _LONG_EXPONENT in data.translate(_AS_ZEROS, b"+-")
        or lines.count("\n") != len(texts)
        or len(max(texts, key=len)) > _MAX_LENGTH
    ):
        return None
    try:
        numbers = list(map(_HELD.normalize, map(_HELD.create_decimal, texts)))
    except DecimalException:
        return None
    # Mostly `str` writes no exponent, in a third of the time.
    written = list(map(str, numbers))
    if "E" in "".join(written) or "-0" in written:
        return [f"{number:f}" if number else "0" for number in numbers]
    return [*written]
