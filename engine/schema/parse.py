"""A TOML file -> a `Schema`. An invalid file is refused with the key at fault and the reason."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.decimal_text import canonical_number
from engine.errors import SchemaError
from engine.schema.column_settings import EMPTY, MAX_KEY_ATTRIBUTE_BYTES, Usual, read_column
from engine.schema.columns import NO_VALUES, Column
from engine.schema.computed import Computed, parse_template
from engine.schema.format import parse_format
from engine.schema.model import GENERATED_KINDS, INGESTIONS, MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES, Schema
from engine.schema.settings import Settings

# The time of packing differs between attempts, a plain message knows no object, and an expiry time exists only if
# RECORD_TTL_DAYS is set.
_KEY_KINDS = ("version", "row_number", "modified", "ingestion")

_CONFLICTS = ("replace", "newest")

_UNKNOWN_POLICIES = ("ignore", "store", "fail")

MAX_CONSTANT_BYTES = 1_024
"""Limit for the text of a constant: each item repeats it."""

_COLLECTION = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def parse_schema(text: str, source: str) -> Schema:
    """Compile the TOML `text` of a schema; `source` names it in errors. Raises `SchemaError`."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)  # exactly as it is written
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is another
        raise SchemaError(source, "(file)", f"is not valid TOML: {error}") from None
    return _SchemaReader(source).read(document)


