"""Which object: the reference that an event gives, and the version that it turned out to be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """What an event says of an object; `version` and `etag` may be unknown."""

    bucket: str
    key: str
    version: str | None = None
    etag: str | None = None


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
