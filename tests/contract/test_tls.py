"""Hot calls and downloads over TLS: both transports check the certificate, as in production; nothing turns that off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import pytest

from engine.aws.session import Session
from engine.aws.transports import open_fetch, open_transport
from engine.aws.types import Request
from engine.config import TRANSPORTS
from tests.fakeaws.tls import make

REPLY = b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"UnprocessedItems":{}}'


@asynccontextmanager
async def server(folder: Path, host: str = "127.0.0.1") -> AsyncIterator[tuple[str, Path]]:
    """A TLS server with one answer, at a URL; and the certificate of the authority behind it."""
    context, authority = make(folder)
    opened: list[asyncio.WriteTransport] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer.transport)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(b"body") if head.startswith(b"POST") else 0)
                writer.write(REPLY)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listening = await asyncio.start_server(answer, host, 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"https://{host}:{port}/", authority
    finally:
        listening.close()
        for transport in opened:
            transport.abort()
        await asyncio.sleep(0)


Call = Callable[[str], Awaitable[tuple[int, bytes]]]


@asynccontextmanager
async def posting(kind: str) -> AsyncIterator[Call]:
    async with open_transport(kind, Session()) as send:

        async def call(url: str) -> tuple[int, bytes]:
            reply = await send(url, {"X-Test": "1"}, b"body", 5)
            return reply.status, reply.body

        yield call


@asynccontextmanager
async def downloading(kind: str) -> AsyncIterator[Call]:
    async with open_fetch(kind, Session()) as fetch:

        async def call(url: str) -> tuple[int, bytes]:
            with closing(await fetch(Request("GET", url, {"X-Test": "1"}), 5)) as reply:
                return reply.status, await reply.read(1_000)

        yield call


each = pytest.mark.parametrize("kind", TRANSPORTS)
both = pytest.mark.parametrize("way", [posting, downloading], ids=["post", "download"])
Way = Callable[[str], AbstractAsyncContextManager[Call]]


@each
@both
async def test_trusted_certificate_is_accepted_repeatedly(
    way: Way, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server(tmp_path) as (url, authority):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
        async with way(kind) as call:
            for _ in range(3):
                assert await call(url) == (200, b'{"UnprocessedItems":{}}')


@each
@both
async def test_unknown_authority_is_refused(
    way: Way, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    async with server(tmp_path) as (url, _), way(kind) as call:
        with pytest.raises(ConnectionError, match=r"not trusted|Certificate"):
            await call(url)


@each
@both
async def test_certificate_of_another_host_is_refused(
    way: Way, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server(tmp_path, host="127.0.0.2") as (url, authority):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
        async with way(kind) as call:
            with pytest.raises(ConnectionError, match=r"not trusted|Certificate"):
                await call(url)
