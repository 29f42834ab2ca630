"""What AWS asks, in one dated table, and what a load costs by it. Pure.

Prices of us-east-1, without free tiers and volume discounts. AWS
publishes them at `SOURCES`. They were last compared on `AS_OF`, with several third parties' summaries of those pages
and not with the pages themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from engine.estimate import Usage

AS_OF = date(2026, 11, 23)
REGION = "us-east-1"
SOURCES = (
    "https://aws.amazon.com/lambda/pricing/",
    "https://aws.amazon.com/sqs/pricing/",
    "https://aws.amazon.com/s3/pricing/",
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "https://aws.amazon.com/dynamodb/pricing/provisioned/",
)

USD = {
    "lambda_gb_second_arm64": 0.0000133334,
    "lambda_gb_second_x86": 0.0000166667,
    "lambda_request": 0.20 / 1e6,
    "sqs_request": 0.40 / 1e6,  # standard queue; one for each 64 KiB begun
    "s3_get": 0.0004 / 1e3,
    "s3_put": 0.005 / 1e3,
    "dynamodb_write_unit": 0.625 / 1e6,  # on-demand; one for each 1 KB begun of an item
    "dynamodb_write_unit_hour": 0.00065,  # provisioned: one a second for an hour; not compared
    "dynamodb_import_gb": 0.15,  # of DynamoDB's own import from S3, uncompressed; not compared
}

FUNCTION_MB = 1_769
"""Memory of the functions: Lambda gives one whole core with it."""

PRODUCER_BYTES = 30_000_000
WORKER_ROWS = 50_000
"""Bytes and rows a second of one function, as assumed: a third of what a core of the machine in docs/performance.md
does, since time is billed also while a function waits for S3, SQS and DynamoDB."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars of one load. `writes`: of the table, on demand. `native_import`: of DynamoDB's own import, to compare."""

    writes: float
    ledger: float
    sqs: float
    lambda_: float
    native_import: float

    @property
    def total(self) -> float:
        """All of it, on demand."""
        return self.writes + self.ledger + self.sqs + self.lambda_


def cost_of(usage: Usage) -> Cost:
    """Return what a load costs."""
    seconds = usage.bytes / PRODUCER_BYTES + usage.items / WORKER_ROWS
    lambda_ = seconds * FUNCTION_MB / 1_024 * USD["lambda_gb_second_arm64"]
    return Cost(
        writes=usage.write_units * USD["dynamodb_write_unit"],
        ledger=usage.ledger_units * USD["dynamodb_write_unit"],
        sqs=usage.sqs_requests * USD["sqs_request"],
        lambda_=lambda_ + (1 + usage.invocations) * USD["lambda_request"],
        native_import=usage.bytes / 1e9 * USD["dynamodb_import_gb"],
    )


def provisioned(usage: Usage, capacity: int) -> float:
    """Return dollars for the hours in which `capacity` write units a second take the load; AWS bills whole hours."""
    hours = -(-usage.write_units // (capacity * 3_600))
    return hours * capacity * USD["dynamodb_write_unit_hour"]
