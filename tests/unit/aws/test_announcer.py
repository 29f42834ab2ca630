"""Replies of EventBridge: an event counts as announced only where the reply says so."""

import pytest

from engine.aws.announcer import MAX_ATTEMPTS, Announcer
from engine.errors import ServiceError
from engine.flow.backoff import NEVER
from tests.builders.callers import Saying

ACCEPTED = b'{"FailedEntryCount":0,"Entries":[{"EventId":"x"}]}'


@pytest.mark.parametrize(
    "reply", [b'{"Entries":[]}', b"{}", b"[]", b"<html>Sign in</html>", b'{"Entries":[1]}', b'{"Entries":[{},{}]}']
)
async def test_reply_that_does_not_speak_of_the_event_is_unreadable(reply: bytes) -> None:
    lane = Saying([reply, ACCEPTED])
    await Announcer(lane).announce("Ingestion Completed", {}, NEVER)
    assert lane.calls == 2
    lane = Saying([reply])
    with pytest.raises(ServiceError, match="UnreadableReply"):
        await Announcer(lane).announce("Ingestion Completed", {}, NEVER)
    assert lane.calls == MAX_ATTEMPTS


async def test_refused_event_is_announced_again() -> None:
    lane = Saying([b'{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure"}]}', ACCEPTED])
    await Announcer(lane).announce("Ingestion Completed", {}, NEVER)
    assert lane.calls == 2
