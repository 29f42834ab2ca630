"""The tables under ``[columns]`` of a schema file -> columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import orjson

from engine.decimal_text import canonical_number
from engine.exact_json import NumberText
from engine.schema.columns import NO_VALUES, Column
from engine.schema.numbers import Numbers
from engine.schema.settings import Settings
from engine.schema.values import NULL, Conversion, Value

if TYPE_CHECKING:
    from engine.schema.patterns import Pattern

MAX_KEY_ATTRIBUTE_BYTES = 255
"""DynamoDB quota: the name of a key attribute, here of any attribute that a schema names."""

COMMON_SETTINGS: Final = {
    "attribute", "aliases", "place", "path", "required", "trim", "lower", "type", "null_values", "empty", "default",
    "max_length", "pattern",
}  # fmt: skip
"""Settings that a column of any type may have."""

OWN_SETTINGS: Final[Mapping[str, frozenset[str]]] = {
    "S": frozenset(),
    "N": frozenset({"thousands", "decimal", "currency"}),
    "BOOL": frozenset(),
    "date": frozenset({"input", "output", "timezone", "first_year"}),
    "datetime": frozenset({"input", "output", "timezone", "first_year"}),
    "list": frozenset({"separator", "items"}),
    "set": frozenset({"separator", "items"}),
    "json": frozenset(),
    "binary": frozenset({"encoding"}),
}
"""Types, with the settings that only they have."""

_DEFAULTS: Final[Mapping[str, str]] = {
    "S": "a text that is not empty",
    "N": "a whole number, or a number in quotes",
    "BOOL": "true or false",
    "date": "a text in one of the input forms",
    "datetime": "a text in one of the input forms",
    "list": "a list",
    "set": "a list that is not empty",
    "json": "a value that JSON has too",
    "binary": "a text in the encoding",
}

EMPTY: Final[Mapping[str, Value]] = {"omit": None, "null": NULL, "text": ""}
"""What an empty value becomes, by the name of the policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """Settings of a whole file that a column's own replace; `key_limits` are the most bytes of key attributes."""

    null_values: tuple[str, ...]
    empty: str
    key_limits: Mapping[str, int]


def read_column(settings: Settings, name: str, usual: Usual) -> Column:
    """Return the column called `name`. Raises `SchemaError`."""
    if not name.strip() or name != name.strip():
        raise settings.wrong("", "a column's name must not be empty or have blanks around it")
    type_ = settings.get("type", "S")
    if not isinstance(type_, str) or type_ not in OWN_SETTINGS:
        *first, last = OWN_SETTINGS
        raise settings.wrong("type", f"must be {', '.join(first)} or {last}, not {type_!r}")
    settings.only(COMMON_SETTINGS | OWN_SETTINGS[type_])
    flags = {flag: settings.flag(flag) for flag in ("required", "trim", "lower")}
    if flags["lower"] and type_ != "S":
        raise settings.wrong("lower", "makes sense for type S only")
    if flags["required"] and "default" in settings:
        raise settings.wrong("default", "a required column cannot have a default")
    for setting in ("max_length", "pattern"):
        if setting in settings and type_ in ("list", "set", "json"):
            raise settings.wrong(setting, f"makes no sense for type {type_}")
    attribute = _attribute(settings, name)
    conversion = _conversion(settings, type_, trim=flags["trim"])
    stored = type_ if conversion is None else conversion.type
    # Dates are stored as type S, whose blanks count.
    flags["trim"] = flags["trim"] or type_ != "S"
    null_values = settings.texts("null_values", "texts")
    if null_values is None:
        null_values = usual.null_values
    if type_ != "S" or flags["trim"]:
        null_values = tuple(map(str.strip, null_values))
    column = Column(
        name=name,
        attribute=attribute,
        aliases=settings.texts("aliases", "names") or (),
        place=settings.count("place"),
        path=_path(settings),
        type=stored,
        null_values=frozenset(map(str.lower, null_values) if flags["lower"] else null_values) or NO_VALUES,
        empty=_empty(settings, type_, usual.empty, required=flags["required"]),
        max_length=settings.count("max_length"),
        max_bytes=usual.key_limits.get(attribute) if stored == "S" else None,
        pattern=_pattern(settings),
        conversion=conversion,
        **flags,
    )
    default = _default(settings, type_, column)
    return column if default is None else replace(column, default=default)


def _attribute(settings: Settings, name: str) -> str:
    attribute = settings.get("attribute", name)
    if not isinstance(attribute, str) or not 0 < len(attribute.encode()) <= MAX_KEY_ATTRIBUTE_BYTES:
        raise settings.wrong("attribute", f"must be a text of 1 to {MAX_KEY_ATTRIBUTE_BYTES} bytes, not {attribute!r}")
    return attribute


