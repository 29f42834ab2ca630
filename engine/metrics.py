"""Counts -> one line in CloudWatch's embedded metric format, which CloudWatch Logs turns into metrics. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

NAMESPACE = "Millpond"


def embedded_metrics(function: str, counts: Mapping[str, int], milliseconds: int) -> str:
    """Return the line for these counts of a function's invocation that ended at `milliseconds` since 1970.

    The one dimension is ``FunctionName``, so that stacks stay apart. CloudWatch quota: 100 metrics in a line.
    """
    about = {
        "Timestamp": milliseconds,
        "CloudWatchMetrics": [
            {
                "Namespace": NAMESPACE,
                "Dimensions": [["FunctionName"]],
                "Metrics": [{"Name": name, "Unit": "Count"} for name in counts],
            }
        ],
    }
    return orjson.dumps({"_aws": about, "FunctionName": function, **counts}).decode()
