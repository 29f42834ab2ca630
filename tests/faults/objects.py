"""An S3 on a loopback port, going wrong on purpose: GET and PUT of objects as far as the engine needs them.

It keeps the last version of each key, heeds Range and If-Match, and is asked with AWS's own client. Plans are as in
`plans`, but are asked about requests.

    with in_thread(ObjectServer([Cut(100_000), SLOW_DOWN])) as server:
        server.put("bucket", "uploads/users.csv", body)
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import assert_never
from urllib.parse import unquote
from xml.sax.saxutils import escape

from tests.faults.listener import Listener, Reply, Request, reset
from tests.faults.plans import Refuse, Reset, Silent, Slow

MODIFIED = 1_775_260_800
"""2026-04-04T00:00:00Z: LastModified of every object that does not say otherwise."""

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


ObjectFault = Refuse | Reset | Silent | Slow | Cut | Stall | Whole | Elsewhere | Page | Says | InPieces


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


ObjectPlan = Callable[[ObjectRequest], ObjectFault | None]


@dataclass
class Stored:
    """An object as it is kept."""

    body: bytes
    modified: int = MODIFIED
    content_type: str = "text/csv"
    etag: str = field(init=False)

    def __post_init__(self) -> None:
        """Work out the ETag."""
        self.etag = hashlib.md5(self.body, usedforsecurity=False).hexdigest()


SLOW_DOWN = Refuse("SlowDown", 503)
S3_ERROR = Refuse("InternalError", 500)
S3_DENIED = Refuse("AccessDenied", 403)
S3_EXPIRED = Refuse("ExpiredToken", 400)


def error_reply(code: str, status: int, message: str = "made to fail") -> Reply:
    """An error in S3's own format."""
    text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>0</RequestId></Error>"
    return Reply(
        status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), {"Content-Type": "application/xml"}
    )


class ObjectServer(Listener):
    """An S3 that does as the plan says; `plan` may be set anew at any time."""

    def __init__(self, plan: ObjectPlan | Iterable[ObjectFault | None] = ()) -> None:
        """Have no objects; any bucket is there."""
        super().__init__()
        self.plan = plan
        self.objects: dict[tuple[str, str], Stored] = {}
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
        stored = self.objects[bucket, key] = Stored(body, modified)
        return stored

    def gets(self) -> list[ObjectRequest]:
        """The GETs so far."""
        return [request for request in self.requests if request.method == "GET"]

    async def answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Do what is asked, as far as the fault lets it."""
        _, bucket, key = unquote(request.target.partition("?")[0]).split("/", 2)
        range_ = request.headers.get("range", "bytes=0-")
        start = int(range_.removeprefix("bytes=").removesuffix("-"))
        asked = ObjectRequest(
            len(self.requests) + 1, request.method, bucket, key, start, request.headers, request.connection
        )
        self.requests.append(asked)
        fault = self._plan(asked)
        if isinstance(fault, Slow):
            await asyncio.sleep(fault.seconds)
            fault = None
        if isinstance(fault, InPieces):
            reply = error_reply(fault.refuse.code, fault.refuse.status)
        elif isinstance(fault, Refuse):
            reply = error_reply(fault.code, fault.status, fault.message)
        elif isinstance(fault, Elsewhere):
            reply = error_reply("PermanentRedirect", fault.status)
            if fault.in_body:
                region = f"<Region>{fault.region}</Region></Error>".encode()
                reply = replace(reply, body=reply.body.replace(b"</Error>", region))
            else:
                reply = replace(reply, headers={**reply.headers, "x-amz-bucket-region": fault.region})
        elif isinstance(fault, Page):
            reply = Reply(fault.status, b"<html>Sign in</html>", {"Content-Type": "text/html"})
        elif isinstance(fault, Says):
            reply = self._work(asked, request.body, heed_range=not fault.whole)
            reply = replace(reply, headers={**reply.headers, **fault.headers})
        elif fault is None or isinstance(fault, Cut | Stall | Whole):
            reply = self._work(asked, request.body, heed_range=not isinstance(fault, Whole))
        else:
            reply = Reply(200, b"", {})
        return await deliver(reply, fault, reader, writer)

    def _work(self, asked: ObjectRequest, body: bytes, *, heed_range: bool) -> Reply:
        if asked.method == "PUT":
            stored = Stored(body, content_type=asked.headers.get("content-type", ""))
            self.objects[asked.bucket, asked.key] = stored
            return Reply(200, b"", {"ETag": f'"{stored.etag}"'})
        found = self.objects.get((asked.bucket, asked.key))
        if found is None:
            return error_reply("NoSuchKey", 404)
        if asked.headers.get("if-match", f'"{found.etag}"') != f'"{found.etag}"':
            return error_reply("PreconditionFailed", 412)
        headers = {
            "ETag": f'"{found.etag}"',
            "Content-Type": found.content_type,
            **self.headers,
            "Last-Modified": datetime.fromtimestamp(found.modified, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
        }
        if "range" not in asked.headers or not heed_range:
            return Reply(200, found.body, headers)
        size = len(found.body)
        if asked.start >= size:
            return error_reply("InvalidRange", 416)
        headers["Content-Range"] = f"bytes {asked.start}-{size - 1}/{size}"
        return Reply(206, found.body[asked.start :], headers)


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


async def send(writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
    """Write in pieces, so that a large body is not held twice."""
    writer.write(head)
    for at in range(0, len(body), PIECE_BYTES):
        writer.write(body[at : at + PIECE_BYTES])
        await writer.drain()
