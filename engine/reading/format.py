"""What files are like: what a schema declares (its ``[format]`` table), and the dialect of one file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

TYPES = ("csv", "jsonl", "dynamodb-json")
COMPRESSIONS = ("none", "gzip", "zstd", "bzip2")
ESCAPES = ("double", "backslash")
SHORT_ROWS = ("reject", "pad")

NO_QUOTE = "none"
"""The value of `Format.quote` for files in which a quote is an ordinary character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What the files are like. None: found from the first bytes of each file. ``Format()`` finds everything.

    `encoding` is the canonical name of a Python codec. `names` are the columns' names in order (None: those in the
    file). `multiline`: True believes every line break in a quoted field, False refuses all, None believes those that
    can be read in one way only.
    """

    type: str | None = None
    compression: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    comment: str | None = None
    skip_lines: int = 0
    header_lines: int = 1
    names: tuple[str, ...] | None = None
    multiline: bool | None = None
    short_rows: str = "reject"


FIND_ALL = Format()


class Dialect(NamedTuple):
    """How a delimited file is written. `quote` is "" if there are no quotes; `comment` is "" if there are no comments.

    `multiline` is as in `Format`.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = "double"
    comment: str = ""
    multiline: bool | None = None


RFC_4180 = Dialect()


REST = ""
"""Name of the last field of each row of JSON, where members that no column asks for are wanted: an object, or None."""

Path = tuple[str, ...]
"""The keys that lead to a value in a JSON object, from the outermost object on."""


class Wanted(NamedTuple):
    """The columns that a schema wants of JSON objects.

    `paths`: the columns of JSON lines, by name, each with the keys that may lead to its value. `attributes`: the
    attributes of DynamoDB items. `unknown` and `reserved` are those of `engine.reading.json_members.Members`.
    """

    paths: Mapping[str, Sequence[Path]]
    attributes: Sequence[str]
    unknown: str = "ignore"
    reserved: Collection[str] = ()


NOTHING_WANTED = Wanted({}, ())
