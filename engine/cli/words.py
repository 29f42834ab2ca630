"""Text that depends on a number, or on how the command was called. Pure, except for a search of PATH."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

PROGRAM = "millpond"


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: 1 row, 2,000 rows."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def listed(problems: Sequence[str]) -> str:
    """Return one problem as it is, several as a list after their number."""
    if len(problems) == 1:
        return problems[0]
    return "\n".join([f"{len(problems)} things are missing or wrong:", *(f"  - {problem}" for problem in problems)])


def command_as_called(called: str) -> str:
    """Return how to call the command again, given `called`, the first argument of the process.

    A shell that found the command on PATH passes its full path, which is not what people type.
    """
    if Path(called).name != PROGRAM or shutil.which(PROGRAM) == called:
        return PROGRAM
    return shlex.quote(called)


def shortened(text: str, room: int) -> str:
    """Return the text, truncated to `room` characters if it is longer."""
    return text if len(text) <= room else text[: max(room - 1, 0)] + "…"
