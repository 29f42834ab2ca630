"""Scans of ranges: the message that asks for one, and the result as the ledger holds it."""

import json
from typing import Any

import pytest

from engine.errors import UnknownEvent
from engine.events import Arrival, read_event
from engine.identity import ObjectRef
from engine.reading.block import Position
from engine.reading.scan import Run, ScannedRange
from engine.scans import (
    MAX_SPANS,
    ScanTask,
    ranges_of,
    result_name,
    result_text,
    results_of,
    scan_body,
    span_bytes_for,
)
from tests.builders.invocations import event_of, sqs_record

REF = ObjectRef("b", "uploads/ü b.csv", "v1", "0123abcd")
TASK = ScanTask(3, 1_000_000, 1_775_260_800)
AGAIN = TASK._replace(reached=Position(3_000_007, 5_000, rescanned=9))
PLACES = [(10, 100), (100, 200)]


def arrivals_of(body: str) -> list[Arrival]:
    (notice,) = read_event(event_of(sqs_record("m-1", body)))
    if notice.fault:
        raise notice.fault
    return notice.arrivals


@pytest.mark.parametrize("task", [TASK, AGAIN])
@pytest.mark.parametrize("ref", [REF, ObjectRef("b", "uploads/a.csv")])
def test_message_carries_a_task(ref: ObjectRef, task: ScanTask) -> None:
    assert arrivals_of(scan_body(ref, task).decode()) == [Arrival(ref, scan=task)]


CHANGES: list[tuple[str, Any]] = [
    ("v", 2),
    ("v", True),
    ("object", None),
    ("object.modified", None),
    ("object.key", 5),
    ("place", -1),
    ("place", "1"),
    ("spanBytes", 0),
    ("spanBytes", 10**18),
    ("reached", 5),
    ("reached.offset", True),
    ("reached.row", 0),
    ("reached.rescanned", None),
]


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_message_that_makes_no_sense_is_a_fault(name: str, value: Any) -> None:
    document = json.loads(scan_body(REF, AGAIN))
    folder, _, last = name.rpartition(".")
    (document[folder] if folder else document)[last] = value
    with pytest.raises(UnknownEvent, match="SQS message m-1"):
        arrivals_of(json.dumps(document))


def test_results_are_read_as_they_were_noted() -> None:
    first = ScannedRange(10, 100, (Run(10, 105, 7),))
    second = ScannedRange(100, 200, (Run(104, 200, 3), Run(130, 200, 2, 5, 6)))
    texts = {"c0": result_text(first), "c1": result_text(second)}
    assert results_of(texts, PLACES) == [first, second]


def test_results_are_incomplete_until_each_range_has_one() -> None:
    assert results_of({"c0": "10 105 7 0 0", "r1": "105 200 1 0 0"}, PLACES) is None
    assert results_of({"c0": "10 105 7 0 0", "c1": ""}, PLACES) == [
        ScannedRange(10, 100, (Run(10, 105, 7),)),
        ScannedRange(100, 200, ()),
    ]


def test_second_scan_is_noted_besides_the_first() -> None:
    assert (result_name(TASK), result_name(AGAIN)) == ("c3", "r3")
    (_, both) = results_of({"c0": "", "c1": "104 200 3 0 0", "r1": "105 200 1 9 0"}, PLACES) or []
    assert both.runs == (Run(105, 200, 1, 9, 0), Run(104, 200, 3, 0, 0))


@pytest.mark.parametrize("size", [2 * 10**9, 10**12, 5 * 10**13])
def test_object_has_a_bounded_number_of_spans(size: int) -> None:
    span_bytes = span_bytes_for(size, 2**30)
    assert span_bytes >= 2**30
    assert len(ranges_of(Position(100, 2), size, span_bytes)) <= MAX_SPANS
