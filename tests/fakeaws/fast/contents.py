"""What the front for benchmarks is told about the data that passes through it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakeaws.queues import Queue
from tests.fakeaws.s3 import Content


@dataclass(frozen=True)
class Contents:
    """Tables with their keys, queues, objects that were never put, and how to read messages."""

    tables: Mapping[str, Mapping[str, str]]
    """Key attributes of each table, the partition key first, with their types."""
    queues: tuple[str, ...]
    generated: Callable[[str, str], Content | None]
    """An object by bucket and key; None if there is none."""
    records: Callable[[bytes], int]
    """How many records a message holds, found without parsing it."""
    numbers: Callable[[bytes], list[Any]]
    """Which records a message holds. Raises `ValueError` for one that is not of records."""
    units: Callable[[int], int]
    """How many requests SQS bills for a call with so many bytes of payload."""
    sent: float = 0.0
    """What every message says of when it was sent, in seconds since 1970."""
    kept: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Tables like `tables` that keep what is written to them, until the next reset: without a limit of capacity."""
    items: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Items that reads find, by table."""
    queue: Callable[[str], Queue] | None = None
    """A queue by name, where it is another one than usual."""