class _SchemaReader:
    """Walks a TOML document and refuses whatever it does not understand, naming the key."""

    def __init__(self, source: str) -> None:
        self._source = source

    def read(self, document: dict[str, Any]) -> Schema:
        self._only(document, "", {
            "version", "collection", "unknown_columns", "null_values", "empty", "conflict", "format", "key", "columns",
            "computed", "constants", "generated",
        })  # fmt: skip
        if document.get("version") != 1:
            raise self._wrong("version", f"must be 1, not {document.get('version')!r}")
        collection = self._text(document, "", "collection")
        if not _COLLECTION.fullmatch(collection):
            raise self._wrong("collection", f"must be lower-case letters, digits, - and _, not {collection!r}")
        if collection == INGESTIONS:
            raise self._wrong("collection", f"/{INGESTIONS} is the path of the ledger: choose another name")
        unknown = self._choice(document, "unknown_columns", _UNKNOWN_POLICIES)
        key = self._table(document, "key")
        self._only(key, "key.", {"partition", "sort"})
        partition = self._text(key, "key.", "partition")
        sort = self._text(key, "key.", "sort") if "sort" in key else None
        if sort == partition:
            raise self._wrong("key.sort", "must not be the partition key again")
        limits = {partition: MAX_PARTITION_KEY_BYTES, sort: MAX_SORT_KEY_BYTES}
        key_limits = {name: most for name, most in limits.items() if name is not None}
        generated = self._generated(document.get("generated", {}))
        tables = self._table(document, "columns")
        if not tables:
            raise self._wrong("columns", "must name at least one column")
        usual = Usual(
            null_values=self._null_values(document),
            empty=self._choice(document, "empty", tuple(EMPTY)),
            key_limits=key_limits,
        )
        columns = tuple(
            read_column(Settings(self._source, f"columns.{name}", table), name, usual) for name, table in tables.items()
        )
        computed = self._computed(document.get("computed", {}), columns, key_limits)
        constants = self._constants(document.get("constants", {}), key_limits)
        self._no_clashes(columns, computed, constants, generated)
        self._no_path_clashes(columns)
        types = (
            {column.attribute: column.type for column in columns}
            | {each.attribute.attribute: "S" for each in computed}
            | {name: type_ for name, (type_, _) in constants.items()}
            | {name: GENERATED_KINDS[kind] for name, kind in generated.items()}
        )
        schema = Schema(
            source=self._source,
            collection=collection,
            partition_key=partition,
            sort_key=sort,
            columns=columns,
            unknown_columns=unknown,
            generated=generated,
            types=types,
            computed=computed,
            constants={name: value for name, (_, value) in constants.items()},
            conflict=self._conflict(document, generated, (partition, sort)),
            null_values=frozenset(usual.null_values) or NO_VALUES,
            empty=EMPTY[usual.empty],
            format=parse_format(document.get("format", {}), self._wrong),
        )
        self._keys(schema)
        return schema

    def _choice(self, document: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
        value = document.get(name, choices[0])
        if value not in choices:
            raise self._wrong(name, f"must be one of {', '.join(choices)}, not {value!r}")
        return str(value)

    def _null_values(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        values = document.get("null_values", [])
        if not isinstance(values, list) or not all(isinstance(each, str) and each.strip() for each in values):
            raise self._wrong("null_values", f"must be a list of texts, not {values!r}")
        return tuple(values)

    def _conflict(self, document: Mapping[str, Any], generated: Mapping[str, str], key: tuple[str | None, ...]) -> str:
        conflict = self._choice(document, "conflict", _CONFLICTS)
        versions = {name for name, kind in generated.items() if kind == "version"}
        if conflict == "newest" and not versions:
            raise self._wrong("conflict", '"newest" needs a generated attribute of the kind "version" to compare')
        if conflict == "newest" and not versions.isdisjoint(key):
            raise self._wrong(
                "conflict", '"newest" makes no sense with a version in the key: no item has another\'s key'
            )
        return conflict

    def _generated(self, table: Any) -> dict[str, str]:
        if not isinstance(table, dict):
            raise self._wrong("generated", "must be a table of attribute = kind")
        for name, kind in table.items():
            if not name:
                raise self._wrong("generated", "an attribute's name must not be empty")
            if not isinstance(kind, str) or kind not in GENERATED_KINDS:
                raise self._wrong(f"generated.{name}", f"must be one of {', '.join(GENERATED_KINDS)}, not {kind!r}")
        return dict(table)

    def _computed(self, table: Any, columns: tuple[Column, ...], key_limits: Mapping[str, int]) -> tuple[Computed, ...]:
        if not isinstance(table, dict):
            raise self._wrong("computed", "must be a table of attribute = template")
        by_name = {column.name: column for column in columns}
        result = []
        for name, template in table.items():
            where = f"computed.{name}"
            self._attribute_name(where, name)
            if not isinstance(template, str):
                raise self._wrong(where, f"must be a text, not {template!r}")
            try:
                form, parts = parse_template(template)
            except ValueError as error:
                raise self._wrong(where, f"is not a template: {error}") from None
            for part in parts:
                if part not in by_name:
                    raise self._wrong(where, f"{part!r} is the name of no column")
                if by_name[part].type not in ("S", "N", "BOOL"):
                    raise self._wrong(where, f"the column {part!r} has values that are neither text nor numbers")
            if name in key_limits and "%s%s" in form.replace("%%", ""):
                raise self._wrong(where, "a key needs a text between two columns, or two rows could have one key")
            attribute = Column(name=name, attribute=name, max_bytes=key_limits.get(name))
            result.append(Computed(attribute, form, parts))
        return tuple(result)

    def _constants(self, table: Any, key_limits: Mapping[str, int]) -> dict[str, tuple[str, str | bool]]:
        """Return the DynamoDB type and the value of each constant."""
        if not isinstance(table, dict):
            raise self._wrong("constants", "must be a table of attribute = value")
        result: dict[str, tuple[str, str | bool]] = {}
        for name, value in table.items():
            where = f"constants.{name}"
            self._attribute_name(where, name)
            if isinstance(value, bool):
                result[name] = ("BOOL", value)
            elif isinstance(value, str) and len(value.encode()) <= min(
                MAX_CONSTANT_BYTES, key_limits.get(name, MAX_CONSTANT_BYTES)
            ):
                result[name] = ("S", value)
            elif isinstance(value, int | Decimal) and (number := canonical_number(str(value))) is not None:
                result[name] = ("N", number)
            else:
                raise self._wrong(
                    where,
                    f"must be a text of at most {MAX_CONSTANT_BYTES:,} bytes, a number that DynamoDB can hold, true or "
                    "false",
                )
        return result

    def _attribute_name(self, where: str, name: str) -> None:
        if not 0 < len(name.encode()) <= MAX_KEY_ATTRIBUTE_BYTES:
            raise self._wrong(where, f"an attribute's name must have 1 to {MAX_KEY_ATTRIBUTE_BYTES} bytes")

    def _no_clashes(
        self,
        columns: tuple[Column, ...],
        computed: tuple[Computed, ...],
        constants: Mapping[str, Any],
        generated: Mapping[str, str],
    ) -> None:
        headers: dict[str, str] = {}
        places: dict[int, str] = {}
        attributes: set[str] = set(generated)
        taken = "the attribute {!r} is already taken".format
        for column in columns:
            where = f"columns.{column.name}"
            for header in column.header_names:
                if headers.setdefault(header, column.name) != column.name:
                    raise self._wrong(where, f"{header!r} already names {headers[header]!r}")
            if column.place and places.setdefault(column.place, column.name) != column.name:
                raise self._wrong(f"{where}.place", f"is already that of {places[column.place]!r}")
            if column.attribute in attributes:
                raise self._wrong(where, taken(column.attribute))
            attributes.add(column.attribute)
        for table, names in (("computed", [each.attribute.name for each in computed]), ("constants", constants)):
            for name in names:
                if name in attributes:
                    raise self._wrong(f"{table}.{name}", taken(name))
                attributes.add(name)

    def _no_path_clashes(self, columns: tuple[Column, ...]) -> None:
        """Refuse two columns under one name in JSON lines: rows would have the last of them only."""
        taken: dict[str, str] = {}
        for column in columns:
            for name in [".".join(column.path).casefold()] if column.path else column.header_names:
                if taken.setdefault(name, column.name) != column.name:
                    raise self._wrong(f"columns.{column.name}.path", f"is already that of {taken[name]!r}")

    def _keys(self, schema: Schema) -> None:
        names = {"partition": schema.partition_key, "sort": schema.sort_key}
        for place, name in names.items():
            if name is not None:
                self._key(f"key.{place} = {name!r}", name, schema)
        if all(name in schema.constants for name in schema.keys):
            raise self._wrong("key", "is a constant: all rows would be one item")

    def _key(self, where: str, name: str, schema: Schema) -> None:
        if name in schema.generated:
            if schema.generated[name] not in _KEY_KINDS:
                kinds = ", ".join(_KEY_KINDS)
                raise self._wrong(where, f"must be the same each time and always there; of what is generated: {kinds}")
            return
        if name not in schema.types:
            raise self._wrong(where, "is the attribute of no column and not generated, computed or constant")
        column = next((column for column in schema.columns if column.attribute == name), None)
        if column is not None and not column.required:
            raise self._wrong(where, f"the column {column.name!r} must be required, since each item needs its key")
        if schema.types[name] not in ("S", "N") or schema.constants.get(name) == "":
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
