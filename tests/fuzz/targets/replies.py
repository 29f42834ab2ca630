"""Replies of DynamoDB, SQS, EventBridge and S3 of any content."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

import orjson

from engine.aws.announcer import Announcer
from engine.aws.ledger_list import LedgerList
from engine.aws.objects import Objects
from engine.aws.queues import QueueSender
from engine.aws.s3 import S3
from engine.aws.table_reader import TableReader
from engine.aws.table_writer import TableWriter
from engine.aws.types import (
    BATCH_GET_ITEM,
    BATCH_WRITE_ITEM,
    DESCRIBE_TABLE,
    PUT_EVENTS,
    QUERY,
    SCAN,
    SEND_MESSAGE_BATCH,
    Reply,
    Request,
)
from engine.errors import MillpondError
from engine.flow.backoff import Backoff, Deadline
from engine.http_events import HttpRequest
from engine.identity import ObjectRef
from engine.jobs.answer import Query, answer
from engine.messages.message import Outgoing
from tests.builders.messages import MODIFIED, user_items
from tests.builders.samples import USERS
from tests.fakeaws.backend import Backend
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.in_memory import InMemory, lane_to
from tests.fakeaws.virtual_time import now, run
from tests.fuzz.documents import DRAWN, changed
from tests.fuzz.source import Source, seed
from tests.fuzz.targets.producer import session

ITEM = '{"email":{"S":"a@x.org"},"createdAt":{"N":"1775260800.000000000001"},"l":{"L":[{"N":"1E-130"},{"M":{}}]}}'
ENTRY = (
    '{"ingestion":{"S":"00000000000000000000"},"part":{"S":"entry"},"month":{"S":"2026-04"},"spans":{"N":"1"},'
    '"listed":{"S":"2026-04-04T00:00:00.000Z 00000000000000000000"},"started":{"N":"1"},"changed":{"N":"2"}}'
)
_PUT = json.dumps(json.loads(f"[{user_items(3).text(range(3))}]")[:1])

DOCUMENTS = (
    f'{{"Items":[{ITEM}],"Count":1}}',
    f'{{"Items":[{ITEM}],"LastEvaluatedKey":{{"email":{{"S":"a@x.org"}},"createdAt":{{"N":"1"}}}}}}',
    f'{{"Items":[{ENTRY}]}}',
    '{"Successful":[{"Id":"0","MessageId":"x","MD5OfMessageBody":"y"}],"Failed":[{"Id":"1","Code":"InternalError","SenderFault":false}]}',
    f'{{"UnprocessedItems":{{"users":{_PUT}}}}}',
    '{"FailedEntryCount":0,"Entries":[{"EventId":"x"}]}',
    '{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"x","throttlingReasons":[{"reason":"TableWriteThroughputExceeded","resource":"arn"}]}',
    "<Error><Code>SlowDown</Code><Message>x</Message><Region>eu-west-1</Region></Error>",
)
HEADERS = b'etag: "e"\nlast-modified: Sat, 04 Apr 2026 00:00:00 GMT\ncontent-length: 3\n\nabc'
SEEDS = [
    *(seed(each, 11) + bytes([kind]) for kind, each in enumerate(DOCUMENTS[:6])),
    *(drawn + bytes([1, 0, 0, number]) for number, drawn in enumerate(DRAWN)),
    *(bytes([8, 3, 11, 0, 2, 0, 1, 0, 0, kind]) for kind in range(6)),
    seed('{"Entries":[]}', 11) + b"\5",
    seed(DOCUMENTS[6], 10) + b"\1\0",
    seed(HEADERS, 11) + b"\6",
    seed(DOCUMENTS[7], 10) + b"\4\6",
]
TOKENS = [
    *(b'"Items":', b'"LastEvaluatedKey":', b'"UnprocessedItems":', b'"Successful":', b'"Failed":', b'"Entries":', b'"ErrorCode":"', b'"Attributes":'),
    *(b'{"S":"', b'{"N":"', b'{"B":"', b'{"L":[', b'{"M":{', b'{"NULL":true}', b'{"SS":[]}', b"null", b"[]", b"{}", b"1e999", b"-0", b"\\ud800"),
    *(b"content-range: bytes 0-2/3\n", b"content-length: ", b"last-modified: ", b"etag: ", b"x-amz-checksum-crc32: AAAA\n", b"x-amz-bucket-region: x\n"),
    *(b"<Code>", b"</Code>", b'"__type":"', b"#", b"ValidationException", b"ExpiredTokenException", b'"Id":"0"', b'"part":{"S":"t', b'"listed"'),
]  # fmt: skip
STATUSES = (200, 400, 500, 403, 503, 301, 206, 404, 412, 0, 999)


class Saying:
    """A transport, and a `Fetch`, that first gives one reply a few times, and then what the backend says."""

    def __init__(self, reply: Reply, times: int) -> None:
        self._reply, self._left = reply, times
        self._then = InMemory(Backend(DynamoDB({"users": Table({"email": "S", "createdAt": "N"})})))

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Reply:  # noqa: ASYNC109
        """Send a request; see `Transport`."""
        if "DescribeTable" in headers.get("X-Amz-Target", ""):
            return await self._then(url, headers, body, timeout)
        self._left -= 1
        return self._reply if self._left >= 0 else await self._then(url, headers, body, timeout)


def check(data: bytes) -> None:
    """A reply means what it says, or is an error of the service; nothing counts as done that no reply says was done."""
    source = Source(data)
    call = source.pick(CALLS)
    status, times = source.pick(STATUSES), source.pick((1_000, 1, 3))
    if source.below(2):
        good = DOCUMENTS[source.pick(GOOD_FOR[call])]
        # What is in the ledger is its own: only what is around its items is changed.
        good = good.replace(ENTRY, '"ENTRY"')
        body = json.dumps(changed(json.loads(good), source)).replace('"ENTRY"', ENTRY).encode()
    else:
        body = source.rest(4_000).rstrip(b"\0")
    run(call(Reply(status, {}, body), times))


async def _read(reply: Reply, times: int, *paths: str) -> None:
    saying = Saying(reply, times)
    query, scan, ledger, get = (lane_to(saying, each) for each in (QUERY, SCAN, QUERY, BATCH_GET_ITEM))
    asked = Query(USERS, "", TableReader("users", USERS, query, scan), LedgerList("ledger", ledger, get), 60)
    for path in paths:
        request = HttpRequest("GET", tuple(path.split("/")))
        with suppress(MillpondError):
            orjson.loads(await answer(asked, request, MODIFIED, Deadline(now() + 20), Deadline(now() + 25)))


async def _of_a_table(reply: Reply, times: int) -> None:
    await _read(reply, times, "users", "users/a@x.org", "users/a@x.org/history")


async def _of_a_ledger(reply: Reply, times: int) -> None:
    await _read(reply, times, "ingestions", "ingestions/00000000000000000000")


async def _of_a_queue(reply: Reply, times: int) -> None:
    sender = QueueSender("https://x/q", lane_to(Saying(reply, times), SEND_MESSAGE_BATCH), max_batch_bytes=1_000)
    messages = [Outgoing(b"x", 1, {}) for _ in range(3)]
    try:
        accepted = await sender.send_each(messages, Deadline(now() + 30))
    except MillpondError:
        return
    if accepted:
        assert reply.status == 200
        assert set(map(str, accepted)) <= {entry["Id"] for entry in _document(reply)["Successful"]}


async def _of_a_write(reply: Reply, times: int) -> None:
    lane = lane_to(Saying(reply, times), BATCH_WRITE_ITEM)
    writer = TableWriter("users", USERS, lane, lane_to(Saying(reply, 0), DESCRIBE_TABLE), is_busy=lambda: False)
    items = user_items(3)
    try:
        outcome = await writer.write(items, Deadline(now() + 30))
    except MillpondError:
        return
    assert len(outcome.written) == 3
    if any(outcome.written) and times == 1_000:
        assert reply.status == 200
        left = [request for table in _document(reply)["UnprocessedItems"].values() for request in table]
        assert len(left) + sum(outcome.written) >= 3


async def _of_a_bus(reply: Reply, times: int) -> None:
    announcer = Announcer(lane_to(Saying(reply, times), PUT_EVENTS))
    try:
        await announcer.announce("Ingestion Completed", {}, Deadline(now() + 30))
    except MillpondError:
        return
    if times == 1_000:
        (entry,) = _document(reply)["Entries"]
        assert entry.get("ErrorCode") is None, "an event counts as announced that was not accepted"


async def _of_s3(reply: Reply, times: int) -> None:
    head, _, body = reply.body.partition(b"\n\n")
    headers = {}
    for line in head.decode("latin-1").split("\n"):
        name, _, value = line.partition(": ")
        headers[name.lower()] = value

    class Answer:
        def __init__(self) -> None:
            self.status = reply.status if reply.status >= 200 else 200
            self.headers, self._body = headers, body

        async def read(self, most: int) -> bytes:
            part, self._body = self._body[:most], self._body[most:]
            return part

        def close(self) -> None:
            pass

    async def fetch(request: Request, patience: float) -> Answer:
        return Answer()

    objects = Objects(S3(session(), fetch, backoff=Backoff(base=0.01)))
    came = b""
    try:
        opened = await objects.open(ObjectRef("b", "k.csv"), Deadline(now() + 30))
        async for chunk in opened.chunks(Deadline(now() + 30)):
            came += chunk
            assert len(came) <= opened.size
    except MillpondError:
        return
    assert len(came) == opened.size, "an object is shorter than S3 said"


def _document(reply: Reply) -> dict[str, Any]:
    """What the reply says, if it is an object."""
    try:
        document = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


Call = Callable[[Reply, int], Coroutine[Any, Any, None]]
GOOD_FOR: dict[Call, tuple[int, ...]] = {
    _of_a_table: (0, 1),
    _of_a_ledger: (2,),
    _of_a_queue: (3,),
    _of_a_write: (4,),
    _of_a_bus: (5,),
    _of_s3: (6,),
}
CALLS: tuple[Call, ...] = (
    _of_a_table,
    _of_a_table,
    _of_a_ledger,
    _of_a_queue,
    _of_a_write,
    _of_a_bus,
    _of_s3,
)
