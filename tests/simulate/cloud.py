"""The services of one run: the models of `tests.fakeaws`, and the faults that befall calls to them."""

from __future__ import annotations

import asyncio
import base64
import random
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson

from engine.aws.session import Endpoint, SignedRequest
from engine.aws.sign import Credentials
from engine.aws.types import Request
from tests.fakeaws.backend import Backend
from tests.fakeaws.capacity import TokenBucket
from tests.fakeaws.dynamodb import DynamoDB, Table, Write
from tests.fakeaws.errors import Refusal
from tests.fakeaws.protocol import JsonReply, error_reply, json_reply
from tests.fakeaws.queues import Message, Queue
from tests.fakeaws.s3 import S3, S3Reply
from tests.fakeaws.s3 import error_reply as s3_error
from tests.fakeaws.sqs import Sqs
from tests.simulate.files import COLLECTION, KEYS, REFUSED
from tests.simulate.network import Connection, Received
from tests.simulate.plan import Plan

Json = dict[str, Any]

URL = "http://aws.test"
QUEUES = "https://sqs.us-east-1.amazonaws.com/123456789012/"
BUCKET = "b"
LEDGER = "the-ledger"
POISON = ("not JSON", '{"v":99,"rows":[]}', '{"v":1,"rows":"none"}')
"""Bodies that no worker can read."""

KEY_SECONDS = 30.0
"""For which credentials are valid in runs in which they expire."""


class Session:
    """Stands for the engine's session, which is botocore's: endpoints, credentials, requests to S3."""

    def __init__(self) -> None:
        self._credentials = self._fresh()

    @staticmethod
    def _fresh() -> Credentials:
        return Credentials(f"key-{asyncio.get_running_loop().time():.3f}", "secret")

    def endpoint(self, service: str) -> Endpoint:
        """Return the endpoint of a service."""
        return Endpoint(URL, "us-east-1")

    def tls(self) -> None:
        """Return nothing: there is no TLS."""

    async def credentials(self, renew: bool = False) -> Credentials:
        """Return the credentials."""
        if renew:
            self._credentials = self._fresh()
        return self._credentials

    async def s3_request(
        self, operation: str, arguments: Mapping[str, Any], region: str | None = None
    ) -> SignedRequest:
        """Return a request to S3."""
        body = arguments.get("Body", b"")
        headers = {
            "authorization": f"Credential={self._credentials.access_key}/",
            "if-match": arguments.get("IfMatch"),
            "range": arguments.get("Range"),
            "content-length": str(len(body)) if body else None,
            "content-type": arguments.get("ContentType"),
            "x-amz-checksum-crc32": arguments.get("ChecksumCRC32"),
        }
        version = f"?versionId={arguments['VersionId']}" if "VersionId" in arguments else ""
        url = f"{URL}/{arguments['Bucket']}/{quote(arguments['Key'])}{version}"
        method = "PUT" if operation == "PutObject" else "GET"
        return SignedRequest(
            Request(method, url, {name: value for name, value in headers.items() if value is not None}, body),
            "us-east-1",
        )


