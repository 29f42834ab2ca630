"""Hand the rest of an object to the span queue, whose messages invoke the producer again."""

from __future__ import annotations

from engine.aws.queues import QueueSender
from engine.errors import NoProgress
from engine.flow.backoff import Deadline
from engine.identity import ObjectRef, ObjectVersion
from engine.messages.message import Outgoing
from engine.spans import MAX_STALLS, Rest, ResumePoint, span_body


def rest_of(version: ObjectVersion, before: Rest, point: ResumePoint) -> Rest:
    """Return the rest of an object after a run from `before` to `point`.

    Raises `NoProgress` if too many runs in a row got no further: another one would not either.
    """
    stalls = before.stalls + 1 if point.place <= before.point.place else 0
    if stalls >= MAX_STALLS:
        raise NoProgress(
            f"{stalls} invocations in a row did not get beyond row {point.row:,}: give the function more time (900 s "
            "at most) or memory, or split the object"
        )
    return Rest(point, version.modified, stalls, before.run)


async def hand_off(spans: QueueSender, ref: ObjectRef, rest: Rest, deadline: Deadline) -> None:
    """Send the rest of an object to the span queue; returns when SQS has accepted it."""
    request = spans.request([Outgoing(span_body(ref, rest), 0, {})])
    await spans.send(request, 1, deadline)
