"""Which object: the reference in an event, the version that it turned out to be, and what is named after it.

A `version` value is ``<modified>.<row number, 12 digits><ingestion, 10 digits>``: 32 significant digits of the 38 that
DynamoDB keeps. It sorts rows and uploads, and two files of one second never share a value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import repeat
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """What an event says of an object; `version` and `etag` may be unknown."""

    bucket: str
    key: str
    version: str | None = None
    etag: str | None = None

    def fields(self, modified: int | None) -> dict[str, str | int | None]:
        """Return the object as messages of the span queue name it; `modified`: LastModified in whole seconds."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "version": self.version,
            "etag": self.etag,
            "modified": modified,
        }


ROW_DIGITS, INGESTION_DIGITS = 12, 10

MAX_SECONDS = 10**12
"""More seconds than any LastModified: what is above was not written as a version."""


class ObjectVersion(NamedTuple):
    """One version of one key, as S3 described it when it was opened, and as messages carry it.

    `modified`: LastModified in whole seconds.
    """

    bucket: str
    key: str
    version: str | None
    etag: str
    modified: int

    @property
    def ref(self) -> ObjectRef:
        """What to ask S3 for to get this very version."""
        return ObjectRef(self.bucket, self.key, self.version, self.etag)

    @property
    def ingestion(self) -> str:
        """The ingestion's id: a function of the object alone, 20 hex digits."""
        parts = (self.bucket, self.key, self.version or self.etag, str(self.modified))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def ingestion_digits(ingestion: str) -> str:
    """Return the digits that stand for an ingestion in a version: the last ones of the SHA-256 of its id."""
    number = int.from_bytes(hashlib.sha256(ingestion.encode()).digest())
    return str(number % 10**INGESTION_DIGITS).zfill(INGESTION_DIGITS)


def row_digits(numbers: Sequence[int]) -> list[str]:
    """Return row numbers as the digits that follow the point in a version."""
    return list(map(str.zfill, map(str, numbers), repeat(ROW_DIGITS)))


def split_version(number: str) -> tuple[int, int] | None:
    """Return whole seconds and row number of a version, exactly, or None for a number that is no version.

    Versions with the row number alone behind the point, as they were written before, are read as well.
    """
    try:
        whole, _, fraction = f"{Decimal(number):f}".partition(".")
    except InvalidOperation:
        return None
    if not whole.isdigit() or int(whole) >= MAX_SECONDS or len(fraction) > ROW_DIGITS + INGESTION_DIGITS:
        return None
    return int(whole), int(fraction[:ROW_DIGITS].ljust(ROW_DIGITS, "0"))