class WatchedTable(Table):
    """A table that remembers which versions were ever put, by the digits of their ingestion."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.put: dict[str, set[str]] = {}

    def apply(self, write: Write) -> None:
        """Put the item."""
        super().apply(write)
        if write.item is not None and "v" in write.item:
            version = write.item["v"]["N"]
            self.put.setdefault(version[-10:], set()).add(version)


class Database(DynamoDB):
    """DynamoDB that refuses some items, and tells of each write to the ledger."""

    written: Callable[[str], None] = staticmethod(lambda ingestion: None)

    def call(self, operation: str, body: bytes, now: float) -> Json:
        """Answer a call."""
        if REFUSED.encode() in body and operation in ("BatchWriteItem", "PutItem"):
            raise Refusal("ValidationException", "Item size has exceeded the maximum allowed size")
        answer = super().call(operation, body, now)
        if operation == "UpdateItem" and (found := answer.get("Attributes")):
            self.written(found["ingestion"]["S"])
        return answer


class DisorderlyQueue(Queue):
    """A queue that delivers in any order, and some messages twice."""

    draw: random.Random
    unordered = False
    duplicated = 0.0

    def receive(self, most: int, now: float, visibility: float | None = None) -> list[Message]:
        """Receive messages."""
        if self.unordered:
            visible = [
                message
                for at, turn, message in self._due
                if at <= now and message.turn == turn and self.held.get(message.handle) is message
            ]
            self.draw.shuffle(visible)
            for message in visible:
                self._hide(message, now)
        received = super().receive(most, now, visibility)
        for message in received:
            if message.receive_count < 3 and self.draw.random() < self.duplicated:
                self._hide(message, now)
        return received


class Cloud:
    """The services and their faults; see `tests.simulate.network.Services`."""

    def __init__(self, plan: Plan, start: float) -> None:
        settings = plan.settings
        self.plan, self._draw, self._rates = plan, plan.stream("calls"), plan.faults
        self.s3 = S3(versioned=[BUCKET] if settings.versioned else [])
        self.dead, self.dead_spans = Queue(), Queue()
        visible = 0.5 if "visibility" in plan.faults else 6.0
        self.records = self._queue(max(1.0, settings.worker_seconds * visible), self.dead)
        self.spans = self._queue(max(1.0, settings.producer_seconds * visible), self.dead_spans)
        rate = plan.faults.get("slow table")
        self.table = WatchedTable(
            KEYS[plan.schema], TokenBucket(rate, tokens=0, burst_seconds=5.0, start=start) if rate else None
        )
        self.table.whole_share, self.table.draw = self._draw.random(), self._draw
        self.ledger = Table({"ingestion": "S", "part": "S"}, indexes={"by-time": {"month": "S", "listed": "S"}})
        self.database = Database({COLLECTION: self.table, LEDGER: self.ledger})
        self.backend = Backend(self.database, Sqs({"records": self.records, "spans": self.spans}))
        self.counts: Counter[str] = Counter()
        self.idle_seconds = self._draw.choice([3.0, 10.0]) if "stale" in plan.faults else 1e9
        self._variables = copy_context()
        """Those of no environment: what a service does goes on when its caller is killed."""
        self.is_quiet = False
        self.tasks: set[asyncio.Task[None]] = set()
        self.broken: BaseException | None = None
        """What has broken a promise, if anything has."""
        self._outage: tuple[str, float, float] | None = None
        if seconds := plan.faults.get("outage"):
            draw = plan.stream("outage")
            begin = start + draw.choice([0.0, 0.1, 2.0, 20.0])
            self._outage = draw.choice(["table", "table", "ledger", "s3", "sqs"]), begin, begin + seconds

    def _queue(self, visibility: float, dead: Queue) -> DisorderlyQueue:
        queue = DisorderlyQueue(visibility_timeout=visibility, max_receive_count=5, dead_letters=dead)
        queue.draw = self._draw
        queue.unordered = "unordered" in self._rates
        queue.duplicated = self._rates.get("duplicated", 0.0)
        return queue

    @property
    def outage(self) -> tuple[str, float] | None:
        """The service that fails for long in this run, and until when; the others are not told of it."""
        return (self._outage[0], self._outage[2]) if self._outage else None

    def fail(self, error: BaseException) -> None:
        """End the run: a promise is broken."""
        self.broken = self.broken or error

    def receive(self, connection: Connection, request: Received) -> None:
        """Answer a request on its connection, sooner or later or not at all."""
        environment = connection.environment
        if environment and not environment.arrives():
            return
        self.counts["calls"] += 1
        loop = asyncio.get_running_loop()
        target = request.headers.get("x-amz-target", "")
        kind = _kind(target, request)
        is_safe = self.is_quiet or (environment is not None and environment.is_shielded)
        fault = "" if is_safe else self._fault(kind)
        if not self.is_quiet and self._fails_long(kind, loop.time()):
            fault = "outage"
        elif "expired" in self._rates and not self.is_quiet and self._is_expired(request, loop.time()):
            fault = "expired"
        if fault:
            self.counts[fault] += 1
        seconds = 0.004 + 0.03 * self._draw.random()
        if fault == "slow":
            seconds += self._draw.choice([1.0, 8.0, 15.0])
        if kind == "s3":
            work = self._serve_object(connection, request, seconds, fault)
            self.tasks.add(task := loop.create_task(work, context=self._variables))
            task.add_done_callback(self.tasks.discard)
        else:
            serve = partial(self._serve, connection, request, target, kind, fault)
            loop.call_later(seconds, serve, context=self._variables)

    def _is_expired(self, request: Received, now: float) -> bool:
        made = request.headers["authorization"].partition("Credential=key-")[2].partition("/")[0]
        return bool(made) and now - float(made) > KEY_SECONDS

    def _fails_long(self, kind: str, now: float) -> bool:
        service = {"put": "table", "read": "table"}.get(kind, kind)
        return self._outage is not None and self._outage[0] == service and self._outage[1] <= now < self._outage[2]

    def _fault(self, kind: str) -> str:
        """Draw what befalls a call."""
        draw = self._draw
        for fault in _FAULTS[kind]:
            rate = self._rates.get(fault)
            if rate and draw.random() < rate:
                return fault
        return ""

    def _serve(self, connection: Connection, request: Received, target: str, kind: str, fault: str) -> None:
        """Do the work of a call, and reply, unless a fault keeps it from that."""
        draw, now = self._draw, asyncio.get_running_loop().time()
        is_done = fault in ("", "lost reply", "slow") or (
            fault in ("error", "garbage", "silent", "ledger", "events fail") and draw.random() < 0.5
        )
        body = request.body
        left: Json | None = None
        if fault in ("unprocessed", "failed entries", "unmentioned"):
            body, left = self._part_of(body, fault)
            is_done = True
        nothing: Json = {"UnprocessedItems": {}} if kind == "table" else {}
        reply = self.backend.answer(target, body, now) if is_done and body else json_reply(target, 200, nothing)
        self._check_refusal(reply, body)
        if left and reply.status == 200:
            reply = _with_left(target, reply, fault, left)
        elif error := self._error(target, kind, fault):
            reply = error
        if fault in ("reset", "lost reply"):
            connection.break_off(ConnectionResetError())
        elif fault != "silent":
            connection.reply(self._bytes_of(reply, is_garbage=fault == "garbage"))

    def _error(self, target: str, kind: str, fault: str) -> JsonReply | None:
        """Return the error that a fault makes of a reply, if it does."""
        draw = self._draw
        match fault:
            case "error" | "outage" | "ledger":
                code = draw.choice(["InternalServerError", "ServiceUnavailable"])
                return error_reply(target, Refusal(code, "made to fail", 500))
            case "events fail":
                return self._events_fail(target)
            case "throttled":
                codes = ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"]
                code = "RequestThrottled" if kind == "sqs" else draw.choice(codes)
                return error_reply(target, Refusal(code, "made to be throttled"))
            case "expired":
                return error_reply(target, Refusal("ExpiredTokenException", "expired"))
        return None

    def _check_refusal(self, reply: JsonReply, body: bytes) -> None:
        """Check that no call was refused for what it asks: of the engine's own requests each one is in order."""
        if reply.status == 400 and REFUSED.encode() not in body:
            code = orjson.loads(reply.body)["__type"].partition("#")[2]
            if code not in _USUAL:
                self.fail(AssertionError(f"a call was refused: {orjson.loads(reply.body)}"))

    def _events_fail(self, target: str) -> JsonReply:
        if self._draw.random() < 0.5:
            return error_reply(target, Refusal("InternalException", "made to fail", 500))
        entry = {
            "ErrorCode": self._draw.choice(["InternalFailure", "ThrottlingException"]),
            "ErrorMessage": "made to fail",
        }
        return json_reply(target, 200, {"FailedEntryCount": 1, "Entries": [entry]})

    def _part_of(self, body: bytes, fault: str) -> tuple[bytes, Json | None]:
        """Return the part of a batch that is done, and what the reply is to say of the rest."""
        draw, document = self._draw, orjson.loads(body)
        if fault == "unprocessed":
            left: Json = {}
            for name, requests in document["RequestItems"].items():
                left[name] = [each for each in requests if draw.random() < 0.5]
                document["RequestItems"][name] = [each for each in requests if each not in left[name]]
            if not any(document["RequestItems"].values()):
                return b"", left
            return orjson.dumps(document), left
        chosen = [entry["Id"] for entry in document["Entries"] if draw.random() < 0.5]
        if fault == "unmentioned" and draw.random() < 0.5:
            return body, {"ids": chosen}  # accepted all the same
        failed = [
            {"Id": each, "Code": draw.choice(["InternalError", "RequestThrottled"]), "SenderFault": False}
            for each in chosen
        ]
        document["Entries"] = [entry for entry in document["Entries"] if entry["Id"] not in chosen]
        rest = orjson.dumps(document) if document["Entries"] else b""
        return rest, {"ids": chosen, "Failed": failed if fault == "failed entries" else []}

    def _bytes_of(self, reply: JsonReply, *, is_garbage: bool) -> bytes:
        status, headers, body = reply.status, dict(reply.headers), reply.body
        if is_garbage:
            match self._draw.randrange(5):
                case 3:
                    status, headers, body = 200, {"Content-Type": "text/html"}, b"<html>sign in</html>"
                case 4:
                    status, headers, body = 200, {}, b""
                case 0:
                    status, headers, body = 503, {"Content-Type": "text/html"}, b"<html>no</html>"
                case 1:
                    headers, body = {"Content-Type": headers["Content-Type"]}, body[: len(body) // 2]
                case _:  # what is left of it looks like success
                    headers["x-amz-crc32"] = "1"
        lines = [f"HTTP/1.1 {status} said", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

    async def _serve_object(self, connection: Connection, request: Received, seconds: float, fault: str) -> None:
        draw, loop = self._draw, asyncio.get_running_loop()
        await asyncio.sleep(seconds)
        if fault == "reset":
            connection.break_off(ConnectionResetError())
            return
        is_done = fault not in ("error", "throttled", "expired", "outage", "garbage")
        is_done = is_done or (fault in ("error", "garbage") and draw.random() < 0.5)
        reply = S3Reply(200, {})
        if is_done:
            reply = self.s3.answer(request.method, request.target, request.headers, request.body, loop.time())
        if fault in ("error", "outage"):
            reply = s3_error(Refusal("InternalError", "made to fail", 500))
        elif fault == "throttled":
            reply = s3_error(Refusal("SlowDown", "made to fail", 503))
        elif fault == "expired":
            reply = s3_error(Refusal("ExpiredToken", "expired", 400))
        elif fault == "garbage":
            reply = S3Reply(200, {"Content-Type": "text/html"}, text=b"<html>sign in</html>")
        if fault == "silent":
            return
        if fault == "lost reply":
            connection.break_off(ConnectionResetError())
            return
        body = reply.body()
        headers = dict(reply.headers)
        if request.method == "GET" and reply.status == 200 and reply.content is not None:
            headers["x-amz-checksum-crc32"] = base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()
        lines = [f"HTTP/1.1 {reply.status} said", *(f"{name}: {value}" for name, value in headers.items())]
        connection.reply("\r\n".join([*lines, f"Content-Length: {reply.length}", "", ""]).encode())
        await self._send_body(connection, body, fault, is_object=reply.content is not None)

    async def _send_body(self, connection: Connection, body: bytes, fault: str, *, is_object: bool) -> None:
        settings, draw = self.plan.settings, self._draw
        end = len(body)
        if fault == "broken body" and is_object and body:
            end = draw.randrange(len(body))
        piece = settings.chunk_bytes if is_object else max(1, end)
        for start in range(0, end, piece):
            await connection.readable()
            if connection.is_gone:
                return
            connection.reply(body[start : min(end, start + piece)])
            await asyncio.sleep(settings.piece_seconds)
        if end < len(body):
            connection.break_off(draw.choice([None, ConnectionResetError()]))


def _with_left(target: str, reply: JsonReply, fault: str, left: Json) -> JsonReply:
    """Return a reply that says what was left of a batch, or says nothing of it."""
    document = orjson.loads(reply.body)
    match fault:
        case "unprocessed":
            for name, requests in left.items():
                document["UnprocessedItems"].setdefault(name, []).extend(requests)
        case "failed entries":
            document.setdefault("Failed", []).extend(left["Failed"])
        case _:
            document["Successful"] = [each for each in document.get("Successful", ()) if each["Id"] not in left["ids"]]
    return json_reply(target, 200, document)


_USUAL = ("ConditionalCheckFailedException", "ProvisionedThroughputExceededException")
"""Refusals that say nothing against a request."""

_GENERAL = ("reset", "lost reply", "error", "throttled", "slow", "silent")
_FAULTS: Mapping[str, tuple[str, ...]] = {
    "table": (*_GENERAL, "unprocessed", "garbage"),
    "put": (*_GENERAL, "garbage"),
    "sqs": (*_GENERAL, "failed entries", "unmentioned", "garbage"),
    "ledger": (*_GENERAL, "ledger", "garbage"),
    "read": (*_GENERAL, "garbage"),
    "events": (*_GENERAL, "events fail", "garbage"),
    "s3": (*_GENERAL, "broken body", "garbage"),
}


def _kind(target: str, request: Received) -> str:
    """Return what kind of call it is, which says what can befall it."""
    if not target:
        return "s3"
    operation = target.partition(".")[2]
    match operation:
        case "BatchWriteItem":
            return "table"
        case "SendMessageBatch":
            return "sqs"
        case "PutEvents":
            return "events"
        case "PutItem":
            return "put"
    return "ledger" if LEDGER.encode() in request.body else "read"
