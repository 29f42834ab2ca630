"""Calls to one table of which a failed condition is an answer: something else is there, and stays.

What writing the newest version and deleting only what is meant share.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from engine.aws.table_calls import TableCalls
from engine.aws.types import Operation
from engine.errors import CONDITION_FAILED, ServiceError
from engine.flow.backoff import Deadline
from engine.outcome import Outcome

_NOT_MET = CONDITION_FAILED.encode()
"""Stands for the reply to a call whose condition failed. It is known by its identity: a reply may say anything."""

_DONE = b"{}"
_MEMBERS = {"Attributes", "ConsumedCapacity", "ItemCollectionMetrics"}
"""What a reply to PutItem or DeleteItem may have."""


class ConditionalCalls(TableCalls):
    """Calls to one table, some of them on a condition."""

    async def _send(self, body: bytes, deadline: Deadline, patience: float) -> bytes:
        """Send one request; a failed condition is an answer, not a fault."""
        try:
            return await super()._send(body, deadline, patience)
        except ServiceError as error:
            if error.code != CONDITION_FAILED:
                raise
            return _NOT_MET


def left_of(operation: Operation, reply: bytes, part: Sequence[int], outcome: Outcome) -> Sequence[int]:
    """Return what a reply to PutItem or DeleteItem of one item leaves: nothing.

    The item is superseded in `outcome` if its condition was not met. Raises `ServiceError` unless this is such a reply.
    """
    if reply is _NOT_MET:
        outcome.superseded.add(part[0])
    else:
        _check_reply(operation, reply)
    return ()


def _check_reply(operation: Operation, reply: bytes) -> None:
    """Raise `ServiceError` unless this is a reply to PutItem or DeleteItem.

    Something on the way may have answered, such as a proxy with a page: that does not say that anything is done.
    """
    if reply == _DONE:
        return
    try:
        document = orjson.loads(reply)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or not document.keys() <= _MEMBERS:
        raise ServiceError(operation.name, "UnreadableReply", 0)
