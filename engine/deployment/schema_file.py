"""A schema file, and what a deployment takes from it: parameters of the template, names of queue, table and bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.config import PACKAGED_SCHEMA
from engine.errors import MillpondError
from engine.schema.model import Schema
from engine.schema.parse import parse_schema

SCHEMA_PATH = "SchemaPath"
"""The parameter with the path of the file as the functions see it."""

PARAMETERS = (
    SCHEMA_PATH,
    "Collection",
    "PartitionKeyName",
    "PartitionKeyType",
    "SortKeyName",
    "SortKeyType",
    "TtlAttribute",
    "KeyPathName",
)
"""The parameters of the template that follow from a schema file."""

IMAGE_PATHS = {True: f"/opt/millpond/engine/schemas/{PACKAGED_SCHEMA.name}", False: "/opt/millpond/schema.toml"}
"""Where an image has its schema. True: the packaged one, False: one that it was built with."""

_PATH_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
"""What API Gateway accepts as the name of a variable in a path; an attribute's name may hold anything."""

# Bounds of the template's parameters, less the fixed part of each name.
_MAX_QUEUE, _MAX_BUCKET = 68, 25


class SchemaFileError(MillpondError):
    """The file cannot be read as text; the message names it."""


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """A schema file that was read and is valid: its text, and what that means."""

    text: str
    schema: Schema

    @classmethod
    def read(cls, path: Path) -> SchemaFile:
        """Read and compile a file. Raises `SchemaError`, and `SchemaFileError` if there is no text to read."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SchemaFileError(f"The schema {path} cannot be read: {reason}.") from None
        return cls.of(text, str(path))

    @classmethod
    def of(cls, text: str, source: str) -> SchemaFile:
        """Compile a text; `source` names it in errors. Raises `SchemaError`."""
        return cls(text, parse_schema(text, source))

    @classmethod
    def packaged(cls) -> SchemaFile:
        """Return the packaged schema."""
        return cls.read(PACKAGED_SCHEMA)

    @property
    def is_packaged(self) -> bool:
        """Whether this is the packaged schema, under whatever path."""
        return self.text == PACKAGED_SCHEMA.read_text(encoding="utf-8")

    def write(self, path: Path) -> None:
        """Write a copy that every user can read."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text, encoding="utf-8")
        path.chmod(0o644)

    def parameters(self, path: str | None = None) -> dict[str, str]:
        """Return the template's parameters; `path` is where the functions find the file (None: in their images)."""
        schema = self.schema
        values = (
            path or IMAGE_PATHS[self.is_packaged],
            schema.collection,
            schema.partition_key,
            schema.types[schema.partition_key],
            schema.sort_key or "",
            schema.types[schema.sort_key] if schema.sort_key else "N",
            next((name for name, kind in schema.generated.items() if kind == "expires_at"), ""),
            schema.partition_key if _PATH_NAME.fullmatch(schema.partition_key) else "key",
        )
        return dict(zip(PARAMETERS, values, strict=True))

    def names(self) -> dict[str, str]:
        """Return default names for a stack of this schema; empty for the packaged collection: the template has them."""
        collection = self.schema.collection
        if collection == SchemaFile.packaged().schema.collection:
            return {}
        bucket = f"millpond-{collection.replace('_', '-')}"[:_MAX_BUCKET].rstrip("-")
        return {
            "BucketPrefix": bucket,
            "QueueName": f"{collection[: _MAX_QUEUE - len('-queue')]}-queue",
            # DynamoDB quota: a table's name has at least three characters.
            "TableName": collection if len(collection) >= 3 else f"{collection}-table",
        }
