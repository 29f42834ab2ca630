"""Headers of objects: invalid lengths, ranges and dates make a reply unreadable."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.aws.objects import Objects
from engine.aws.s3 import S3
from engine.aws.session import Session
from engine.aws.types import Exchange, Request
from engine.errors import ObjectSuperseded, ServiceError, Verdict
from engine.flow.backoff import Backoff
from engine.identity import ObjectRef, ObjectVersion
from tests.builders.choices import choices

REF = ObjectRef("bucket", "k.csv")
VERSION = ObjectVersion("bucket", "k.csv", None, "e", 1_775_260_800)
WHOLE = {"etag": '"e"', "last-modified": "Sat, 04 Apr 2026 00:00:00 GMT", "content-length": "3"}
REST = {"etag": '"e"', "content-length": "2", "content-range": "bytes 1-2/3"}
SESSION = Session()  # shared, since making its client is slow
MANY = "9" * 5_000  # Python refuses to convert so many digits


class Answer:
    """A reply with these headers."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Have that body."""
        self.status, self.headers = status, headers
        self._body = body
        self.closed = False

    async def read(self, most: int) -> bytes:
        """Return what is left of the body."""
        body, self._body = self._body[:most], self._body[most:]
        return body

    def close(self) -> None:
        """Record the call."""
        self.closed = True


def objects_that_get(answer: Answer) -> Objects:
    async def fetch(request: Request, seconds: float) -> Exchange:
        return answer

    return Objects(S3(SESSION, fetch, backoff=Backoff(base=0)))


def opening(headers: Mapping[str, str]) -> tuple[ObjectVersion, int]:
    async def run() -> tuple[ObjectVersion, int]:
        opened = await objects_that_get(Answer(200, headers)).open(REF)
        return opened.version, opened.size

    return asyncio.run(run())


def test_version_and_size_come_from_the_headers() -> None:
    assert opening(WHOLE) == (VERSION, 3)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": MANY},
        {"content-length": "-1"},
        {"content-length": "+3"},
        {"content-length": "1_0"},
        {"content-length": " 3 "},
        {"content-length": "\u0663"},
        {"content-length": ""},
        {"content-length": "9" * 20},
        {"last-modified": f"Sat, 04 Apr {MANY} 00:00:00 GMT"},
        {"last-modified": f"Sat, {MANY} Apr 2026 00:00:00 GMT"},
        {"last-modified": f"Sat, 04 Apr 2026 {MANY}:00:00 GMT"},
        {"last-modified": f"Sat, 04 Apr 2026 00:00:00 +{MANY}"},
        {"last-modified": "Sat, 04 Apr 1969 00:00:00 GMT"},
    ],
    ids=lambda headers: str(headers)[:50],
)
def test_invalid_length_or_date_is_unreadable(headers: dict[str, str]) -> None:
    with pytest.raises(ServiceError, match="UnreadableReply") as caught:
        opening({**WHOLE, **headers})
    assert caught.value.verdict is Verdict.RETRY


DATE_PIECES = ["Sat", ", ", " ", "04", "99999", "Apr", "2026", "00:00:01", ":", "-", "+0100", "GMT", "x"]


@settings(max_examples=60)
@given(st.text(max_size=60) | choices(DATE_PIECES, max_size=12).map("".join))
def test_any_date_is_valid_or_unreadable(text: str) -> None:
    try:
        outcome: object = opening({**WHOLE, "last-modified": text})[0].modified >= 0
    except ServiceError as error:
        outcome = error.code
    assert outcome in (True, "UnreadableReply")


@pytest.mark.parametrize(
    "said",
    [
        f"bytes {MANY}-2/3",
        f"bytes 1-{MANY}/3",
        f"bytes 1-2/{MANY}",
        "bytes 1-2/*",
        "bytes 2-2/3",
        "bytes 1-2/4",
        "bytes \u0661-\u0662/\u0663",
        "bytes */3",
        "",
    ],
    ids=lambda said: said[:20],
)
def test_wrong_range_is_unreadable(said: str) -> None:
    answer = Answer(206, {**REST, "content-range": said}, b"bc")
    with pytest.raises(ServiceError, match="UnreadableReply") as caught:
        asyncio.run(objects_that_get(answer).resume(VERSION, 3, 1))
    assert caught.value.verdict is Verdict.RETRY
    assert answer.closed


def test_right_range_is_accepted() -> None:
    async def run() -> bytes:
        return await (await objects_that_get(Answer(206, REST, b"bc")).resume(VERSION, 3, 1)).read(10)

    assert asyncio.run(run()) == b"bc"


def test_another_etag_is_superseded() -> None:
    answer = Answer(206, {**REST, "etag": '"f"'}, b"bc")
    with pytest.raises(ObjectSuperseded):
        asyncio.run(objects_that_get(answer).resume(VERSION, 3, 1))
    assert answer.closed


@pytest.mark.parametrize("etag", ["€", "größe", "a\r\nX-Evil: 1", "a\0"])
def test_invalid_etag_is_a_one_line_error(etag: str) -> None:
    # The ETag comes from the event, which may hold anything.
    sent: list[Request] = []

    async def fetch(request: Request, seconds: float) -> Exchange:
        sent.append(request)
        "".join(request.headers.values()).encode("latin-1")
        return Answer(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")

    with pytest.raises((ServiceError, ObjectSuperseded)) as caught:
        asyncio.run(Objects(S3(SESSION, fetch)).open(ObjectRef("bucket", "k.csv", etag=etag)))
    assert "\n" not in str(caught.value)
    assert all("Evil" not in str(request.headers) for request in sent)
