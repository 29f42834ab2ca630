"""Messages as the producer packs them, as the worker reads them, and the items that are made of them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from engine.identity import ObjectVersion
from engine.items import Items
from engine.messages.message import Message
from engine.messages.parse import parse_message
from engine.schema.model import Schema
from tests.builders.samples import USERS

Json = dict[str, Any]

MODIFIED = 1_775_260_800
"""2026-04-04T00:00:00Z, the LastModified of made-up objects."""

UPLOAD = ObjectVersion("uploads-bucket", "uploads/users.csv", None, "5eb63bbb", MODIFIED)
"""The object that packed messages are of."""

USER_COLUMNS = ("name", "email", "phone")


def packed(
    rows: Sequence[Sequence[Any]],
    *,
    bucket: str = UPLOAD.bucket,
    columns: Sequence[str] = USER_COLUMNS,
    number: int = 0,
    modified: int = MODIFIED,
) -> Json:
    """A packed message of these rows, which begin with their row numbers."""
    return {
        "v": 1,
        "object": UPLOAD._replace(bucket=bucket, modified=modified)._asdict(),
        "span": 0,
        "message": number,
        "processedAt": "2026-04-04T00:00:01.234Z",
        "columns": list(columns),
        "rows": [list(row) for row in rows],
    }


def users(first: int, last: int) -> list[list[Any]]:
    """Rows of users, by row number."""
    return [[row, f"Name {row}", f"user{row}@example.com", "N/A"] for row in range(first, last + 1)]


def received(
    rows: Sequence[Sequence[Any]],
    columns: Sequence[str] = USER_COLUMNS,
    *,
    schema: Schema = USERS,
    modified: int = MODIFIED,
) -> Message:
    """A packed message of these rows as the worker reads it."""
    body = packed(rows, columns=columns, modified=modified)
    message = parse_message(json.dumps(body, ensure_ascii=False), {}, "id", 5, schema)
    assert isinstance(message, Message)
    return message


def items_of(*messages: Message, schema: Schema = USERS, ttl_days: int | None = None) -> Items:
    """The items of these messages."""
    items = Items(schema, ttl_days)
    for message in messages:
        items.add(message)
    return items


def user_message(rows: Iterable[tuple[int, str, str]]) -> Message:
    """Users by row number, name and address."""
    return received([[*row, "N/A"] for row in rows])


def user_items(count: int, *, start: int = 1, name: str = "", large: int | None = None) -> Items:
    """Users with the rows from `start` on, by the same name or each by one of their own.

    The one at index `large` is larger than an item may be.
    """
    names = [name or f"Name {row}" for row in range(start, start + count)]
    if large is not None:
        names[large] = "x" * 410_000
    return items_of(user_message((row, each, f"user{row}@example.com") for row, each in enumerate(names, start)))


def puts(items: Items) -> list[Json]:
    """The items that the put requests carry."""
    requests = json.loads(f"[{items.text(range(len(items)))}]")
    assert all(set(request) == {"PutRequest"} and set(request["PutRequest"]) == {"Item"} for request in requests)
    return [request["PutRequest"]["Item"] for request in requests]
