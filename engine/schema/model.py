"""A compiled schema: the table's key, the columns, and the attributes that Millpond adds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.errors import BadFile
from engine.schema.columns import Column, RowPlan

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

MAX_ATTRIBUTE_NAME_BYTES = 65_535
"""DynamoDB quota: the name of an attribute that is not a key has at most 64 KB, here one byte less."""

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
    types: Mapping[str, str] = field(repr=False)
    """DynamoDB type of each attribute, columns and generated ones alike."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The table's key attributes: the partition key, and the sort key if there is one."""
        return (self.partition_key,) if self.sort_key is None else (self.partition_key, self.sort_key)

    @property
    def key_limits(self) -> dict[str, int]:
        """The most UTF-8 bytes that the value of each key attribute may have."""
        return dict(zip(self.keys, (MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES), strict=False))

    def knows_any(self, names: Iterable[str]) -> bool:
        """Return whether a header with these names has a column of the schema."""
        known = {alias for column in self.columns for alias in column.header_names}
        return any(name.strip().casefold() in known for name in names)

    def plan(self, header: Sequence[str]) -> RowPlan:
        """Match a header to the columns (trimmed, ignoring case) and return how to clean its rows.

        Raises `BadFile` if a required column is missing, a column occurs twice, or an unknown one is not allowed. The
        error names columns of the schema only, and others by their place: a file without a header has data there.
        """
        names = [name.strip() for name in header]
        by_name = {alias: column for column in self.columns for alias in column.header_names}
        sources: dict[Column, int] = {}
        extras: list[tuple[str, int]] = []
        for index, name in enumerate(names):
            column = by_name.get(name.casefold())
            if column is None:
                extras += self._extra(name, index)
            elif column in sources:
                raise BadFile(
                    f"the header has the column {column.name} twice: in places {sources[column] + 1} and {index + 1}"
                )
            else:
                sources[column] = index
        missing = [column.name for column in self.columns if column.required and column not in sources]
        if missing:
            raise BadFile(
                f"the header lacks the required column{'s' * (len(missing) > 1)} {', '.join(missing)}: "
                + _what_may_be_wrong(names, [column.name for column in sources])
            )
        stored = [name for name, _ in extras]
        if len(stored) > MAX_STORED_COLUMNS:
            raise BadFile(
                f"the header has {len(stored):,} columns that the schema does not know; at most {MAX_STORED_COLUMNS:,} "
                "can be stored"
            )
        if len(set(stored)) != len(stored):
            raise BadFile("the header has an unknown column twice, which cannot be stored under one name")
        extra_columns = [(Column(name=name, attribute=name), index) for name, index in extras]
        known = [(column, sources.get(column)) for column in self.columns]
        return RowPlan(width=len(names), columns=(*known, *extra_columns))

    def _extra(self, name: str, index: int) -> list[tuple[str, int]]:
        if self.unknown_columns == "fail":
            what = "an unknown column" if name else "a column without a name"
            raise BadFile(f"the header has {what} in place {index + 1}, and the schema allows none")
        if self.unknown_columns == "ignore" or not name:
            return []
        if name in self.types:
            raise BadFile(f"the column in place {index + 1} cannot be stored: the schema uses its name for another")
        if len(name.encode()) > MAX_ATTRIBUTE_NAME_BYTES:
            raise BadFile(
                f"the column in place {index + 1} cannot be stored: its name is longer than "
                f"{MAX_ATTRIBUTE_NAME_BYTES:,} bytes, the limit for an attribute's name"
            )
        return [(name, index)]


def _what_may_be_wrong(names: list[str], known: list[str]) -> str:
    if {name.casefold() for name in names} >= _REJECTS:
        return (
            "this is a rejects file: put the corrected texts of its column record under the original header, and "
            "upload that"
        )
    if len(names) == 1 and (separator := next((each for each in ";\t|" if each in names[0]), None)):
        return f"its columns are separated by {'tabs' if separator == chr(9) else separator}, they must be by commas"
    found = f"of its {len(names):,} columns the schema knows {', '.join(known) or 'none'}"
    return found if known else f"{found} (is the first line a header?)"
