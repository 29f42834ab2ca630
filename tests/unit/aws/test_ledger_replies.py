"""Replies to calls of the ledger: its items, or an error after some attempts."""

import pytest

from engine.aws.ledger import Ledger
from engine.aws.ledger_reader import MAX_ATTEMPTS, LedgerReader
from engine.errors import ServiceError
from engine.flow.backoff import NEVER
from tests.builders.callers import Saying

REPLIES = [
    b"{}",
    b"[]",
    b"null",
    b'{"Items":null,"Attributes":null}',
    b'{"Items":[1],"Attributes":1}',
    b'{"Items":[{"ingestion":{"S":"x"}}],"Attributes":{"part":{"S":"x"}}}',
    b'{"Items":[{"ingestion":{"S":"x"},"part":{"S":1}}],"Attributes":{"ingestion":{"S":"x"},"part":{"N":"1"}}}',
]


@pytest.mark.parametrize("reply", REPLIES)
async def test_reply_without_items_is_unreadable(reply: bytes) -> None:
    lane = Saying([reply])
    with pytest.raises(ServiceError, match="UnreadableReply"):
        await LedgerReader("ledger", lane).account("x", NEVER)
    with pytest.raises(ServiceError, match="UnreadableReply"):
        await LedgerReader("ledger", lane).listed("2026-04", NEVER, limit=1)
    with pytest.raises(ServiceError, match="UnreadableReply"):
        await Ledger("ledger", 1, lane, lane, lane).not_split("x", NEVER)
    assert lane.calls == 3 * MAX_ATTEMPTS
