"""What counts as text in a JSON document that Lambda has parsed. Pure."""

from __future__ import annotations

import re
from typing import Any

_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def is_text(value: Any) -> bool:
    """Return whether `value` is a string that UTF-8 can express: JSON can hold half of a surrogate pair, UTF-8 not."""
    return isinstance(value, str) and (value.isascii() or not _LONE_SURROGATE.search(value))
