"""A transport between the engine and the models of AWS: fuzzed faults, and replies of any content."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import orjson

from engine.aws.types import Reply, Transport
from tests.fakeaws.backend import Backend
from tests.fakeaws.in_memory import InMemory, Server
from tests.fuzz.source import Source

Change = Callable[[Reply], Reply]

MOST_FAULTS = 40
"""Calls that may go wrong; after them all goes well."""

ERRORS = (
    ("ProvisionedThroughputExceededException", 400),
    ("InternalServerError", 500),
    ("ValidationException", 400),
    ("ExpiredTokenException", 400),
    ("AccessDeniedException", 400),
    ("TransactionConflictException", 400),
    ("ServiceUnavailable", 503),
)


def error(code: str, status: int, message: str = "made to fail") -> Change:
    """Return the change to an error of that code."""
    body = orjson.dumps({"__type": f"com.amazonaws#{code}", "message": message})
    return lambda _: Reply(status, {}, body)


def _cut(reply: Reply) -> Reply:
    return Reply(reply.status, {}, reply.body[: len(reply.body) // 2])


def _instead(body: bytes, status: int = 200) -> Change:
    return lambda _: Reply(status, {}, body)


CHANGES: tuple[Change | type[Exception], ...] = (
    *(error(*each) for each in ERRORS),
    *map(_instead, (b"", b"[]", b"null", b'"x"', b"1", b"<html>Sign in</html>", b'{"redirect":"/"}')),
    _instead(b"", 500),
    ConnectionError,
    TimeoutError,
)
AFTERWARDS: tuple[Change | type[Exception], ...] = (*CHANGES, _cut, _instead(b"{}"))
"""What may become of the reply to a call that was done; of another one these would be lies."""


class Faulty:
    """A `Transport`: one call in three or so goes wrong as the source says, before or after it was done."""

    def __init__(self, backend: Backend, source: Source) -> None:
        self._transport: Transport = InMemory(backend, Server(seconds=0.01))
        self._source = source
        self.calls = 0

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Reply:  # noqa: ASYNC109
        """Send a request; see `Transport`."""
        self.calls += 1
        if self.calls > MOST_FAULTS or self._source.below(3) != 1:
            return await self._transport(url, headers, body, timeout)
        match self._source.below(3):
            case 0:
                change = self._source.pick(CHANGES)
                await asyncio.sleep(0.01)
                reply = Reply(200, {}, b"")
            case 1:
                change = self._source.pick(AFTERWARDS)
                reply = await self._transport(url, headers, body, timeout)
            case _:
                return await self._partly(url, headers, body, timeout)
        if isinstance(change, type):
            raise change("made to fail")
        return change(reply)

    async def _partly(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Reply:  # noqa: ASYNC109
        """Do a part of a batch, and say so; what is no batch is done."""
        request = orjson.loads(body)
        if "RequestItems" in request:
            ((table, puts),) = request["RequestItems"].items()
            done = self._source.below(len(puts))
            left = {"UnprocessedItems": {table: puts[done:]}}
            if not done:
                return Reply(200, {}, orjson.dumps(left))
            part = {**request, "RequestItems": {table: puts[:done]}}
            reply = await self._transport(url, headers, orjson.dumps(part), timeout)
            return Reply(200, {}, orjson.dumps(left)) if reply.status == 200 else reply
        if "Entries" in request and "QueueUrl" in request:
            done = self._source.below(len(request["Entries"]))
            if not done:
                return Reply(200, {}, b"{}")
            part = {**request, "Entries": request["Entries"][:done]}
            return await self._transport(url, headers, orjson.dumps(part), timeout)
        return await self._transport(url, headers, body, timeout)
