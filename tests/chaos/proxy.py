"""A proxy in front of AWS that spoils some calls: refused, lost after they were done, cut, slow, or an error."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

KINDS = ("refused", "lost", "cut", "slow", "error", "throttled")
"""What happens to a spoiled call. `refused`: the connection ends before the call is sent on; `lost`: after it was done;
`cut`: within the answer."""

SERVICES = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "AWSEvents": "events"}

_JSON = "application/x-amz-json-1.0"
_ANSWERS = {
    ("dynamodb", "error"): (500, _JSON, b'{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}'),
    ("dynamodb", "throttled"): (
        400, _JSON, b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}',
    ),
    ("sqs", "throttled"): (403, _JSON, b'{"__type":"com.amazonaws.sqs#RequestThrottled"}'),
    ("s3", "throttled"): (503, "application/xml", b"<Error><Code>SlowDown</Code></Error>"),
}  # fmt: skip
_ANY_ERROR = (500, "text/plain", b"")


@dataclass(slots=True)
class Weather:
    """What the proxy does: the share of spoiled calls, of which kinds, and until when a service does not answer."""

    share: float = 0.0
    kinds: tuple[str, ...] = KINDS
    slow_seconds: float = 1.0
    outages: dict[str, float] = field(default_factory=dict)
    """Service -> the time (`time.monotonic`) until which no connection to it succeeds."""

    def clear(self) -> None:
        """Spoil nothing from now on."""
        self.share = 0.0
        self.outages.clear()


class FaultProxy:
    """Passes HTTP/1.1 calls on to `port` of this machine, as the weather allows. Use as ``async with``."""

    def __init__(self, port: int, draw: random.Random) -> None:
        self._port, self._draw = port, draw
        self.weather = Weather()
        self.spoiled: Counter[tuple[str, str]] = Counter()
        """Calls by service and kind."""
        self.passed: Counter[str] = Counter()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where clients call it."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> FaultProxy:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):  # the last when the loop ends
            while await self._call(reader, writer):
                pass
        writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one call; return whether the connection stays open."""
        head = await reader.readuntil(b"\r\n\r\n")
        fields = _fields(head)
        if "expect" in fields:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        service = SERVICES.get(fields.get("x-amz-target", "").partition(".")[0], "s3")
        kind = self._kind(service)
        if kind:
            self.spoiled[service, kind] += 1
        else:
            self.passed[service] += 1
        if kind == "refused":
            return False
        if kind in ("error", "throttled"):
            status, content, text = _ANSWERS.get((service, kind), _ANY_ERROR)
            writer.write(
                f"HTTP/1.1 {status} Spoiled\r\nContent-Type: {content}\r\nContent-Length: {len(text)}\r\n\r\n".encode()
            )
            writer.write(text)
            await writer.drain()
            return True
        if kind == "slow":
            await asyncio.sleep(self._draw.uniform(0, self.weather.slow_seconds))
        answer = await self._pass_on(head, body)
        if kind == "lost":
            return False
        if kind == "cut":
            writer.write(answer[: self._draw.randrange(len(answer))])
            await writer.drain()
            return False
        writer.write(answer)
        await writer.drain()
        return True

    def _kind(self, service: str) -> str:
        if time.monotonic() < self.weather.outages.get(service, 0.0):
            return "refused"
        return self._draw.choice(self.weather.kinds) if self._draw.random() < self.weather.share else ""

    async def _pass_on(self, head: bytes, body: bytes) -> bytes:
        """Return the whole answer to a call, sent on a connection of its own."""
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"expect:"))]
        lines.insert(1, b"Connection: close")
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"\r\n".join(lines) + body)
            await writer.drain()
            answer = await reader.read()
        finally:
            writer.close()
        top, _, rest = answer.partition(b"\r\n\r\n")
        kept = [line for line in top.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        return b"\r\n".join(kept) + b"\r\n\r\n" + rest


def _fields(head: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
