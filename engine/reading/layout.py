"""What the readers of records share: how lines are written, the bytes at hand, and faults. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.reading.doubts import names_are_loose
from engine.reading.fields import Syntax, syntax_of
from engine.reading.format import Dialect
from engine.reading.limits import Limits, Waste
from engine.reading.lines import last_line_end

BOM = "\ufeff"


class Fault(NamedTuple):
    """Takes the place of a record that cannot be read."""

    reason: str


Entry = list[str] | Fault


@dataclass(frozen=True, slots=True)
class Layout:
    """How the lines are written, and the header that the records must fit (None: a record of the header is read)."""

    dialect: Dialect
    limits: Limits
    header: Sequence[str] | None = None
    pad: bool = False
    """Whether a row may have fewer fields than the header, so that nearly any line looks like one."""
    syntax: Syntax = field(init=False)
    names: list[str] = field(init=False)
    header_line: str = field(init=False)
    loose: bool = field(init=False)
    special: tuple[bytes, ...] = field(init=False)
    """Lines without any of these can be split at the delimiters."""

    def __post_init__(self) -> None:
        """Derive what is needed for each slice."""
        dialect, syntax, names = self.dialect, syntax_of(self.dialect), list(self.header or ())
        special = (dialect.quote, "\\" if dialect.escape == "backslash" else "", dialect.comment)
        object.__setattr__(self, "syntax", syntax)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "header_line", dialect.delimiter.join(names))
        object.__setattr__(self, "loose", names_are_loose(names, syntax))
        object.__setattr__(self, "special", tuple(each.encode() for each in special if each))

    def is_header(self, row: list[str]) -> bool:
        """Return whether a row is the header again, perhaps with the byte order mark of a file that was appended."""
        return len(row) == len(self.names) > 0 and [row[0].removeprefix(BOM), *row[1:]] == self.names


@dataclass(slots=True)
class Quiet:
    """Remembers up to which offset of the file no line can end a broken record, so that none is looked at twice."""

    until: int = 0


@dataclass(slots=True)
class View:
    """Bytes that begin at a record, at `offset` of the file. `final`: the file ends with them."""

    held: bytes
    offset: int
    final: bool
    waste: Waste
    quiet: Quiet

    def known(self, stop: int) -> tuple[int, bool]:
        """Return the end of the last whole line up to `stop`, and whether more bytes cannot change it."""
        held = self.held
        if len(held) > stop:
            return last_line_end(held, stop), True
        return (len(held), True) if self.final else (last_line_end(held, len(held)), False)
