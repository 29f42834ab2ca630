"""An S3 on a loopback port, going wrong on purpose: GET and PUT of objects as far as the engine needs them.

What it keeps and what it understands of requests is in `s3`. Plans are as in `plans`, but are asked about requests.

    with in_thread(ObjectServer([Cut(100_000), SLOW_DOWN])) as server:
        server.put("bucket", "uploads/users.csv", body)
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import assert_never
from urllib.parse import unquote

from tests.fakeaws.errors import Refusal
from tests.fakeaws.listener import Listener, Reply, Request, reset
from tests.fakeaws.plans import Refuse, Reset, Silent, Slow, access_key_in
from tests.fakeaws.s3 import MODIFIED, S3, S3Reply, Stored, error_reply

PIECE_BYTES = 65_536


@dataclass(frozen=True)
class Cut:
    """The head promises all of it, and the connection ends after some bytes of the body: by a reset or in order."""

    after: int
    by_reset: bool = True


@dataclass(frozen=True)
class Stall:
    """No more bytes come after some of the body, and the connection stays open."""

    after: int


@dataclass(frozen=True)
class Trickle:
    """The body comes a little at a time, so many bytes a second, without ever standing still for long."""

    bytes_per_second: int


@dataclass(frozen=True)
class Whole:
    """The range is not heeded: the whole object comes, as something that stands in for S3 may send it.

    Or its first `cut` bytes, and then the connection closes.
    """

    cut: int | None = None


@dataclass(frozen=True)
class Elsewhere:
    """The bucket is in another region, S3 says in which."""

    region: str
    status: int = 301
    in_body: bool = False


@dataclass(frozen=True)
class Page:
    """Something in between answers with a page of its own."""

    status: int = 200


@dataclass(frozen=True)
class Says:
    """The object comes as it should, from where it was asked for or whole, but these headers are not true."""

    headers: Mapping[str, str]
    whole: bool = False


@dataclass(frozen=True)
class InPieces:
    """The error's head comes first, then its body, or only a part of it."""

    refuse: Refuse
    cut: bool = False


ObjectFault = Refuse | Reset | Silent | Slow | Cut | Stall | Trickle | Whole | Elsewhere | Page | Says | InPieces


@dataclass(frozen=True)
class ObjectRequest:
    """One request as it arrived: `number` from 1, `start` the first byte asked for."""

    number: int
    method: str
    bucket: str
    key: str
    start: int
    headers: Mapping[str, str]  # names in lower case
    connection: int

    @property
    def access_key(self) -> str:
        """The access key that the request is signed with."""
        return access_key_in(self.headers)


ObjectPlan = Callable[[ObjectRequest], ObjectFault | None]


SLOW_DOWN = Refuse("SlowDown", 503)
S3_ERROR = Refuse("InternalError", 500)
S3_DENIED = Refuse("AccessDenied", 403)
S3_EXPIRED = Refuse("ExpiredToken", 400)


def refused(code: str, status: int, message: str = "made to fail") -> Reply:
    """Return an error in S3's own format."""
    reply = error_reply(Refusal(code, message, status))
    return Reply(status, reply.body(), reply.headers)


def on_the_wire(reply: S3Reply, method: str = "GET") -> Reply:
    """Return a reply as the listener sends it: to HEAD without the body."""
    body = b"" if method == "HEAD" else reply.body()
    return Reply(reply.status, body, {**reply.headers, "Content-Length": str(reply.length)})


