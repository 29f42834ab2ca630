"""The rest of a message that a worker had no time for -> a message of its own, under the same name.

It holds the rows that are not written yet and goes back to the queue in the place of the original, so that waiting for
a slow table never counts as a failed receive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from engine.messages.message import Message, Outgoing, legal_json, text_attribute

HANDED_ON = "handedOn"
"""Message attribute: how many times a message, or a part of it, has been handed on."""

FAILING = "failingRounds"
"""Message attribute: how many times in a row that was because of server errors or unreadable answers."""

WRITTEN = "rowsWritten"
"""Message attribute: how many rows of the original message are written."""

SUPERSEDED = "rowsSuperseded"
"""Message attribute: how many of these are not in the table because a newer version of their key is."""

FAILING_DELAY = 60
"""Seconds (SQS quota: 900) before such a message is received again."""

MAX_ATTRIBUTES = 10
"""SQS quota: attributes of one message."""


def count_in(attributes: Mapping[str, Any], name: str) -> int:
    """Return one of the counts above, 0 where there is none; `attributes` as Lambda's event has them."""
    text = attributes.get(name, {}).get("stringValue")
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 9 else 0


def rest_of(
    body: str,
    attributes: Mapping[str, Any],
    message: Message,
    left: Sequence[int],
    *,
    superseded: int = 0,
    failing: bool = False,
) -> Outgoing:
    """Return the message with the rows of `left` (indexes into the rows of `message`) that stands for the original.

    `body` and `attributes` are the original's, as Lambda's event has them. A plain message gets the attributes that
    its identity came from, since a new message has another id and another time. `superseded` of the rows that are done
    are not in the table because newer ones are. `failing`: its calls got server
    errors or unreadable answers, and it comes again only after a while.
    """
    kept = {
        name: {"DataType": value["dataType"], "StringValue": value["stringValue"]}
        for name, value in attributes.items()
        if isinstance(value.get("stringValue"), str) and name != FAILING  # a binary one means nothing to a worker
    }
    own = {
        "records": _number_attribute(len(left)),
        HANDED_ON: _number_attribute(count_in(attributes, HANDED_ON) + 1),
        WRITTEN: _number_attribute(count_in(attributes, WRITTEN) + len(message.numbers) - len(left)),
    }
    if superseded := superseded + count_in(attributes, SUPERSEDED):
        own[SUPERSEDED] = _number_attribute(superseded)
    if message.ingestion:
        own["ingestion"] = text_attribute(message.ingestion)
    if message.source is None:
        own["modified"] = _number_attribute(message.modified)
    if failing:
        own[FAILING] = _number_attribute(count_in(attributes, FAILING) + 1)
    whole = len(left) == len(message.numbers)
    merged = {**kept, **own}
    return Outgoing(
        body=body.encode() if whole else _with_rows(body, left),
        records=len(left),
        attributes=merged if len(merged) <= MAX_ATTRIBUTES else own,
        delay_seconds=FAILING_DELAY if failing else 0,
    )


def _with_rows(body: str, left: Sequence[int]) -> bytes:
    """Return a packed body with some of its rows."""
    document = orjson.loads(body)
    rows = document["rows"]
    document["rows"] = [rows[index] for index in left]
    return legal_json(orjson.dumps(document))


def _number_attribute(number: int) -> dict[str, str]:
    return {"DataType": "Number", "StringValue": str(number)}