def _path(settings: Settings) -> tuple[str, ...]:
    """Return the names on the way to a JSON value: given as text with points, or as a list where names have points."""
    path = settings.get("path")
    if path is None:
        return ()
    names = path.split(".") if isinstance(path, str) else path
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise settings.wrong("path", f"must be names with points in between, or a list of names, not {path!r}")
    return tuple(names)


def _pattern(settings: Settings) -> Pattern | None:
    pattern = settings.get("pattern")
    if pattern is None:
        return None
    if not isinstance(pattern, str):
        raise settings.wrong("pattern", f"must be a text, not {pattern!r}")
    # Imported where a schema needs it: RE2 makes every cold start longer.
    from engine.schema.patterns import InvalidPattern, Pattern

    try:
        return Pattern(pattern)
    except InvalidPattern as error:
        raise settings.wrong("pattern", f"{pattern!r} is not a valid regular expression: {error}") from None


def _empty(settings: Settings, type_: str, usual: str, *, required: bool) -> Value:
    if "empty" not in settings:
        # Text cannot stand for a value of another type.
        return None if usual == "text" and type_ != "S" else EMPTY[usual]
    if required or "default" in settings:
        raise settings.wrong("empty", "has no effect: the column is required or has a default")
    policy = settings.choice("empty", tuple(EMPTY))
    if policy == "text" and type_ != "S":
        raise settings.wrong("empty", "can be text for type S only")
    return EMPTY[policy]


def _default(settings: Settings, type_: str, column: Column) -> Value:
    default = settings.get("default")
    if default is None:
        return None
    valid: Value
    match type_:
        case "BOOL":
            valid = default if isinstance(default, bool) else None
        case "S":
            valid = default if isinstance(default, str) and default else None
        case "N":
            number = isinstance(default, int | str) and not isinstance(default, bool)
            valid = canonical_number(str(default)) if number else None
        case _:
            bad: dict[int, str] = {}
            (value,) = column.clean_json([_json_value(default)], bad)
            valid = None if bad else orjson.loads(orjson.dumps(value))  # compared, so not as `Encoded`
    if valid is None:
        raise settings.wrong("default", f"must be {_DEFAULTS[type_]} for type {type_}, not {default!r}")
    return valid


def _json_value(value: Any) -> Any:
    """Return a TOML value as `engine.exact_json.loads` would return it."""
    if isinstance(value, dict):
        return {name: _json_value(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_json_value(each) for each in value]
    return NumberText(value) if isinstance(value, Decimal) else value


def _conversion(settings: Settings, type_: str, *, trim: bool) -> Conversion | None:
    """Return the conversion of a type that has settings of its own; None for a type as it is."""
    if type_ == "N":
        return _numbers(settings) if any(name in settings for name in OWN_SETTINGS["N"]) else None
    # Imported where a schema needs them: each module makes every cold start longer.
    if type_ in ("date", "datetime"):
        from engine.schema.date_settings import read_dates

        return read_dates(settings, time=type_ == "datetime")
    if type_ in ("S", "BOOL"):
        return None
    from engine.schema.conversions import Binary, Elements, Json

    match type_:
        case "list" | "set":
            separator, items = settings.text("separator"), settings.choice("items", ("S", "N"))
            return Elements(unique=type_ == "set", numbers=items == "N", separator=separator, trim=trim)
        case "json":
            return Json()
        case _:
            return Binary(hexadecimal=settings.choice("encoding", ("base64", "hex")) == "hex")


_IN_NUMBERS = re.compile(r"[0-9+\-eE]")


def _numbers(settings: Settings) -> Numbers:
    thousands, decimal = settings.text("thousands", 1), settings.text("decimal", 1) or "."
    for name, mark in (("thousands", thousands), ("decimal", decimal)):
        if mark is not None and _IN_NUMBERS.fullmatch(mark):
            raise settings.wrong(name, f"must not be a character of numbers themselves, as {mark!r} is")
    if decimal.isspace():
        raise settings.wrong("decimal", "must not be a blank")
    if thousands == decimal:
        raise settings.wrong("thousands", f"must differ from the decimal mark {decimal!r}")
    currency = settings.texts("currency", "signs") or ()
    for sign in currency:
        if re.search(r"[0-9+\-\n]", sign) or sign != sign.strip() or sign in (thousands, decimal):
            raise settings.wrong(
                "currency", f"must not be a mark, nor have digits, + or -, or blanks around it: {sign!r}"
            )
    return Numbers(thousands=thousands, decimal=decimal, currency=currency)
