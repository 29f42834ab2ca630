"""How many rejects an object may have before it is given up as the wrong file. Pure."""

from __future__ import annotations

from typing import NamedTuple

FIRST_ROWS = 10_000
"""Rows after which a share of rejects says something about the whole file."""


class RejectLimit(NamedTuple):
    """How many rejects an object may have: so many, or a percentage of its rows."""

    most: int
    is_percentage: bool = False

    @classmethod
    def of(cls, text: str) -> RejectLimit:
        """Read a limit such as ``100`` or ``20%``. Raises `ValueError`."""
        number = text.removesuffix("%")
        if not (number.isascii() and number.isdigit() and len(number) <= 12) or (number != text and int(number) > 100):
            raise ValueError(text)
        return cls(int(number), is_percentage=number != text)

    @property
    def text(self) -> str:
        """The limit as `of` reads it."""
        return f"{self.most}%" if self.is_percentage else str(self.most)

    def problem(self, rows: int, rejects: int, *, at_end: bool) -> str | None:
        """Return why an object with these counts is given up, if it is. A share counts from `FIRST_ROWS` on."""
        if self.is_percentage:
            if (rows < FIRST_ROWS and not at_end) or rejects * 100 <= self.most * rows:
                return None
        elif rejects <= self.most:
            return None
        allowed = self.text if self.is_percentage else f"{self.most:,}"
        whole = "" if at_end else "first "
        return (
            f"{rejects:,} of the {whole}{rows:,} rows are rejects, more than {allowed} (MAX_REJECTS); is it the right "
            f"file for this schema? The {rows - rejects:,} valid rows of these were sent"
        )
