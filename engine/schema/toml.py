"""Settings -> TOML text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def setting(value: Any) -> str:
    """Return a text, number, boolean or a list of them as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        # A JSON string is a TOML basic string, apart from one character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(setting, value))}]"


def name_of(text: str) -> str:
    """Return a key of a TOML table."""
    return text if _BARE.fullmatch(text) else setting(text)


def table(path: Sequence[str], settings: Mapping[str, Any], notes: Sequence[str] = ()) -> str:
    """Return the TOML table at `path`, with comments in front of its settings."""
    lines = [f"[{'.'.join(map(name_of, path))}]", *(f"# {note}" for note in notes)]
    return "\n".join([*lines, *(f"{name_of(key)} = {setting(value)}" for key, value in settings.items())]) + "\n"
