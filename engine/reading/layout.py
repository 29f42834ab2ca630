"""What the readers of records share: how lines are written, the bytes at hand, and faults. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.reading.doubts import names_are_loose
from engine.reading.fields import Syntax, syntax_of
from engine.reading.format import Dialect
from engine.reading.limits import Limits, Waste
from engine.reading.lines import last_line_end

BOM = "\ufeff"

# Not the letter s: it may be half of a sharp s in another letter case.
_LETTERS = re.compile("[A-RT-Za-rt-z0-9_]+")


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
    folded: list[str] = field(init=False)
    """The names as they are compared: columns are found without regard to case and to blanks around their names."""
    probes: list[bytes] = field(init=False)
    """Parts of names in small letters: text without one of them does not have the header again."""
    loose: bool = field(init=False)
    special: tuple[bytes, ...] = field(init=False)
    """Lines without any of these can be split at the delimiters."""

    def __post_init__(self) -> None:
        """Derive what is needed for each slice."""
        dialect, syntax, names = self.dialect, syntax_of(self.dialect), list(self.header or ())
        special = (dialect.quote, "\\" if dialect.escape == "backslash" else "", dialect.comment)
        object.__setattr__(self, "syntax", syntax)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "folded", _folded(names))
        object.__setattr__(self, "probes", _probes(names))
        object.__setattr__(self, "loose", names_are_loose(names, syntax))
        object.__setattr__(self, "special", tuple(each.encode() for each in special if each))

    def may_repeat_header(self, data: bytes) -> bool:
        """Return whether the text may hold the header again."""
        if not self.names:
            return False
        small = data.lower()
        return all(probe in small for probe in self.probes)

    def headers_again(self, entries: Sequence[Entry]) -> list[int]:
        """Return which entries are the header again, perhaps with the byte order mark of a file that was appended."""
        # The first fields decide nearly always, and are compared quickly.
        firsts = [entry[0].removeprefix(BOM) if entry else "" for entry in entries]
        first, rest = self.folded[0], self.folded[1:]
        return [
            i
            for i, each in enumerate(map(str.casefold, map(str.strip, firsts)))
            if each == first
            and isinstance(entry := entries[i], list)
            and entry
            and _folded(entry[1:]) == rest
            # The same whatever lines are read together: some other characters fold to letters of the probes.
            and self.may_repeat_header("\n".join(entry).encode(errors="surrogateescape"))
        ]


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


def _folded(names: Sequence[str]) -> list[str]:
    return [name.strip().casefold() for name in names]


def _probes(names: Sequence[str]) -> list[bytes]:
    """Return the longest part of each name that has one, the longest first: it is the rarest in text."""
    parts = {max(found, key=len).lower().encode() for name in names if (found := _LETTERS.findall(name))}
    return sorted(parts, key=lambda part: (-len(part), part))
