"""A compiled schema: the table's key, the columns, and the attributes that Millpond adds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from engine.errors import BadFile
from engine.reading.format import FIND_ALL, REST, Format, Wanted
from engine.schema.columns import NO_VALUES, Column
from engine.schema.computed import Computed
from engine.schema.plan import Cleaning, RowPlan
from engine.schema.rest import MAX_NAME_BYTES, Rest
from engine.schema.values import Value

GENERATED_KINDS: Final[Mapping[str, str]] = {
    "version": "N",
    "row_number": "N",
    "modified": "N",
    "processed_at": "S",
    "expires_at": "N",
    "ingestion": "S",
    "source": "S",
}
"""Kinds of generated attributes, with their DynamoDB types.

`version` is the object's LastModified in whole seconds with row number and ingestion as its fraction: it sorts rows and
uploads, and is the same on each attempt. `expires_at` is present only where RECORD_TTL_DAYS is set.
"""

MAX_STORED_COLUMNS = 16_384
"""Unknown columns that can be stored: as many as a spreadsheet has. Each costs memory and time."""

NAMELESS = "column_"
"""Prefix of the attribute that a column without a name is stored under: its place follows."""

INGESTIONS = "ingestions"
"""The path of the API under which the ledger is read: no collection may have this name."""

Origin = Literal["csv", "json", "dynamodb", "message"]
"""Where rows come from: CSV, JSON lines, DynamoDB items, or a plain message. It decides how columns are found and
cleaned."""

ORIGINS: Final[Mapping[str, Origin]] = {"csv": "csv", "jsonl": "json", "dynamodb-json": "dynamodb"}
"""Where rows come from, by the type of a file."""

_CLEANING: Final[Mapping[Origin, Cleaning]] = {
    "csv": "text", "json": "lines", "message": "message", "dynamodb": "attributes"
}  # fmt: skip

_CERTAINLY_NAMES = 2
"""Columns found by their names in the first line of a file, from which on its other fields are certainly names."""

_REJECTS = {"row", "offset", "reason", "record"}
"""The header of a rejects file (`engine.rejects.HEADER`), which people upload as it is."""

# DynamoDB quotas: a partition key value has 1 to 2,048 bytes, a sort key value 1 to 1,024.
MAX_PARTITION_KEY_BYTES = 2_048

MAX_SORT_KEY_BYTES = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One compiled schema file."""

    source: str
    collection: str
    partition_key: str
    sort_key: str | None
    columns: tuple[Column, ...]
    unknown_columns: str
    generated: Mapping[str, str]
    conflict: str = "replace"
    """What a write does to an earlier item of its key: "replace" it, or (only if its version is lower) "newest"."""
    types: Mapping[str, str] = field(repr=False)
    """DynamoDB type of each attribute, wherever it comes from; `VARIES` where each value has its own."""
    computed: tuple[Computed, ...] = ()
    constants: Mapping[str, str | bool] = field(default_factory=dict)
    """Attributes that are the same in each item: text, a number in canonical decimal text, or a boolean."""
    null_values: frozenset[str] = NO_VALUES
    """Texts that mean "no value" in columns that the schema does not know, if those are stored."""
    empty: Value = None
    """What an empty value of such a column becomes."""
    format: Format = FIND_ALL
    """What the files are like."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The table's key attributes: the partition key, and the sort key if there is one."""
        return (self.partition_key,) if self.sort_key is None else (self.partition_key, self.sort_key)

    @property
    def tells_rows_apart(self) -> bool:
        """Whether the key has something of its own for each row of a file, so that none replaces another."""
        return any(self.generated.get(name) in ("version", "row_number") for name in self.keys)

    @property
    def key_limits(self) -> dict[str, int]:
        """The most UTF-8 bytes that the value of each key attribute may have."""
        return dict(zip(self.keys, (MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES), strict=False))

    @property
    def is_plain(self) -> bool:
        """Return whether plain messages can carry its rows: cleaned values can be cleaned again and stay the same."""
        return all(column.is_plain for column in self.columns)

    def knows_any(self, names: Iterable[str]) -> bool:
        """Return whether a header with these names has a column of the schema."""
        known = {alias for column in self.columns for alias in column.header_names}
        return any(name.strip().casefold() in known for name in names)

    def takes_nested(self, name: str) -> bool:
        """Return whether a field of that name may be a JSON list or object."""
        folded = name.strip().casefold()
        column = next((column for column in self.columns if folded in column.header_names), None)
        return column is not None and column.is_nested

    @property
    def wanted(self) -> Wanted:
        """What a reader of JSON takes from each object."""
        return Wanted(
            paths={
                ".".join(column.path) or column.name: [column.path]
                if column.path
                else [(name,) for name in column.names]
                for column in self.columns
            },
            attributes=[column.attribute for column in self.columns],
            unknown=self.unknown_columns,
            reserved=tuple(self.types),
        )

    def plan(self, header: Sequence[str], origin: Origin = "csv") -> RowPlan:
        """Match a header to the columns (trimmed, ignoring case) and return how to clean its rows.

        Raises `BadFile` if a required column is missing, a column occurs twice, or an unknown one is not allowed. The
        error names columns of the schema only, and others by their place: a file without a header has data there.
        """
        names = [name.strip() for name in header]
        rest = None
        if origin in ("json", "dynamodb") and self.unknown_columns == "store" and names[-1:] == [REST]:
            rest = Rest(index=len(names) - 1, null_values=self.null_values, empty=self.empty)
            names.pop()
        sources, extras = self._sources(names, origin)
        self._check_missing(names, sources)
        if origin == "csv" and not sources and self.unknown_columns != "store":
            raise BadFile(f"the header has no column of the schema: {_what_may_be_wrong(names, [])}")
        stored = [name for name, _ in extras]
        if len(stored) > MAX_STORED_COLUMNS:
            raise BadFile(
                f"the header has {len(stored):,} columns that the schema does not know; at most {MAX_STORED_COLUMNS:,} "
                "can be stored"
            )
        if len(set(stored)) != len(stored):
            raise BadFile("the header has an unknown column twice, which cannot be stored under one name")
        extra_columns = [(self._stored(name, index), index) for name, index in extras]
        known = [(column, sources.get(column)) for column in self.columns]
        used = {*sources.values(), *(index for _, index in extras)}
        # The first line of a file without a header is data, and one field of a row may happen to be a column's name.
        named = (
            origin != "csv"
            or self.format.names is not None
            or sum(column.place is None for column in sources) >= _CERTAINLY_NAMES
        )
        return RowPlan(
            width=len(header),
            columns=(*known, *extra_columns),
            computed=self.computed,
            rest=rest,
            cleaning=_CLEANING[origin],
            pad=self.format.short_rows == "pad",
            ignored=tuple(
                name if named and name else index + 1 for index, name in enumerate(names) if index not in used
            ),
            absent=tuple(column.name for column in self.columns if column not in sources),
        )

    def _sources(self, names: list[str], origin: Origin) -> tuple[dict[Column, int], list[tuple[str, int]]]:
        """Return the index of each column, and name and index of unknown columns that are stored."""
        by_name: dict[str, Column] = {}
        by_index: dict[int, Column] = {}
        for column in self.columns:
            if column.place is not None and origin == "csv":
                by_index[column.place - 1] = column
            elif column.path and origin == "json":
                by_name[".".join(column.path).casefold()] = column
            else:
                by_name |= dict.fromkeys(column.header_names, column)
        sources: dict[Column, int] = {}
        extras: list[tuple[str, int]] = []
        for index, name in enumerate(names):
            found = by_index.get(index) or by_name.get(name.casefold())
            if found is None:
                extras += self._extra(name, index)
            elif found in sources:
                raise BadFile(
                    f"the header has the column {found.name} twice: in places {sources[found] + 1} and {index + 1}"
                )
            else:
                sources[found] = index
        return sources, extras

    def _check_missing(self, names: list[str], sources: Mapping[Column, int]) -> None:
        missing = [column for column in self.columns if column.required and column not in sources]
        if missing:
            what = ", ".join(
                column.name if column.place is None else f"{column.name} (place {column.place})" for column in missing
            )
            raise BadFile(
                f"the header lacks the required column{'s' * (len(missing) > 1)} {what}: "
                + _what_may_be_wrong(names, [column.name for column in sources])
            )
        needed = {name: computed.attribute.name for computed in self.computed for name in computed.columns}
        for column in self.columns:
            if column.name in needed and column not in sources and column.default is None:
                raise BadFile(f"the header lacks the column {column.name}: {needed[column.name]} is computed from it")

    def _extra(self, name: str, index: int) -> list[tuple[str, int]]:
        if self.unknown_columns == "fail":
            what = "an unknown column" if name else "a column without a name"
            raise BadFile(f"the header has {what} in place {index + 1}, and the schema allows none")
        if self.unknown_columns == "ignore":
            return []
        name = name or f"{NAMELESS}{index + 1}"
        if name in self.types:
            raise BadFile(f"the column in place {index + 1} cannot be stored: the schema uses its name for another")
        if len(name.encode()) > MAX_NAME_BYTES:
            raise BadFile(
                f"the column in place {index + 1} cannot be stored: its name is longer than "
                f"{MAX_NAME_BYTES:,} bytes, the limit for an attribute's name"
            )
        return [(name, index)]

    def _stored(self, name: str, index: int) -> Column:
        # Reasons must not have its name, which may be data of a file without a header.
        return Column(
            name=f"the column in place {index + 1}", attribute=name, null_values=self.null_values, empty=self.empty
        )


def _what_may_be_wrong(names: list[str], known: list[str]) -> str:
    if {name.casefold() for name in names} >= _REJECTS:
        return (
            "this is a rejects file: put the corrected texts of its column record under the original header, and "
            "upload that"
        )
    if len(names) == 1 and (separator := next((each for each in ",;\t|:^" if each in names[0]), None)):
        return f"are its columns separated by {'tabs' if separator == chr(9) else separator}? (delimiter in [format])"
    found = f"of its {len(names):,} columns the schema knows {', '.join(known) or 'none'}"
    return found if known else f"{found} (is the first line a header?)"
