"""The reasons that DynamoDB gives for throttling."""

from typing import Any

import pytest
from botocore.loaders import Loader

from engine.throttling import MOST_REASONS, throttling_metrics, throttling_reasons

TABLE = "arn:aws:dynamodb:eu-central-1:123456789012:table/users"
WRITE = "TableWriteProvisionedThroughputExceeded"


def test_reasons_name_table_or_index_and_limit() -> None:
    reasons = [
        {"reason": WRITE, "resource": TABLE},
        {"reason": "IndexWriteMaxOnDemandThroughputExceeded", "resource": f"{TABLE}/index/by-phone"},
    ]
    expected = (f"users {WRITE}", "users/index/by-phone IndexWriteMaxOnDemandThroughputExceeded")
    for member in ("ThrottlingReasons", "throttlingReasons"):
        assert throttling_reasons({member: reasons}) == expected


def test_members_are_those_of_the_service_model() -> None:
    shapes = Loader().load_service_model("dynamodb", "service-2")["shapes"]
    members = {
        name: next(each for each in shapes[name]["members"] if each.lower() == "throttlingreasons")
        for name in ("ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded")
    }
    assert set(members.values()) == {"throttlingReasons", "ThrottlingReasons"}
    assert set(shapes["ThrottlingReason"]["members"]) == {"reason", "resource"}
    told = shapes["ThrottlingReason"]["members"]["reason"]["documentation"]
    for limit in ("ProvisionedThroughput", "AccountLimit", "KeyRangeThroughput", "MaxOnDemandThroughput"):
        assert f"<code>{limit}Exceeded</code>" in told
        assert len(throttling_metrics({f"users TableWrite{limit}Exceeded": 1})) == 1


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (None, ()),
        ("x", ()),
        ([None, "x", {}, {"reason": 1}, {"reason": "a b"}], ()),
        ([{"reason": "New"}], ("? New",)),
        ([{"reason": WRITE, "resource": "arn:aws:dynamodb:x:1:table/a\nb"}], (f"? {WRITE}",)),
        ([{"reason": WRITE, "resource": ["x"]}], (f"? {WRITE}",)),
        ([{"reason": WRITE, "resource": TABLE}] * 1_000, (f"users {WRITE}",) * MOST_REASONS),
    ],
)
def test_any_reply_is_read_within_bounds(reasons: Any, expected: tuple[str, ...]) -> None:
    assert throttling_reasons({"ThrottlingReasons": reasons}) == expected


def test_metrics_count_by_limit() -> None:
    counts = {f"users {WRITE}": 2, "users/index/a IndexWriteProvisionedThroughputExceeded": 1, "users New": 5}
    assert throttling_metrics(counts) == {"ThrottledProvisioned": 3}
    assert throttling_metrics({}) == {}
