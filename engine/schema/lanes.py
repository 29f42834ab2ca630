"""Byte strings as vectors: an operation on all bytes at once, by arithmetic of large integers. Pure.

A lane has one byte for each text of a column. Python adds two lanes of thousands of bytes in about the time of one
call, as long as no result is larger than a byte: it would be carried into its neighbour.
"""

from __future__ import annotations

from typing import Final

_TENS: Final = bytes.maketrans(b"0123456789", bytes(range(0, 100, 10)))
_UNITS: Final = bytes.maketrans(b"0123456789", bytes(range(10)))


def total(*lanes: bytes) -> bytes:
    """Return the sum of lanes; each is less than 256."""
    return _lane(sum(map(_integer, lanes)), len(lanes[0]))


def values(tens: bytes, units: bytes) -> bytes:
    """Return the numbers that two lanes of digits are."""
    return total(tens.translate(_TENS), units.translate(_UNITS))


def chosen(mask: bytes, yes: bytes, no: bytes) -> bytes:
    """Return the bytes of `yes` where `mask` has 255, and those of `no` where it has 0."""
    other = _integer(no)
    return _lane(other ^ (_integer(mask) & (_integer(yes) ^ other)), len(mask))


def reached(lane: bytes, least: bytes) -> bytes:
    """Return 128 for each byte that is as large as that of `least`, and 0 for the others; all are less than 128."""
    top = _integer(b"\x80" * len(lane))
    return _lane((_integer(lane) + top - _integer(least)) & top, len(lane))


def _integer(lane: bytes) -> int:
    return int.from_bytes(lane, "little")


def _lane(integer: int, length: int) -> bytes:
    return integer.to_bytes(length, "little")
