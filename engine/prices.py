"""What AWS asks, in one dated table, and what a load costs by it. Pure.

On-demand prices of us-east-1 (us-east-2 and us-west-2 ask the same), without free tiers and volume discounts. AWS
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
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "https://aws.amazon.com/dynamodb/pricing/provisioned/",
)

WRITE_UNIT = 0.625 / 1e6
"""Dollars for a write unit, on demand."""

CAPACITY_UNIT_HOUR = 0.00065
"""Dollars for an hour of one provisioned write unit a second."""

SQS_REQUEST = 0.40 / 1e6
LAMBDA_REQUEST = 0.20 / 1e6
LAMBDA_GB_SECOND = 0.0000133334
"""On arm64."""

IMPORT_GB = 0.15
"""Dollars for each GB that DynamoDB's import from S3 reads, uncompressed."""

FUNCTION_GB = 1_769 / 1_024
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
    return Cost(
        writes=usage.write_units * WRITE_UNIT,
        ledger=usage.ledger_units * WRITE_UNIT,
        sqs=usage.sqs_requests * SQS_REQUEST,
        lambda_=seconds * FUNCTION_GB * LAMBDA_GB_SECOND + (1 + usage.invocations) * LAMBDA_REQUEST,
        native_import=usage.bytes / 1e9 * IMPORT_GB,
    )


def provisioned(usage: Usage, capacity: int) -> float:
    """Return dollars for the hours in which `capacity` write units a second take the load; AWS bills whole hours."""
    hours = -(-usage.write_units // (capacity * 3_600))
    return hours * capacity * CAPACITY_UNIT_HOUR
