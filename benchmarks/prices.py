"""What a million records cost by AWS's prices, which are in `engine.prices`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from engine.prices import FUNCTION_MB, USD


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
