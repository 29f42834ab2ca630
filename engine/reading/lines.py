"""Lines in bytes: LF, CRLF and lone CR end one. Pure."""

from __future__ import annotations

import re
from itertools import accumulate

_LINE_END = re.compile(rb"\r\n|\n|\r")


def line_ends(data: bytes) -> list[int]:
    """Return where each line ends; LF, CRLF and lone CR end a line, and so does the end of the data."""
    return list(accumulate(map(len, data.splitlines(keepends=True))))


def find_line_end(data: bytes, start: int = 0) -> int | None:
    """Return where the first LF, CRLF or CR from `start` on ends; None if there is none."""
    found = _LINE_END.search(data, start)
    return found.end() if found else None


def last_line_end(data: bytes, stop: int, start: int = 0) -> int:
    """Return the end of the last line from `start` on that ends at `stop` or before it; `start` if there is none.

    A CR at `stop` is not counted if it is, or may turn out to be, the first half of a CRLF.
    """
    whole = stop < len(data) and data[stop : stop + 1] != b"\n"
    end = max(data.rfind(b"\n", start, stop), data.rfind(b"\r", start, stop if whole else max(stop - 1, start))) + 1
    return max(end, start)


def decoded(data: bytes) -> tuple[str, bool]:
    """Return the bytes as text, and whether they are UTF-8; where they are not, they become lone surrogates."""
    try:
        return data.decode(), True
    except UnicodeDecodeError:
        return data.decode(errors="surrogateescape"), False
