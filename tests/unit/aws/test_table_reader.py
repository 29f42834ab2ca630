"""Replies to Query and Scan: items of the table, or an error, which is what makes the API try again."""

import pytest

from engine.aws.table_reader import MAX_READ_ATTEMPTS, TableReader
from engine.errors import ServiceError
from engine.flow.backoff import NEVER
from tests.builders.callers import Saying
from tests.builders.samples import USERS

KEY = b'"email":{"S":"a@x.org"},"createdAt":{"N":"1.5"}'


@pytest.mark.parametrize(
    "items",
    [
        b'"x"',
        b"[1]",
        b"[{}]",
        b'[{"email":{"S":"a@x.org"}}]',
        b'[{%s,"n":{"N":"x"}}]' % KEY,
        b'[{%s,"n":{"N":"1,\\"admin\\":1"}}]' % KEY,
        b'[{%s,"l":{"L":[{"M":{"a":null}}]}}]' % KEY,
        b'[{%s,"a":{}}]' % KEY,
        b'[{%s}],"LastEvaluatedKey":{"email":{"S":"a"}}' % KEY,
        b'[{%s}],"LastEvaluatedKey":"x"' % KEY,
    ],
)
async def test_what_is_no_item_makes_a_reply_unreadable(items: bytes) -> None:
    bad, good = b'{"Items":%s}' % items, b'{"Items":[{%s}],"LastEvaluatedKey":null}' % KEY
    lane = Saying([bad, good])
    page = await TableReader("users", USERS, lane, lane).scan(NEVER, limit=1)
    assert (len(page.items), page.last_key, lane.calls) == (1, None, 2)
    lane = Saying([bad])
    with pytest.raises(ServiceError, match="UnreadableReply"):
        await TableReader("users", USERS, lane, lane).query("a@x.org", NEVER, newest_first=True, limit=1)
    assert lane.calls == MAX_READ_ATTEMPTS
