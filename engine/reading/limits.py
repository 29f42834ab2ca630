"""How much a reader may hold back, parse at once, and scan again."""

from __future__ import annotations

from dataclasses import dataclass

from engine.reading.block import MAX_RECORD_BYTES


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a `CsvReader`, in bytes.

    A broken record is scanned as far as the line where it breaks, and all its lines but the first are scanned again.
    Scans of up to `waste_unnoticed` bytes are not counted. The others may add up to `waste_allowed`, a second or two,
    plus `waste_share` times the record's offset, a fixed multiple of what reading the file costs.
    """

    record_bytes: int = MAX_RECORD_BYTES
    slice_bytes: int = 262_144
    """Bytes parsed at a time: enough for the loops to run in C, and small enough for the processor's cache."""
    waste_unnoticed: int = 1_024
    waste_allowed: int = 64 * 1_048_576
    waste_share: int = 4

    @property
    def too_long(self) -> str:
        """The reason for rejecting a record of more than `record_bytes`."""
        return f"the record is longer than {self.record_bytes:,} bytes"


USUAL_LIMITS = Limits()


class Waste:
    """Counts the bytes that were scanned for records that turned out to be broken, and are scanned again line by line.

    If each line opens a quote that is closed far after it, each line would cost a scan of all others, and a small file
    could use up the whole invocation. So there is an allowance, which grows with the file.
    """

    def __init__(self, limits: Limits, already: int) -> None:
        self._limits = limits
        self.bytes = already

    def add(self, scanned: int, offset: int) -> bool:
        """Count a scan of that many bytes from `offset` of the file; return whether it exceeds the allowance."""
        limits = self._limits
        if scanned <= limits.waste_unnoticed:
            return False
        self.bytes += scanned
        return self.bytes > limits.waste_allowed + limits.waste_share * offset
