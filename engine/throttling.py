"""Why DynamoDB throttles: the reasons in its errors, by table or index and by the limit that was exceeded. Pure.

ProvisionedThroughputExceededException, ThrottlingException and RequestLimitExceeded carry them. Items that
BatchWriteItem leaves unprocessed come without any.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ThrottlingReason.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOST_REASONS = 50
"""Reasons that are read of one reply: a table and its 20 indexes have fewer."""

# Resource, operation and limit, as in IndexWriteMaxOnDemandThroughputExceeded.
_REASON = re.compile(r"[A-Za-z]{1,64}", re.ASCII)
_ARN = re.compile(r"arn:[^/]{1,100}:table/([A-Za-z0-9_.-]{1,255}(?:/index/[A-Za-z0-9_.-]{1,255})?)", re.ASCII)

_METRICS = {
    "ProvisionedThroughputExceeded": "ThrottledProvisioned",
    "MaxOnDemandThroughputExceeded": "ThrottledOnDemandMaximum",
    "AccountLimitExceeded": "ThrottledAccount",
    "KeyRangeThroughputExceeded": "ThrottledKeyRange",
}


def throttling_reasons(error: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the reasons in the body of an error, each as ``resource reason``; none if it has none.

    ``users TableWriteProvisionedThroughputExceeded``, ``users/index/phone IndexWriteKeyRangeThroughputExceeded``.
    """
    # The members' names differ in their first letter between the errors.
    reasons = error.get("ThrottlingReasons") or error.get("throttlingReasons")
    if not isinstance(reasons, list):
        return ()
    found = (_reason(each) for each in reasons[:MOST_REASONS] if isinstance(each, dict))
    return tuple(filter(None, found))


def _reason(each: Mapping[str, Any]) -> str:
    reason, resource = each.get("reason"), each.get("resource")
    if not (isinstance(reason, str) and _REASON.fullmatch(reason)):
        return ""
    named = _ARN.fullmatch(resource) if isinstance(resource, str) else None
    return f"{named[1] if named else '?'} {reason}"


def throttling_metrics(counts: Mapping[str, int]) -> dict[str, int]:
    """Return how often each limit was exceeded, by the name of its metric, from counts by reason."""
    metrics: dict[str, int] = {}
    for reason, count in counts.items():
        for limit, name in _METRICS.items():
            if reason.endswith(limit):
                metrics[name] = metrics.get(name, 0) + count
    return metrics
