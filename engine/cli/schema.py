"""The schema that commands use."""

from __future__ import annotations

import os

from engine.config import QuerySettings
from engine.schema.model import Schema


def schema_in_use() -> Schema:
    """Return the schema that `SCHEMA` names, or the packaged one. Raises `ConfigError`."""
    # The query function's settings read it, and require nothing else.
    return QuerySettings.from_env({"SCHEMA": os.environ.get("SCHEMA", "")}).schema
