"""The ledger's arithmetic: tallies of messages, marks, counts and statuses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import (
    Account,
    SpanCounts,
    arrival_id,
    attribute,
    is_complete,
    iso,
    listing_key,
    month_before,
    span_part_key,
    span_total_name,
)
from engine.identity import ObjectRef
from engine.tallies import FAN_OUT, Counts, Node, by_node, child_name, marks, read_tally, total

COUNTS = st.builds(Counts, st.integers(0, 10_000), st.integers(0, 10), st.integers(0, 10))


@given(COUNTS)
def test_text_of_counts_is_read_back(counts: Counts) -> None:
    assert Counts.of(counts.text) == counts
    assert len(counts.text) <= 12


def test_text_of_counts_leaves_out_zeros_at_the_end() -> None:
    assert [Counts(500).text, Counts(498, 2).text, Counts(490, 0, 10).text] == ["500", "498 2", "490 0 10"]


@given(st.integers(0, 2 * FAN_OUT**3))
def test_marks_complete_one_tally_on_each_level(messages: int) -> None:
    """The last tally of each level is marked; those before it are full without a mark, and one is alone at the top."""
    found = marks(7, messages)
    below = messages
    for level, mark in enumerate(found):
        assert (mark.node.span, mark.node.level) == (7, level)
        assert mark.node.number * FAN_OUT + mark.expected == below
        assert 1 <= mark.expected <= FAN_OUT
        below = mark.node.number + 1
        assert mark.is_root == (mark is found[-1])
    assert not found or below == 1


class Model:
    """The ledger's tallies of one span in memory; completes as `engine.aws.ledger` does."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.completed: list[Counts] = []

    def note(self, node: Node, facts: dict[str, Any]) -> None:
        while True:
            item = self.items.setdefault(node.part, {"part": attribute(node.part)})
            item |= {name: attribute(value) for name, value in facts.items()}
            tally = read_tally(item)
            if not tally.is_full:
                return
            if tally.is_root:
                self.completed.append(tally.total)
                return
            facts, node = {child_name(node.number): tally.total.text}, node.parent


@given(st.lists(COUNTS, min_size=1, max_size=3 * FAN_OUT), st.randoms(use_true_random=False))
def test_whoever_comes_last_completes_the_span_and_repeats_change_nothing(messages: list[Counts], draw: Any) -> None:
    steps: list[Any] = [*enumerate(messages), *marks(0, len(messages))]
    steps += draw.choices(steps, k=len(steps) // 3)
    draw.shuffle(steps)
    model, done = Model(), set()
    for step in steps:
        if isinstance(step, tuple) and isinstance(step[0], int):
            for node, facts in by_node(0, {step[0]: step[1]}).items():
                model.note(node, dict(facts))
        else:
            model.note(step.node, {"expected": step.expected, **({"root": True} if step.is_root else {})})
        done.add(step)
        assert bool(model.completed) == (len(done) == len(set(steps)))
    assert set(model.completed) == {total(messages)}


def account(*, spans: int = 1, sent: int = 3, rows: int = 10, noted: dict[int, Counts], **facts: Any) -> Account:
    """An account of one span of which the producer has counted `sent` messages."""
    found = Account()
    entry = {"ingestion": "i", "part": "entry", "key": "k", "started": 1_000, "spans": spans, "changed": 5_000}
    span = SpanCounts(read=sent * rows + 1, rejected=1, messages=sent, **facts)
    items = [entry, {"part": span_part_key(0), "changed": 6_000, **span.facts}]
    for node, children in by_node(0, noted).items():
        items.append({"part": node.part, "changed": 7_000, **children})
    for item in items:
        found.add({name: attribute(value) for name, value in item.items()})
    return found


def test_counts_add_up_also_where_workers_are_ahead_of_the_producer() -> None:
    ahead = account(noted={0: Counts(9, 1), 4: Counts(10), 5: Counts(8, 0, 2)})
    assert ahead.counts() == {"read": 51, "written": 27, "rejected": 2, "superseded": 2, "inFlight": 20}


@given(st.dictionaries(st.integers(0, 500), COUNTS), st.integers(0, 500))
def test_counts_always_add_up(noted: dict[int, Counts], sent: int) -> None:
    counts = account(sent=sent, rows=10_021, noted=noted).counts()
    assert counts["read"] == sum(counts[name] for name in ("written", "rejected", "superseded", "inFlight"))
    assert counts["inFlight"] >= 0


@pytest.mark.parametrize(
    ("facts", "moment", "expected"),
    [
        ({}, 8_000, "reading"),
        ({"ended": True}, 8_000, "writing"),
        ({"ended": True}, 7_000 + 360_001, "stuck"),
        ({"ended": True, "status": "failed", "reason": "not UTF-8"}, 8_000, "failed"),
    ],
)
def test_status_of_what_is_not_closed(facts: dict[str, Any], moment: int, expected: str) -> None:
    found = account(noted={0: Counts(10)}, **facts)
    assert found.status(moment, 360_000) == expected
    document = found.document(moment, 360_000)
    assert (document["status"], document["read"], document["inFlight"]) == (expected, 31, 20)
    assert document["reason"] == facts.get("reason", "")


def test_object_that_was_never_opened_has_no_rows() -> None:
    counts = Account({"ingestion": "i", "status": "skipped", "reason": "a folder marker", "ended": 1}).counts()
    assert set(counts.values()) == {0}


def test_outcome_that_does_not_add_up_is_a_failure() -> None:
    found = account(noted={}, ended=True)
    found.entry[span_total_name(0)] = Counts(29, 1).text
    assert is_complete(found.entry)
    assert found.outcome()["status"] == "done_with_rejects"
    found.entry[span_total_name(0)] = Counts(28, 1).text
    assert found.outcome()["status"] == "failed"
    assert found.outcome()["reason"] == "31 rows were read, and 30 are accounted for"
    found.entry |= {**found.outcome(), "ended": 9_000}
    counts = found.counts()
    assert counts["read"] == sum(counts[name] for name in ("written", "rejected", "superseded", "inFlight")) == 31


def test_entry_is_complete_with_all_of_its_spans() -> None:
    entry: dict[str, Any] = {"spans": 2, "split": 4_000, "size": 5, "s0": "10", "schema": "h", "started": 1}
    assert not is_complete(entry)
    assert is_complete({**entry, "s4096": "7 1"})
    assert not is_complete({**entry, "run": 1, "s4096": "7 1", "s0r1": "2"})
    assert is_complete({**entry, "run": 1, "s4096r1": "7 1", "s0r1": "2", "s0r11": "3"})
    assert is_complete({"split": 0, "s0": "1"})
    assert not is_complete({"split": 4_000, "s0": "1"})


def test_listing_is_by_month_and_time() -> None:
    assert listing_key(1_775_260_800_123, "abc") == ("2026-04", "2026-04-04T00:00:00.123Z abc")
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert [month_before("2026-01"), month_before("2026-12")] == ["2025-12", "2026-11"]


def test_arrivals_of_different_objects_have_different_ids() -> None:
    refs = [ObjectRef("b", "k"), ObjectRef("b", "k", "v"), ObjectRef("b", "k", None, "e"), ObjectRef("bk", "")]
    assert len({arrival_id(ref) for ref in refs}) == 4
    assert all(len(arrival_id(ref)) == 20 for ref in refs)
