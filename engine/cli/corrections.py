"""Names of files of rejected rows, which tell what they correct: `users.corrects-5f1c0c8f9d0b4a7e8c21.csv`. Pure."""

from __future__ import annotations

import re
from pathlib import PurePath

_MARK = re.compile(r"\.corrects-([0-9a-f]{20})(?=\.|$)")
_COMPRESSION = re.compile(r"\.(gz|zst|bz2)$", re.IGNORECASE)


def marked_name(key: str, ingestion: str) -> str:
    """Return the name of a file with rows of the object `key`, to correct them: the object's own, marked."""
    name = PurePath(_MARK.sub("", _COMPRESSION.sub("", key.rpartition("/")[2])))
    return f"{name.stem}.corrects-{ingestion}{name.suffix}"


def corrected_by(name: str) -> str | None:
    """Return the ingestion that a file of this name corrects, or None if its name says nothing of that."""
    found = _MARK.search(name)
    return found[1] if found else None
