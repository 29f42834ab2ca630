"""Types of messages: one to send, one that was read, and one whose record the schema refuses."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.identity import ROW_DIGITS, ObjectVersion
from engine.schema.model import Schema

MAX_ROWS = 10**ROW_DIGITS  # the fraction digits of a version hold any number below


_INGESTION = re.compile("[0-9a-f]{20}")

HAND_ON_BYTES = 110
"""Room left in a message for `RUN` and the attributes that `engine.messages.rest` adds: names, type and digits."""


RUN = "run"
"""Message attribute: the run of the ingestion that the message is of, see `engine.accounts`; left out of the first."""


def run_attribute(run: int) -> dict[str, dict[str, str]]:
    """Return the attribute that names a run."""
    return {RUN: {"DataType": "Number", "StringValue": str(run)}} if run else {}


MAX_BATCH_ENTRIES = 10
"""SQS quota: at most 10 messages in one SendMessageBatch."""


def is_full(entries: int, size: int, max_bytes: int) -> bool:
    """Return whether a batch of so many entries takes no further one that would bring it to `size` bytes."""
    return entries == MAX_BATCH_ENTRIES or (entries > 0 and size > max_bytes)


class Outgoing(NamedTuple):
    """A message ready to be sent: its body, how many records it holds, and its attributes as SQS wants them.

    Nobody receives it for `delay_seconds` (SQS quota: 0 to 900).
    """

    body: bytes
    records: int
    attributes: dict[str, dict[str, str]]
    delay_seconds: int = 0

    @property
    def group(self) -> str | None:
        """The ingestion's id, by which SQS shares a queue fairly; None if the message names none of ours."""
        ingestion = self.attributes.get("ingestion", {}).get("StringValue", "")
        return ingestion if _INGESTION.fullmatch(ingestion) else None

    @property
    def size(self) -> int:
        """Bytes that SQS counts: the body, and name, type and value of each attribute."""
        return len(self.body) + sum(
            len(name) + len(value["DataType"]) + len(value["StringValue"].encode())
            for name, value in self.attributes.items()
        )


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the worker reads it: row numbers, and for each of `columns` the values of all rows."""

    source: ObjectVersion | None
    modified: int
    processed_at: str
    columns: tuple[str, ...]
    numbers: Sequence[int]
    values: Sequence[Sequence[Any]]
    ingestion: str
    name: str
    """Identifies it within its ingestion: span and message number, or the SQS message id."""
    clean: bool
    """Whether all values are strings that JSON represents without an escape."""
    place: tuple[int, int] | None = None
    """Span and message number of one that a producer sent; None: of another program, for which nobody accounts."""

    def row(self, index: int) -> list[Any]:
        """Return the values of one row, without its number."""
        return [values[index] for values in self.values]


@dataclass(frozen=True, slots=True)
class Refused:
    """A plain message whose record the schema refuses, with the reason."""

    row: int
    reason: str
    ingestion: str = ""
    place: tuple[int, int] | None = None
    """As in `Message`."""


def is_packed(fields: Container[str], schema: Schema) -> bool:
    """Return whether these are the fields of a packed message of any version; a schema may have a column ``v``."""
    return "v" in fields and ("rows" in fields or not schema.knows_any(["v"]))


def is_whole(value: Any) -> bool:
    """Return whether a JSON value is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_row_number(value: Any) -> bool:
    """Return whether a JSON value can be a row number."""
    return is_whole(value) and value < MAX_ROWS


def text_attribute(text: str) -> dict[str, str]:
    """Return a message attribute of type String as SQS accepts it."""
    return {"DataType": "String", "StringValue": _printable(text)}


def _printable(text: str) -> str:
    """Replace the characters that SQS rejects in an attribute's value, and make sure that it is not empty."""
    return "".join(c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in text) or "-"


_SUSPECT = b"\xef\xbf"  # how U+FFFE and U+FFFF begin in UTF-8, and little else


def legal_json(encoded: bytes) -> bytes:
    r"""Escape the characters that SQS rejects and JSON allows: U+FFFE and U+FFFF (orjson escapes controls)."""
    if _SUSPECT in encoded:
        return encoded.replace(b"\xef\xbf\xbe", b"\\ufffe").replace(b"\xef\xbf\xbf", b"\\uffff")
    return encoded
