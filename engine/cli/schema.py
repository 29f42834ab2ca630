"""The schema that commands go by."""

from __future__ import annotations

import os

from engine.config import QuerySettings
from engine.schema.model import Schema


def schema_in_use() -> Schema:
    """Return the schema that `SCHEMA` names, or the packaged one. Raises `ConfigError`."""
    # The settings of the query function read it, and ask for nothing besides.
    return QuerySettings.from_env({"SCHEMA": os.environ.get("SCHEMA", "")}).schema
