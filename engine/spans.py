"""Where the work on an object goes on when one invocation's time is up, and that place as the text of a message. Pure.

A resume point continues the same run of messages: their numbers, their rows and where they are cut are those of one
long run. So a run may be repeated from an earlier point, or go on twice at the same time, and sends the same messages.

The point says nothing of what the object's first bytes tell (compression, encoding, type, dialect, header): a header
may have 1 MiB, and reading the first bytes again always finds the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from engine.errors import UnknownEvent
from engine.identity import ObjectRef
from engine.reading.block import FILE_START, Position
from engine.text import is_text

VERSION, KIND = 1, "span"

MAX_STALLS = 3
"""Runs in a row that get no further before the object fails: each one costs the function's whole time."""

MAX_PLACES = 1_000
"""Block ends that are remembered behind the first row that is not sent. Further ones are left out: then a run goes back
further, and sends the same."""

MAX_REASON = 500
"""Characters of a reason in a message: with 51 reasons it stays far below SQS's 1 MiB, whatever columns are named."""

_MOST = 10**18


class ResumePoint(NamedTuple):
    """Where a run of one object's messages continues.

    `position`: the end of a block, before which every row is in a message that was sent, or rejected and put.
    `row`: the first row that is not. `message`: the number of the next message. `rejected`, `reasons`: rejects before
    `position`, in all and for each reason.
    """

    position: Position = FILE_START
    row: int = 1
    message: int = 0
    rejected: int = 0
    reasons: Mapping[str, int] = MappingProxyType({})

    @property
    def place(self) -> tuple[int, int, int]:
        """What grows when a run gets further."""
        return self.position.offset, self.row, self.message


SPAN_START = ResumePoint()


class Span(NamedTuple):
    """A part of an object with messages of its own: the first byte, the number of the first row, the byte after it.

    `stop` is None for the last one. `spans`: how many the object has.
    """

    first: int = 0
    row: int = 1
    stop: int | None = None
    spans: int = 1


WHOLE = Span()


class Rest(NamedTuple):
    """The rest of an object, or of one span of it, as a message says it.

    `modified`: LastModified in whole seconds; None if no run has opened the object yet. `stalls`: the runs in a row
    that got no further than `point`. `run`: the run of the ingestion, see `engine.accounts`.
    """

    point: ResumePoint
    modified: int | None
    stalls: int = 0
    span: Span = WHOLE
    run: int = 0


def rests_of(starts: Sequence[Position], modified: int, run: int = 0) -> list[Rest]:
    """Return the spans of an object that begin at these positions, each as a rest of which nothing is read."""
    stops = [*(start.offset for start in starts[1:]), None]
    return [
        Rest(
            ResumePoint(start._replace(header=None, dialect=None), start.row),
            modified,
            span=Span(start.offset, start.row, stop, len(starts)),
            run=run,
        )
        for start, stop in zip(starts, stops, strict=True)
    ]


class Progress:
    """Follows a run: which point the next one can continue from."""

    def __init__(self, start: ResumePoint) -> None:
        self._row, self._message = start.row, start.message
        self._places = deque([(start.position, start.rejected, start.reasons)])

    def moved(self, row: int, message: int, end: Position | None, rejected: int, reasons: Mapping[str, int]) -> None:
        """Note that messages before number `message` are sent, with every row before `row` that is not rejected.

        `end`: where a reader can continue after what was read so far (None: nowhere yet), with the rejects up to there.
        """
        self._row, self._message = row, message
        if end is not None and len(self._places) < MAX_PLACES:
            self._places.append((end._replace(header=None, dialect=None), rejected, dict(reasons)))
        while len(self._places) > 1 and self._places[1][0].row <= row:
            self._places.popleft()

    @property
    def point(self) -> ResumePoint:
        """The point that is reached."""
        position, rejected, reasons = self._places[0]
        return ResumePoint(position, self._row, self._message, rejected, reasons)


def span_body(ref: ObjectRef, rest: Rest) -> bytes:
    """Return the text of the message that hands on the rest of an object."""
    point = rest.point
    reasons: dict[str, int] = {}
    for reason, count in point.reasons.items():
        reasons[reason[:MAX_REASON]] = reasons.get(reason[:MAX_REASON], 0) + count
    return orjson.dumps(
        {
            "v": VERSION,
            "kind": KIND,
            "object": ref.fields(rest.modified),
            "position": {
                "offset": point.position.offset,
                "row": point.position.row,
                "rescanned": point.position.rescanned,
                "inLongRecord": point.position.in_long_record,
            },
            "row": point.row,
            "message": point.message,
            "rejected": point.rejected,
            "rejectReasons": reasons,
            "stalls": rest.stalls,
            "span": {
                "first": rest.span.first,
                "row": rest.span.row,
                "stop": rest.span.stop,
                "spans": rest.span.spans,
            },
            "run": rest.run,
        }
    )


def read_rest(document: Mapping[str, Any]) -> Rest:
    """Return what a message says besides the object's names. Raises `UnknownEvent`."""
    if document.get("v") != VERSION or isinstance(document["v"], bool):
        raise UnknownEvent("the message about the rest of an object has an unknown version")
    place, about, reasons = (_object(document, name) for name in ("position", "object", "rejectReasons"))
    if not (all(map(is_text, reasons)) and all(_is_whole(count) for count in reasons.values())):
        raise UnknownEvent("the message about the rest of an object has reasons without a count")
    in_long_record = place.get("inLongRecord")
    if not isinstance(in_long_record, bool):
        raise UnknownEvent("the message about the rest of an object lacks inLongRecord")
    position = Position(
        _whole(place, "offset"), _whole(place, "row", 1), rescanned=_whole(place, "rescanned"),
        in_long_record=in_long_record,
    )  # fmt: skip
    point = ResumePoint(
        position, _whole(document, "row", 1), _whole(document, "message"), _whole(document, "rejected"), reasons
    )
    modified = None if about.get("modified") is None else _whole(about, "modified")
    span = _span(document["span"]) if "span" in document else WHOLE
    read, begun = position.row - span.row, position.offset > span.first
    if position.offset < span.first or point.row < position.row or point.rejected > read or begun != (read > 0):
        raise UnknownEvent("the message about the rest of an object contradicts itself")
    if (begun or span != WHOLE) and modified is None:
        raise UnknownEvent("the message about the rest of an object lacks modified")
    run = _whole(document, "run") if "run" in document else 0
    return Rest(point, modified, _whole(document, "stalls"), span, run)


def _span(about: Any) -> Span:
    if not isinstance(about, dict):
        raise UnknownEvent("the message about the rest of an object has an unknown span")
    stop = None if about.get("stop") is None else _whole(about, "stop", _whole(about, "first") + 1)
    return Span(_whole(about, "first"), _whole(about, "row", 1), stop, _whole(about, "spans", 1))


def _object(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise UnknownEvent(f"the message about the rest of an object lacks {name}")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _whole(fields: Mapping[str, Any], name: str, least: int = 0) -> int:
    value = fields.get(name)
    if not _is_whole(value) or value < least:  # type: ignore[operator]
        raise UnknownEvent(f"the message about the rest of an object has no whole number as {name}")
    return int(value)  # type: ignore[arg-type]
