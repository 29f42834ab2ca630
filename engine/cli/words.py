"""Words that depend on a number or on how the command was called. Pure, but for the look at the search path."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

PROGRAM = "millpond"


def counted(number: int, noun: str) -> str:
    """The number with its noun: 1 row, 2,000 rows."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def listed(problems: Sequence[str]) -> str:
    """One problem as it is, several as a list below their number."""
    if len(problems) == 1:
        return problems[0]
    return "\n".join([f"{len(problems)} things are missing or wrong:", *(f"  - {problem}" for problem in problems)])


def command_as_called(called: str) -> str:
    """How to call the command again, from `called`, the process's own name for it.

    A shell that found it on the search path passes the whole path on, which nobody would type.
    """
    if Path(called).name != PROGRAM or shutil.which(PROGRAM) == called:
        return PROGRAM
    return shlex.quote(called)


def shortened(text: str, room: int) -> str:
    """The text, cut to `room` characters if it is longer."""
    return text if len(text) <= room else text[: max(room - 1, 0)] + "…"
