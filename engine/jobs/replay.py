"""What the functions made of an object, made again from its bytes by their own code, without sending anything.

Messages and rejects follow from the object and the schema alone. Only how rows are split into messages depends on the
stack's settings, and that changes no item.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from engine.config import DEFAULT_RECORDS, SQS_MAX_BYTES
from engine.convert import Converter
from engine.errors import BadFile
from engine.identity import ObjectVersion
from engine.messages.message import Message, Outgoing
from engine.messages.parse import parse_message
from engine.reading.block import Reject
from engine.schema.model import Schema


class Replayed(NamedTuple):
    """What some rows became: messages as a worker reads them, and rejects, each in row order."""

    messages: list[Message]
    rejects: Sequence[Reject] = ()


async def replay(chunks: AsyncIterator[bytes], source: ObjectVersion, schema: Schema) -> AsyncIterator[Replayed]:
    """Yield what each part of an object became, in row order; `chunks` are its bytes.

    Raises `BadFile` for an object that the producer refuses, after the rows that it sends before that.
    """
    # The largest messages: a row that the stack's own limit rejects is found in a reject file.
    converter = Converter(source, schema, records_per_message=DEFAULT_RECORDS, max_message_bytes=SQS_MAX_BYTES)
    try:
        async for chunk in chunks:
            for converted in converter.feed(chunk, ""):
                yield Replayed(_read(converted.messages, schema), converted.rejects)
        for converted in converter.finish(""):
            yield Replayed(_read(converted.messages, schema), converted.rejects)
    except BadFile:
        if converter.plan:
            yield Replayed(_read(converter.flush(""), schema))
        raise


def _read(messages: Sequence[Outgoing], schema: Schema) -> list[Message]:
    read = [parse_message(outgoing.body.decode(), {}, "", 0, schema) for outgoing in messages]
    return [message for message in read if isinstance(message, Message)]  # packed messages are never refused
