"""A message body, packed or plain -> a `Message`."""

from __future__ import annotations

from typing import Any

import orjson

from engine import exact_json
from engine.errors import MalformedMessage
from engine.messages.message import Message, Refused, is_packed
from engine.messages.packed import read_packed
from engine.messages.plain import read_plain
from engine.schema.model import Schema


def parse_message(
    body: str, attributes: dict[str, Any], message_id: str, sent: int, schema: Schema
) -> Message | Refused:
    """Read a message body, packed or plain.

    `attributes` are the SQS message attributes as Lambda's event has them, `sent` the SentTimestamp in whole seconds.
    Raises `MalformedMessage`, which never quotes the body.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedMessage("the body is not JSON") from None
    if not isinstance(document, dict):
        raise MalformedMessage("the body is not a JSON object")
    if is_packed(document, schema):
        # Without a backslash in the body, no string in it has an escape.
        return read_packed(document, "\\" in body, schema)
    inexact = [name for name, value in document.items() if _is_inexact(name, value, schema)]
    if inexact:
        # orjson turns each number that is not a 64-bit integer into a float, which would change it.
        try:
            exact = exact_json.loads(body)
            document |= {name: exact[name] for name in inexact}
        except ValueError:
            raise MalformedMessage("the body is nested too deeply, or a name in it occurs twice") from None
    return read_plain(document, attributes, message_id, sent, schema)


def _is_inexact(name: str, value: Any, schema: Schema) -> bool:
    """Return whether a field may have numbers that are not as they were sent."""
    return isinstance(value, float) or (isinstance(value, dict | list) and schema.takes_nested(name))
