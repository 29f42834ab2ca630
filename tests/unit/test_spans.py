"""Resume points: which one a run leaves behind, and the message that carries it."""

import json
from typing import Any

import pytest

from engine.errors import NoProgress, UnknownEvent
from engine.events import Arrival, read_event
from engine.identity import ObjectRef
from engine.jobs.hand_off import rest_of
from engine.reading.block import FILE_START, Position
from engine.rejects import MAX_REASONS
from engine.spans import (
    MAX_PLACES,
    MAX_STALLS,
    SPAN_START,
    Progress,
    Rest,
    ResumePoint,
    Span,
    read_rest,
    rests_of,
    span_body,
)
from tests.builders.invocations import event_of, sqs_record
from tests.builders.samples import SOURCE

REF = ObjectRef("b", "uploads/ü b.csv", "v1", "0123abcd")
POINT = ResumePoint(Position(1_000, 20, rescanned=7, in_long_record=True), 25, 3, 2, {"no name": 2})


def arrivals_of(body: str) -> list[Arrival]:
    (notice,) = read_event(event_of(sqs_record("m-1", body)))
    if notice.fault:
        raise notice.fault
    return notice.arrivals


@pytest.mark.parametrize(
    "rest",
    [
        Rest(POINT, 1_775_260_800, 2),
        Rest(SPAN_START, None),
        Rest(POINT, 1_775_260_800, 2, Span(900, 15, 5_000, 3)),
        *rests_of([FILE_START, Position(900, 15, rescanned=3)], 1_775_260_800),
    ],
)
@pytest.mark.parametrize("ref", [REF, ObjectRef("b", "uploads/a.csv")])
def test_message_carries_the_rest_of_an_object(ref: ObjectRef, rest: Rest) -> None:
    assert arrivals_of(span_body(ref, rest).decode()) == [Arrival(ref, rest=rest)]


def test_message_without_a_span_is_about_the_whole_object() -> None:
    document = json.loads(span_body(REF, Rest(POINT, 1)))
    del document["span"]
    assert arrivals_of(json.dumps(document)) == [Arrival(REF, rest=Rest(POINT, 1))]


def test_spans_end_where_the_next_one_begins() -> None:
    spans = [rest.span for rest in rests_of([FILE_START, Position(900, 15), Position(2_000, 40)], 1)]
    assert spans == [Span(0, 1, 900, 3), Span(900, 15, 2_000, 3), Span(2_000, 40, None, 3)]


def test_message_is_small_whatever_the_reasons() -> None:
    reasons = {f"{number} {'x' * 2_000_000}": 1 for number in range(MAX_REASONS + 1)}
    body = span_body(REF, Rest(POINT._replace(reasons=reasons), 1))
    assert len(body) < 65_536
    assert sum(read_rest(json.loads(body)).point.reasons.values()) == len(reasons)


CHANGES: list[tuple[str, Any]] = [
    ("v", 2),
    ("v", True),
    ("object", None),
    ("position", None),
    ("position.offset", -1),
    ("position.offset", "1"),
    ("position.row", 0),
    ("position.inLongRecord", 1),
    ("object.modified", None),
    ("object.key", 5),
    ("object.etag", "a\nb"),
    ("row", 19),
    ("row", 10**18),
    ("message", 1.5),
    ("rejected", 20),
    ("rejectReasons", {"a": "b"}),
    ("rejectReasons", {"\ud800": 1}),
    ("stalls", None),
    ("span", None),
    ("span.first", 1_001),
    ("span.row", 21),
    ("span.row", 19),
    ("span.stop", 800),
    ("span.spans", 0),
]


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_message_that_makes_no_sense_is_a_fault(name: str, value: Any) -> None:
    document = json.loads(span_body(REF, Rest(POINT, 1, span=Span(900, 15, 5_000, 3))))
    folder, _, last = name.rpartition(".")
    (document[folder] if folder else document)[last] = value
    with pytest.raises(UnknownEvent, match="SQS message m-1"):
        arrivals_of(json.dumps(document))


def test_point_is_the_last_block_end_before_the_first_row_that_is_not_sent() -> None:
    progress = Progress(SPAN_START)
    progress.moved(1, 0, Position(100, 6, ["a"]), 0, {})
    assert progress.point == SPAN_START
    progress.moved(5, 1, Position(200, 11, ["a"]), 2, {"why": 2})
    assert progress.point == ResumePoint(FILE_START, 5, 1)
    progress.moved(9, 2, None, 3, {"why": 3})
    assert progress.point == ResumePoint(Position(100, 6), 9, 2)
    progress.moved(11, 3, None, 3, {"why": 3})
    assert progress.point == ResumePoint(Position(200, 11), 11, 3, 2, {"why": 2})


def test_places_that_are_remembered_are_bounded() -> None:
    progress = Progress(SPAN_START)
    for block in range(1, 3 * MAX_PLACES):
        progress.moved(1, 0, Position(10 * block, 1 + block), block, {"why": block})
    assert progress.point == SPAN_START
    progress.moved(2 * MAX_PLACES, 1, None, 3 * MAX_PLACES, {})
    assert progress.point.position.row <= 2 * MAX_PLACES
    assert progress.point.rejected == progress.point.position.row - 1 > 0


def test_runs_that_get_no_further_are_counted_until_the_object_fails() -> None:
    rest = Rest(POINT, SOURCE.modified)
    for stalls in range(1, MAX_STALLS):
        rest = rest_of(SOURCE, rest, POINT)
        assert rest == Rest(POINT, SOURCE.modified, stalls)
    assert rest_of(SOURCE, rest, POINT._replace(row=26)).stalls == 0
    with pytest.raises(NoProgress, match="did not get beyond row 25"):
        rest_of(SOURCE, rest, POINT)