class ObjectServer(Listener):
    """An S3 that does as the plan says; `plan` may be set anew at any time."""

    def __init__(
        self, plan: ObjectPlan | Iterable[ObjectFault | None] = (), *, buckets: set[str] | None = None
    ) -> None:
        """Have no objects; any bucket is there, unless some are named."""
        super().__init__()
        self.plan = plan
        self._s3 = S3(buckets=buckets)
        self.headers: Mapping[str, str] = {}  # what else S3 says of every object
        self.requests: list[ObjectRequest] = []

    @property
    def plan(self) -> ObjectPlan:
        """What befalls the next requests."""
        return self._plan

    @plan.setter
    def plan(self, plan: ObjectPlan | Iterable[ObjectFault | None]) -> None:
        if callable(plan):
            self._plan: ObjectPlan = plan
        else:
            rest = iter(plan)
            self._plan = lambda request: next(rest, None)

    def put(self, bucket: str, key: str, body: bytes, *, modified: int = MODIFIED) -> Stored:
        """Put an object, behind the client's back."""
        return self._s3.put(bucket, key, body, modified=modified)

    def make_bucket(self, bucket: str, *, versioned: bool) -> None:
        """Make a bucket; one that is not `versioned` forgets replaced objects."""
        if self._s3.buckets is not None:
            self._s3.buckets.add(bucket)
        if versioned:
            self._s3.versioned.add(bucket)

    @property
    def objects(self) -> dict[tuple[str, str], Stored]:
        """The objects by bucket and key."""
        return self._s3.objects

    def gets(self) -> list[ObjectRequest]:
        """The GETs so far."""
        return [request for request in self.requests if request.method == "GET"]

    async def answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Do what is asked, as far as the fault lets it."""
        bucket, _, key = unquote(request.target.partition("?")[0]).removeprefix("/").partition("/")
        range_ = request.headers.get("range", "bytes=0-")
        start = int(range_.removeprefix("bytes=").partition("-")[0])
        asked = ObjectRequest(
            len(self.requests) + 1, request.method, bucket, key, start, request.headers, request.connection
        )
        self.requests.append(asked)
        fault = self._plan(asked)
        if isinstance(fault, Slow):
            await asyncio.sleep(fault.seconds)
            fault = None
        if isinstance(fault, InPieces):
            reply = refused(fault.refuse.code, fault.refuse.status)
        elif isinstance(fault, Refuse):
            reply = refused(fault.code, fault.status, fault.message)
        elif isinstance(fault, Elsewhere):
            reply = refused("PermanentRedirect", fault.status)
            if fault.in_body:
                region = f"<Region>{fault.region}</Region></Error>".encode()
                reply = replace(reply, body=reply.body.replace(b"</Error>", region))
            else:
                reply = replace(reply, headers={**reply.headers, "x-amz-bucket-region": fault.region})
        elif isinstance(fault, Page):
            reply = Reply(fault.status, b"<html>Sign in</html>", {"Content-Type": "text/html"})
        elif isinstance(fault, Says):
            reply = self._work(request, heed_range=not fault.whole)
            reply = replace(reply, headers={**reply.headers, **fault.headers})
        elif fault is None or isinstance(fault, Cut | Stall | Trickle | Whole):
            reply = self._work(request, heed_range=not isinstance(fault, Whole))
        else:
            reply = Reply(200, b"", {})
        return await deliver(reply, fault, reader, writer)

    def _work(self, request: Request, *, heed_range: bool) -> Reply:
        headers = request.headers
        if not heed_range:
            headers = {name: value for name, value in headers.items() if name != "range"}
        reply = self._s3.answer(request.method, request.target, headers, request.body, time.time())
        if request.method == "GET" and reply.status < 300:
            reply = replace(reply, headers={**reply.headers, **self.headers})
        return on_the_wire(reply, request.method)


async def deliver(
    reply: Reply, fault: ObjectFault | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Put the reply on the wire, or what the fault makes of it; False closes the connection."""
    match fault:
        case Silent():
            await reader.read()  # until the client gives up
            return False
        case Reset():
            reset(writer)
            return False
        case Cut(after) | Stall(after):
            await send(writer, reply.head(), reply.body[:after])
            if isinstance(fault, Stall):
                await reader.read()
            elif fault.by_reset:
                reset(writer)
            return False
        case Trickle(rate):
            await trickle(writer, reply, rate)
        case Whole(int(cut)):
            await send(writer, reply.head(), reply.body[:cut])
            return False
        case InPieces(cut=cut):
            await send(writer, reply.head(), b"")
            await asyncio.sleep(0.05)
            await send(writer, b"", reply.body[:60] if cut else reply.body)
            return not cut
        case None | Refuse() | Slow() | Whole() | Elsewhere() | Page() | Says():
            await send(writer, reply.head(), reply.body)
        case _:
            assert_never(fault)
    return True


async def trickle(writer: asyncio.StreamWriter, reply: Reply, bytes_per_second: int) -> None:
    """Write the body a second's worth at a time."""
    await send(writer, reply.head(), b"")
    for at in range(0, len(reply.body), bytes_per_second):
        await send(writer, b"", reply.body[at : at + bytes_per_second])
        await asyncio.sleep(1.0)


async def send(writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
    """Write in pieces, so that a large body is not held twice."""
    writer.write(head)
    for at in range(0, len(body), PIECE_BYTES):
        writer.write(body[at : at + PIECE_BYTES])
        await writer.drain()
