"""What many tests start from: two schemas and an object. Benchmarks use it too, which have no test tools."""

import hashlib
from pathlib import Path
from typing import Any

from engine.config import PACKAGED_SCHEMA
from engine.identity import ObjectVersion
from engine.messages.message import Message
from engine.schema.model import Schema
from engine.schema.parse import parse_schema

PRODUCTS_TOML = Path(__file__).parents[1] / "schemas" / "products.toml"
ORDERS_TOML = PRODUCTS_TOML.with_name("orders.toml")
ORDER_LINES_TOML = PRODUCTS_TOML.with_name("order_lines.toml")

USERS = parse_schema(PACKAGED_SCHEMA.read_text("utf-8"), "users.toml")
PRODUCTS = parse_schema(PRODUCTS_TOML.read_text("utf-8"), "products.toml")
ORDERS = parse_schema(ORDERS_TOML.read_text("utf-8"), "orders.toml")

SOURCE = ObjectVersion("b", "uploads/users.csv", None, "0123abcd", 1_775_260_800)
PROCESSED_AT = "2026-04-04T00:00:01.234Z"


def rows_of(message: Message) -> list[list[Any]]:
    """The rows of a message as its body has them: number, then values."""
    return [[number, *message.row(i)] for i, number in enumerate(message.numbers)]


def version_of(modified: int, row: int, ingestion: str = "") -> str:
    """The sort key of a row; without an ingestion as it was written before."""
    digits = str(int(hashlib.sha256(ingestion.encode()).hexdigest(), 16))[-10:] if ingestion else ""
    return f"{modified}.{row:012d}{digits}"


def schema_of(toml: str) -> Schema:
    """A schema from the middle of a file: `toml` goes behind the version and the collection."""
    return parse_schema(f'version = 1\ncollection = "things"\n{toml}', "things.toml")
