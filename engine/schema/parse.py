"""A TOML file -> a `Schema`. An invalid file is refused with the key at fault and the reason."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from engine.errors import SchemaError
from engine.schema.columns import Column, is_number
from engine.schema.format import parse_format
from engine.schema.model import GENERATED_KINDS, MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES, Schema

# The time of packing differs between attempts, a plain message knows neither object nor ingestion, and an expiry time
# exists only if RECORD_TTL_DAYS is set.
_KEY_KINDS = ("version", "row_number", "modified")

_UNKNOWN_POLICIES = ("ignore", "store", "fail")

_MAX_ATTRIBUTE_NAME_BYTES = 255

_COLLECTION = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def parse_schema(text: str, source: str) -> Schema:
    """Compile the TOML `text` of a schema; `source` names it in errors. Raises `SchemaError`."""
    try:
        document = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is another
        raise SchemaError(source, "(file)", f"is not valid TOML: {error}") from None
    return _SchemaReader(source).read(document)


class _SchemaReader:
    """Walks a TOML document and refuses whatever it does not understand, naming the key."""

    def __init__(self, source: str) -> None:
        self._source = source

    def read(self, document: dict[str, Any]) -> Schema:
        self._only(document, "", {"version", "collection", "unknown_columns", "format", "key", "columns", "generated"})
        if document.get("version") != 1:
            raise self._wrong("version", f"must be 1, not {document.get('version')!r}")
        collection = self._text(document, "", "collection")
        if not _COLLECTION.fullmatch(collection):
            raise self._wrong("collection", f"must be lower-case letters, digits, - and _, not {collection!r}")
        unknown = document.get("unknown_columns", "ignore")
        if unknown not in _UNKNOWN_POLICIES:
            raise self._wrong("unknown_columns", f"must be one of {', '.join(_UNKNOWN_POLICIES)}, not {unknown!r}")
        key = self._table(document, "key")
        self._only(key, "key.", {"partition", "sort"})
        partition = self._text(key, "key.", "partition")
        sort = self._text(key, "key.", "sort") if "sort" in key else None
        generated = self._generated(document.get("generated", {}))
        tables = self._table(document, "columns")
        if not tables:
            raise self._wrong("columns", "must name at least one column")
        columns = tuple(self._column(name, table, partition, sort) for name, table in tables.items())
        self._no_clashes(columns, generated)
        types = {column.attribute: column.type for column in columns} | {
            name: GENERATED_KINDS[kind] for name, kind in generated.items()
        }
        self._key(f"key.partition = {partition!r}", partition, columns, generated)
        if sort is not None:
            if sort == partition:
                raise self._wrong("key.sort", "must not be the partition key again")
            self._key(f"key.sort = {sort!r}", sort, columns, generated)
        return Schema(
            source=self._source,
            collection=collection,
            partition_key=partition,
            sort_key=sort,
            columns=columns,
            unknown_columns=unknown,
            generated=generated,
            types=types,
            format=parse_format(document.get("format", {}), self._wrong),
        )

    def _column(self, name: str, table: Any, partition: str, sort: str | None) -> Column:
        where = f"columns.{name}"
        if not isinstance(table, dict):
            raise self._wrong(where, "must be a table of settings")
        allowed = {
            "attribute", "aliases", "required", "trim", "lower", "type", "default", "max_length", "pattern"
        }  # fmt: skip
        self._only(table, f"{where}.", allowed)
        attribute, aliases = self._names(where, name, table)
        flags = {flag: self._flag(where, table, flag) for flag in ("required", "trim", "lower")}
        type_ = table.get("type", "S")
        if type_ not in ("S", "N", "BOOL"):
            raise self._wrong(f"{where}.type", f"must be S, N or BOOL, not {type_!r}")
        if flags["lower"] and type_ != "S":
            raise self._wrong(f"{where}.lower", "makes sense for type S only")
        max_length = table.get("max_length")
        if max_length is not None and (
            not isinstance(max_length, int) or isinstance(max_length, bool) or max_length < 1
        ):
            raise self._wrong(f"{where}.max_length", f"must be a whole number above 0, not {max_length!r}")
        if flags["required"] and "default" in table:
            raise self._wrong(f"{where}.default", "a required column cannot have a default")
        max_bytes = {partition: MAX_PARTITION_KEY_BYTES, sort: MAX_SORT_KEY_BYTES}.get(attribute)
        return Column(
            name=name,
            attribute=attribute,
            aliases=aliases,
            type=type_,
            default=self._default(where, type_, table.get("default")),
            max_length=max_length,
            max_bytes=max_bytes if type_ == "S" else None,
            pattern=self._pattern(where, table.get("pattern")),
            **flags,
        )

    def _names(self, where: str, name: str, table: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        if not name.strip() or name != name.strip():
            raise self._wrong(where, "a column's name must not be empty or have blanks around it")
        attribute = table.get("attribute", name)
        if not isinstance(attribute, str) or not 0 < len(attribute.encode()) <= _MAX_ATTRIBUTE_NAME_BYTES:
            raise self._wrong(
                f"{where}.attribute", f"must be a text of 1 to {_MAX_ATTRIBUTE_NAME_BYTES} bytes, not {attribute!r}"
            )
        aliases = table.get("aliases", [])
        if not isinstance(aliases, list) or not all(isinstance(alias, str) and alias.strip() for alias in aliases):
            raise self._wrong(f"{where}.aliases", f"must be a list of names, not {aliases!r}")
        return attribute, tuple(aliases)

    def _flag(self, where: str, table: dict[str, Any], flag: str) -> bool:
        value = table.get(flag, False)
        if not isinstance(value, bool):
            raise self._wrong(f"{where}.{flag}", f"must be true or false, not {value!r}")
        return value

    def _default(self, where: str, type_: str, default: Any) -> str | bool | None:
        if default is None:
            return None
        if type_ == "BOOL" and isinstance(default, bool):
            return default
        if type_ == "S" and isinstance(default, str) and default:
            return default
        if type_ == "N" and not isinstance(default, bool) and isinstance(default, int | str):
            number = is_number(str(default))
            if number is not None:
                return number
        hint = {"S": "a text that is not empty", "N": "a whole number, or a number in quotes", "BOOL": "true or false"}
        raise self._wrong(f"{where}.default", f"must be {hint[type_]} for type {type_}, not {default!r}")

    def _pattern(self, where: str, pattern: Any) -> re.Pattern[str] | None:
        if pattern is None:
            return None
        if not isinstance(pattern, str):
            raise self._wrong(f"{where}.pattern", f"must be a text, not {pattern!r}")
        try:
            return re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise self._wrong(f"{where}.pattern", f"is not a valid regular expression: {error}") from None

    def _generated(self, table: Any) -> dict[str, str]:
        if not isinstance(table, dict):
            raise self._wrong("generated", "must be a table of attribute = kind")
        for name, kind in table.items():
            if not name:
                raise self._wrong("generated", "an attribute's name must not be empty")
            if not isinstance(kind, str) or kind not in GENERATED_KINDS:
                raise self._wrong(f"generated.{name}", f"must be one of {', '.join(GENERATED_KINDS)}, not {kind!r}")
        return dict(table)

    def _no_clashes(self, columns: tuple[Column, ...], generated: Mapping[str, str]) -> None:
        headers: dict[str, str] = {}
        attributes: set[str] = set(generated)
        for column in columns:
            for header in column.header_names:
                if headers.setdefault(header, column.name) != column.name:
                    raise self._wrong(f"columns.{column.name}", f"{header!r} already names {headers[header]!r}")
            if column.attribute in attributes:
                raise self._wrong(f"columns.{column.name}", f"the attribute {column.attribute!r} is already taken")
            attributes.add(column.attribute)

    def _key(self, where: str, name: str, columns: tuple[Column, ...], generated: Mapping[str, str]) -> None:
        if name in generated:
            if generated[name] not in _KEY_KINDS:
                kinds = ", ".join(_KEY_KINDS)
                raise self._wrong(where, f"must be the same each time and always there; of what is generated: {kinds}")
            return
        column = next((column for column in columns if column.attribute == name), None)
        if column is None:
            raise self._wrong(where, "is the attribute of no column and not generated")
        if not column.required:
            raise self._wrong(where, f"the column {column.name!r} must be required, since each item needs its key")
        if column.type == "BOOL":
            raise self._wrong(where, "a key must be of type S or N")

    def _only(self, table: Mapping[str, Any], prefix: str, allowed: set[str]) -> None:
        for name in table:
            if name not in allowed:
                raise self._wrong(f"{prefix}{name}", f"is not known; known here: {', '.join(sorted(allowed))}")

    def _table(self, document: Mapping[str, Any], name: str) -> dict[str, Any]:
        table = document.get(name)
        if not isinstance(table, dict):
            raise self._wrong(name, "is missing" if table is None else "must be a table")
        return table

    def _text(self, table: Mapping[str, Any], prefix: str, name: str) -> str:
        value = table.get(name)
        if not isinstance(value, str) or not value:
            raise self._wrong(f"{prefix}{name}", "is missing" if value is None else f"must be a text, not {value!r}")
        return value

    def _wrong(self, key: str, reason: str) -> SchemaError:
        return SchemaError(self._source, key, reason)
