"""What AWS asks, in one table, and what a million records cost by it. Pure.

On-demand prices of us-east-1, without free tiers and volume discounts. AWS publishes them at `SOURCES`; they were last
compared on `AS_OF`, with several third parties' summaries of those pages and not with the pages themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

AS_OF = "2026-11-23"
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
}

FUNCTION_MB = 1_769
"""Memory of the functions: Lambda gives one whole core with it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run used. `seconds`: billed time of functions with `FUNCTION_MB`."""

    records: int
    seconds: float
    invocations: float = 0.0
    sqs_requests: float = 0.0
    s3_gets: float = 0.0
    s3_puts: float = 0.0
    write_units: float = 0.0


def dollars_per_million(usage: Usage, *, machine: str = "x86") -> dict[str, float]:
    """Return dollars per million records by service; DynamoDB's writes stand apart, since nobody can save them."""
    scale = 1e6 / usage.records
    lambda_ = usage.seconds * FUNCTION_MB / 1024 * USD[f"lambda_gb_second_{machine}"]
    lambda_ += usage.invocations * USD["lambda_request"]
    s3 = usage.s3_gets * USD["s3_get"] + usage.s3_puts * USD["s3_put"]
    parts = {
        "lambda": lambda_ * scale,
        "sqs": usage.sqs_requests * USD["sqs_request"] * scale,
        "s3": s3 * scale,
    }
    return {
        **parts,
        "total": sum(parts.values()),
        "dynamodb_writes": usage.write_units * USD["dynamodb_write_unit"] * scale,
    }
