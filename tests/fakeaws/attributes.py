"""DynamoDB's attribute values: which are valid, how large they are, and how keys compare.

Rules and sizes are those of the service's developer guide ("Supported data types", "Item sizes and formats").
"""

import base64
import binascii
import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

from tests.fakeaws.errors import Refusal

Value = Mapping[str, Any]
"""One attribute value with its type, such as ``{"S": "text"}``."""

MAX_DIGITS = 38
# Magnitudes from 1E-130 to 9.99…E+125.
MIN_EXPONENT, MAX_EXPONENT = -130, 125
MAX_DEPTH = 32
EXACT = Context(prec=10_000, Emin=-99_999, Emax=99_999)  # the default context would round to 28 digits
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_PLAIN = re.compile(r"-?[1-9][0-9]{0,18}(\.[0-9]{1,18})?")  # at most 38 digits, in any case


def invalid(message: str) -> Refusal:
    """Return DynamoDB's answer to a request that breaks a rule."""
    return Refusal("ValidationException", message)


def check_number(text: Any) -> None:
    """Raise `Refusal` for what is no number or cannot be held: 38 significant digits, 1E-130 to 9.99…E+125."""
    if not isinstance(text, str):
        raise Refusal("SerializationException", "NUMBER_VALUE cannot be converted to String")
    if _PLAIN.fullmatch(text):
        return
    if not _NUMBER.fullmatch(text):
        raise invalid(f"The parameter cannot be converted to a numeric value: {text}")
    number = Decimal(text, EXACT).normalize(EXACT)
    if not number:
        return
    if len(number.as_tuple().digits) > MAX_DIGITS:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    if number.adjusted() > MAX_EXPONENT:
        raise invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if number.adjusted() < MIN_EXPONENT:
        raise invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")


def check_value(value: Any, depth: int = 0) -> int:
    """Return the bytes that DynamoDB counts for a value; raises `Refusal` for one that it does not take."""
    if not isinstance(value, dict) or len(value) != 1:
        raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    ((kind, content),) = value.items()
    if depth > MAX_DEPTH:
        raise invalid("Nesting Levels have exceeded supported limits")
    if kind == "N":
        check_number(content)
        return number_bytes(content)
    match kind, content:
        case "S", str():
            return _utf8_bytes(content)
        case "B", str():
            return _binary_bytes(content)
        case ("BOOL", bool()) | ("NULL", True):
            return 1
        case ("L", list()) | ("M", dict()):
            return _document_bytes(content, depth)
        case (("SS" | "NS" | "BS"), list()):
            return _set_bytes(kind, content)
    raise Refusal("SerializationException", f"a value of type {kind} cannot be read")


def _document_bytes(content: list[Any] | dict[str, Any], depth: int) -> int:
    names = sum(len(name.encode()) for name in content) if isinstance(content, dict) else 0
    values = content.values() if isinstance(content, dict) else content
    return 3 + names + sum(1 + check_value(each, depth + 1) for each in values)


def _utf8_bytes(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise Refusal("SerializationException", "a string holds a lone surrogate") from None


def _binary_bytes(text: str) -> int:
    try:
        return len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise Refusal("SerializationException", "Base64 encoded length is unexpected") from None


def _set_bytes(kind: str, content: list[Any]) -> int:
    if not content:
        raise invalid("One or more parameter values were invalid: A set may not be empty")
    sizes = [check_value({kind[0]: each}) for each in content]
    if len({comparable(kind[0], each) for each in content}) < len(content):
        raise invalid("One or more parameter values were invalid: Input collection contains duplicates.")
    return 3 + sum(sizes)


def number_bytes(text: str) -> int:
    """Return about as many bytes as DynamoDB counts for a number: one for two significant digits, and one more."""
    digits = text.partition("e")[0].partition("E")[0].replace(".", "").strip("+-0")
    return (len(digits) + 1) // 2 + 1


def item_bytes(item: Mapping[str, Any]) -> int:
    """Return the bytes that DynamoDB counts for an item; raises `Refusal` for a value that it does not take."""
    size = 0
    for name, value in item.items():
        size += len(name) if name.isascii() else _utf8_bytes(name)
        # Most values are plain text: simulations and benchmarks check millions of them.
        text = value.get("S") if type(value) is dict and len(value) == 1 else None
        size += len(text) if type(text) is str and text.isascii() else check_value(value)
    return size


def comparable(kind: str, content: str) -> str | bytes | Decimal:
    """Return a value of a key as it is compared and ordered: text and binary by bytes, numbers by value."""
    if kind == "N":
        return Decimal(content)
    return content.encode() if kind == "S" else base64.b64decode(content)


def key_text(kind: str, content: str) -> str:
    """Return one text for each value of a key: 1.50 and 1.5 are one number."""
    if kind != "N" or (_PLAIN.fullmatch(content) and ("." not in content or content[-1] != "0")):
        return content
    return format(Decimal(content).normalize(EXACT), "f")
