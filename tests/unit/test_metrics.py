"""Metrics in CloudWatch's embedded metric format."""

import json

from engine.metrics import embedded_metrics


def test_line_in_the_embedded_metric_format() -> None:
    assert json.loads(embedded_metrics("stack-worker", {"RowsWritten": 3, "RowsRejected": 0}, 1_775_260_800_123)) == {
        "_aws": {
            "Timestamp": 1_775_260_800_123,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Millpond",
                    "Dimensions": [["FunctionName"]],
                    "Metrics": [{"Name": "RowsWritten", "Unit": "Count"}, {"Name": "RowsRejected", "Unit": "Count"}],
                }
            ],
        },
        "FunctionName": "stack-worker",
        "RowsWritten": 3,
        "RowsRejected": 0,
    }
