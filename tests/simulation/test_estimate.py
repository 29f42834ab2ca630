"""What `millpond check` says of a load, against what the load then uses: rows, items, messages, calls and units."""

import pytest

from engine.config import DEFAULT_MESSAGE_BYTES, DEFAULT_REJECTS, PACKAGED_SCHEMA, SQS_MAX_BYTES
from engine.estimate import Estimate, Usage
from engine.identity import ObjectVersion
from engine.prices import cost_of, provisioned
from engine.reject_limit import RejectLimit
from engine.schema.model import Schema
from engine.schema.parse import parse_schema
from tests.builders.newest import NEWEST
from tests.fakeaws.attributes import item_bytes
from tests.fakeaws.virtual_time import run
from tests.simulation.producers import Stack, csv_of
from tests.simulation.test_end_to_end import Whole, environment
from tests.simulation.test_ledger import FaultyLedger

__all__ = ["environment"]

SCHEMA = parse_schema(PACKAGED_SCHEMA.read_text("utf-8"), "users")


def estimate_of(body: bytes, records: int = 500, chunk: int = 65_536, schema: Schema = SCHEMA) -> Estimate:
    """The estimate for a file that is fed in pieces."""
    source = ObjectVersion("b", "uploads/a.csv", None, "0" * 32, 1_775_260_800)
    estimate = Estimate(
        source,
        schema,
        records_per_message=records,
        max_message_bytes=DEFAULT_MESSAGE_BYTES,
        max_batch_bytes=SQS_MAX_BYTES,
        max_rejects=RejectLimit.of(DEFAULT_REJECTS),
    )
    for start in range(0, len(body), chunk):
        estimate.feed(body[start : start + chunk])
    estimate.finish()
    return estimate


@pytest.mark.parametrize(("rows", "records"), [(5, 500), (3_000, 500), (12_000, 100)])
def test_estimate_is_what_the_load_uses(rows: int, records: int) -> None:
    FaultyLedger.share = 0.0
    body = csv_of(rows)
    usage = estimate_of(body, records).usage
    stack = Whole(body, records_per_message=records, chunk_seconds=0.01)
    counts = run(stack.live()).counts()
    assert (usage.rows, usage.valid) == (counts["read"], counts["written"])
    assert usage.items == len(stack.table.items)
    assert usage.write_units == sum(stack.table.checked(item)[1] for item in stack.table.items.values())
    assert usage.messages == sum(stack.records.batches)
    assert usage.send_calls == stack.calls["SendMessageBatch"]
    assert usage.write_calls == pytest.approx(stack.calls["BatchWriteItem"], rel=0.02)


def test_figures_do_not_depend_on_where_chunks_end() -> None:
    body = csv_of(2_000)
    one, many = estimate_of(body), estimate_of(body, chunk=777)
    assert one.usage == many.usage
    assert one.reasons == many.reasons
    assert (one.largest, one.mean_item_bytes) == (many.largest, many.mean_item_bytes)


def test_mean_and_largest_item_are_those_that_dynamodb_counts() -> None:
    estimate, body = estimate_of(csv_of(5_000)), csv_of(5_000)
    stack = Whole(body, chunk_seconds=0.01)
    FaultyLedger.share = 0.0
    run(stack.live())
    sizes = [item_bytes(item) for item in stack.table.items.values()]
    assert estimate.largest == max(sizes)
    assert estimate.mean_item_bytes == pytest.approx(sum(sizes) / len(sizes), rel=0.05)


def test_rejects_are_counted_by_reason_with_the_first_three_of_each() -> None:
    estimate = estimate_of(b"name,mail\n" + b",a@x.de\n" * 5 + b"A,a@x.de\nB,b@x.de,c\n")
    found = {text: (reason.rows, [reject.row for reject in reason.first]) for text, reason in estimate.reasons.items()}
    assert found == {"name is required, but empty": (5, [1, 2, 3]), "the row has 3 fields, the header has 2": (1, [7])}
    assert (estimate.usage.rows, estimate.usage.valid, estimate.rejected) == (7, 1, 6)


def test_most_frequent_partition_key_is_found() -> None:
    rows = [f"A,{'hot' if row % 4 else f'user{row}'}@x.de" for row in range(400)]
    estimate = estimate_of("\n".join(["name,mail", *rows]).encode())
    assert estimate.partition_keys.top(1) == [("hot@x.de", 300)]


def test_newest_rows_of_each_key_are_written_in_calls_of_their_own() -> None:
    rows = [f"A-{row % 100},{row}" for row in range(1_000)]
    usage = estimate_of("\n".join(["sku,price", *rows]).encode(), schema=NEWEST).usage
    assert (usage.rows, usage.invocations) == (1_000, 1)
    assert (usage.items, usage.write_calls, usage.write_units) == (100, 100, 100)


def test_largest_item_is_the_one_with_most_bytes() -> None:
    names = ("é" * 1_000, "a" * 1_500)
    estimate = estimate_of("\n".join(["name,mail", *(f"{name},a@x.de" for name in names)]).encode())
    assert 2_000 < estimate.largest < 2_200


@pytest.mark.parametrize(
    ("valid", "rejected", "after"), [(10, 9, None), (10, 11, 21), (12_000, 11_999, None), (0, 30_000, 10_000)]
)
def test_load_that_the_limit_of_rejects_would_end(valid: int, rejected: int, after: int | None) -> None:
    body = b"name,mail\n" + b"A,a@x.de\n" * valid + b",b@x.de\n" * rejected
    estimate = estimate_of(body)
    if after is None:
        assert estimate.fails_after is None
        return
    stack = Stack(body, chunk_seconds=0.01)
    result = run(stack.in_one_run())["objects"][0]
    assert result["status"] == "failed"
    assert estimate.fails_after is not None
    assert after <= estimate.fails_after <= min(2 * after, valid + rejected)
    assert (estimate.usage.rows, estimate.rejected) == (valid + rejected, rejected)


def test_price_of_a_million_small_items() -> None:
    usage = Usage(items=1_000_000, write_units=1_000_000, invocations=200, sqs_requests=2_560, ledger_units=228)
    cost = cost_of(usage)
    assert cost.writes == pytest.approx(0.625)
    assert cost.total == pytest.approx(0.6267, abs=0.0001)
    assert provisioned(usage, 1_000) == pytest.approx(0.65)
    assert provisioned(usage, 100) == pytest.approx(3 * 0.065)
