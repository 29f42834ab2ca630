"""The scan of one range of a huge object: as the text of a message, and its result as text of the ledger. Pure.

Each range is a task of its own. The producer that notes the last result joins them to spans; see
`engine.reading.spans`. What a task needs besides its range follows from the object's first `HEAD_BYTES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from engine.errors import UnknownEvent
from engine.identity import ObjectRef
from engine.reading.block import Position
from engine.reading.scan import Run, ScannedRange
from engine.reading.spans import ranges

VERSION, KIND = 1, "scan"

HEAD_BYTES = 262_144
"""How much of an object is read to find what it is like, and a first row."""

MAX_SPANS = 1_000
"""Of one object: their scans are noted in one item of the ledger, with up to 100 bytes for each (DynamoDB quota: 400
KB)."""

_MOST = 10**18


class ScanTask(NamedTuple):
    """A range to be scanned: its `place` among ranges of `span_bytes` each.

    `modified`: LastModified in whole seconds. `reached`: where a reader arrives in the range (None: to be guessed).
    `run`: the run of the ingestion, see `engine.accounts`.
    """

    place: int
    span_bytes: int
    modified: int
    reached: Position | None = None
    run: int = 0


def span_bytes_for(size: int, span_bytes: int) -> int:
    """Return the size of the spans of an object of `size` bytes: `span_bytes`, or more if they would be too many."""
    return max(span_bytes, -(-size // (MAX_SPANS - 1)))


def ranges_of(first: Position, size: int, span_bytes: int) -> list[tuple[int, int]]:
    """Return the ranges of an object of `size` bytes whose first bytes were read up to `first`."""
    return ranges(first, HEAD_BYTES, size, span_bytes)


def scan_body(ref: ObjectRef, task: ScanTask) -> bytes:
    """Return the text of the message that asks for a scan."""
    reached = task.reached
    return orjson.dumps(
        {
            "v": VERSION,
            "kind": KIND,
            "object": ref.fields(task.modified),
            "place": task.place,
            "spanBytes": task.span_bytes,
            "run": task.run,
            "reached": reached and {"offset": reached.offset, "row": reached.row, "rescanned": reached.rescanned},
        }
    )


def read_task(document: Mapping[str, Any]) -> ScanTask:
    """Return what a message says besides the object's names. Raises `UnknownEvent`."""
    if document.get("v") != VERSION or isinstance(document["v"], bool):
        raise UnknownEvent("the message about the scan of a range has an unknown version")
    reached, modified = document.get("reached"), _whole(document.get("object"), "modified")
    run = _whole(document, "run") if "run" in document else 0
    task = ScanTask(_whole(document, "place"), _whole(document, "spanBytes", 1), modified, run=run)
    if reached is None:
        return task
    offset, row, rescanned = _whole(reached, "offset"), _whole(reached, "row", 1), _whole(reached, "rescanned")
    return task._replace(reached=Position(offset, row, rescanned=rescanned))


def _whole(fields: Any, name: str, least: int = 0) -> int:
    value = fields.get(name) if isinstance(fields, Mapping) else None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < _MOST:
        raise UnknownEvent(f"the message about the scan of a range has no whole number as {name}")
    return value


def result_name(task: ScanTask) -> str:
    """Return the name under which the result of a task is noted, that of a second scan besides that of the first."""
    return f"{'c' if task.reached is None else 'r'}{task.place}"


def result_text(scanned: ScannedRange) -> str:
    """Return the runs of a range as text."""
    return ",".join(" ".join(map(str, run)) for run in scanned.runs)


def results_of(texts: Mapping[str, str], places: Sequence[tuple[int, int]]) -> list[ScannedRange] | None:
    """Return the results of all ranges, by name as they were noted; None if one is missing."""
    found = []
    for place, (begin, end) in enumerate(places):
        if f"c{place}" not in texts:
            return None
        runs = [*_runs(texts.get(f"r{place}", "")), *_runs(texts[f"c{place}"])]
        found.append(ScannedRange(begin, end, tuple(runs)))
    return found


def _runs(text: str) -> list[Run]:
    return [Run(*map(int, part.split())) for part in text.split(",") if part]
