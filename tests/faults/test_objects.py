"""Reading from an S3 that breaks off, stalls, slows down and changes underneath: every byte once, or a clear end."""

import base64
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing

import pytest

from engine.aws.aiohttp_transport import MAX_CONNECTIONS
from engine.aws.objects import Objects, OpenObject
from engine.aws.s3 import MAX_FAILURES, S3
from engine.aws.session import Session
from engine.aws.transports import open_fetch
from engine.config import TRANSPORTS
from engine.errors import DeadlineExceeded, ObjectGone, ObjectSuperseded, ServiceError, Verdict
from engine.flow.attempts import MAX_EXPIRIES, now
from engine.flow.backoff import NEVER, Backoff, Deadline
from engine.identity import ObjectRef
from tests.fakeaws.fault_objects import (
    S3_DENIED,
    S3_ERROR,
    S3_EXPIRED,
    SLOW_DOWN,
    Cut,
    Elsewhere,
    InPieces,
    ObjectFault,
    ObjectRequest,
    ObjectServer,
    Page,
    Says,
    Stall,
    Whole,
)
from tests.fakeaws.plans import Refuse, Reset, Silent, Slow
from tests.fakeaws.s3 import MODIFIED
from tests.faults.lanes import QUICK

BODY = bytes(range(256)) * 8_192 + b"the end"  # 2 MiB and a little
REF = ObjectRef("bucket", "uploads/users.csv")


@pytest.fixture(params=TRANSPORTS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each of the transports."""
    name: str = request.param
    return name


@asynccontextmanager
async def objects_in(
    server: ObjectServer, kind: str = "lean", *, backoff: Backoff = QUICK, patience: float = 10
) -> AsyncIterator[Objects]:
    """With little patience a silent server costs a test no more time than it must."""
    with pytest.MonkeyPatch.context() as env:
        env.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        session = Session()
        async with open_fetch(kind, session) as fetch:
            yield Objects(S3(session, fetch, backoff=backoff, patience=patience))


@pytest.fixture
def stored(object_server: ObjectServer) -> ObjectServer:
    """The server with one object."""
    object_server.put(REF.bucket, REF.key, BODY)
    return object_server


async def content(opened: OpenObject, deadline: Deadline = NEVER) -> bytes:
    with closing(opened):
        return b"".join([chunk async for chunk in opened.chunks(deadline)])


async def test_objects_are_read_whole(stored: ObjectServer, kind: str) -> None:
    async with objects_in(stored, kind) as objects:
        for _ in range(3):
            opened = await objects.open(REF)
            assert await content(opened) == BODY
    assert opened.version.modified == MODIFIED
    assert len(stored.requests) == 3


FAULTS: list[ObjectFault] = [
    Cut(0),
    Cut(1),
    Cut(300_000),
    Cut(300_000, by_reset=False),
    Cut(len(BODY) - 1, by_reset=False),
    Stall(300_000),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_broken_read_resumes_at_the_byte_reached(stored: ObjectServer, kind: str, fault: ObjectFault) -> None:
    stored.plan = [fault, fault, Reset(), Slow(0.05), fault]
    async with objects_in(stored, kind, patience=0.5 if isinstance(fault, Stall) else 10) as objects:
        opened = await objects.open(REF)
        assert await content(opened) == BODY
    first, *others = stored.requests
    assert "if-match" not in first.headers
    for request in others:
        # From the byte reached on, and of the version begun with or not at all.
        assert request.headers["if-match"] == f'"{opened.version.etag}"'
    assert [request.start for request in stored.requests] == sorted(request.start for request in stored.requests)


async def test_read_may_break_any_number_of_times_while_it_progresses(stored: ObjectServer) -> None:
    stored.plan = lambda request: Cut(100_000, by_reset=request.number % 2 == 0)
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        assert await content(opened) == BODY
    assert len(stored.requests) > MAX_FAILURES


@pytest.mark.parametrize("fault", [Cut(0), Reset(), SLOW_DOWN, S3_ERROR, Refuse("Unheard", 500)], ids=repr)
async def test_read_without_progress_is_given_up(stored: ObjectServer, kind: str, fault: ObjectFault) -> None:
    stored.plan = lambda request: Cut(100_000) if request.number == 1 else fault
    async with objects_in(stored, kind) as objects:
        opened = await objects.open(REF)
        with pytest.raises(ServiceError, match="GetObject failed") as caught:
            await content(opened)
    assert caught.value.verdict in (Verdict.RETRY, Verdict.THROTTLE)
    # The break of the first read counts, and so does each attempt at going on.
    # aiohttp itself tries a GET once more when a kept-alive connection turns out to be closed.
    assert MAX_FAILURES <= len(stored.requests) <= MAX_FAILURES * (1 if kind == "lean" else 2)


@pytest.mark.parametrize("fault", [SLOW_DOWN, S3_ERROR, Reset()], ids=repr)
async def test_throttling_in_the_middle_only_delays(stored: ObjectServer, fault: ObjectFault) -> None:
    stored.plan = [Cut(100_000), fault, fault, Cut(100_000), fault]
    async with objects_in(stored) as objects:
        assert await content(await objects.open(REF)) == BODY


@pytest.mark.parametrize("fault", [SLOW_DOWN, S3_ERROR, Reset(), Silent(), Refuse("", 503)], ids=repr)
async def test_throttling_at_the_beginning_only_delays(stored: ObjectServer, kind: str, fault: ObjectFault) -> None:
    stored.plan = [fault, fault]
    async with objects_in(stored, kind, patience=1 if fault == Silent() else 10) as objects:
        assert await content(await objects.open(REF)) == BODY
    assert len(stored.requests) >= 3


@pytest.mark.parametrize("fault", [SLOW_DOWN, S3_ERROR, Reset()], ids=repr)
async def test_opening_that_keeps_failing_is_given_up(stored: ObjectServer, fault: ObjectFault) -> None:
    stored.plan = lambda request: fault
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match="GetObject failed"):
            await objects.open(REF)
    assert len(stored.requests) == MAX_FAILURES


async def test_ignored_range_repeats_no_bytes(stored: ObjectServer) -> None:
    stored.plan = [Cut(300_000), Whole(), Cut(1_000_000), Whole(cut=5), Whole(cut=1_200_000), Whole()]
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        assert await content(opened) == BODY
    assert all(0 < request.start <= 1_300_000 for request in stored.requests[1:])


def change(server: ObjectServer, *, delete: bool = False) -> ObjectFault | None:
    if delete:
        del server.objects[REF.bucket, REF.key]
    else:
        server.put(REF.bucket, REF.key, BODY[::-1])
    return None


async def test_object_replaced_while_being_read_is_superseded(stored: ObjectServer) -> None:
    def plan(request: ObjectRequest) -> ObjectFault | None:
        return Cut(300_000) if request.number == 1 else change(stored)

    stored.plan = plan
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        with pytest.raises(ObjectSuperseded):
            await content(opened)
    assert len(stored.requests) == 2


async def test_object_deleted_while_being_read_is_gone(stored: ObjectServer) -> None:
    def plan(request: ObjectRequest) -> ObjectFault | None:
        return Cut(300_000) if request.number == 1 else change(stored, delete=True)

    stored.plan = plan
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        with pytest.raises(ObjectGone):
            await content(opened)
    assert len(stored.requests) == 2


async def test_denied_access_fails_at_once(stored: ObjectServer) -> None:
    stored.plan = [S3_DENIED]
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match="AccessDenied") as caught:
            await objects.open(REF)
    assert caught.value.verdict is Verdict.FATAL
    assert len(stored.requests) == 1


async def test_invalid_bucket_name_fails_at_once(stored: ObjectServer) -> None:
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match=r"InvalidParameter.*no bucket") as caught:
            await objects.open(ObjectRef("no bucket", "k.csv"))
    assert caught.value.verdict is Verdict.FATAL
    assert not stored.requests


async def test_retries_end_at_deadline(stored: ObjectServer) -> None:
    stored.plan = lambda request: Cut(100_000) if request.number == 1 else SLOW_DOWN
    async with objects_in(stored, backoff=Backoff()) as objects:
        opened = await objects.open(REF)
        with pytest.raises(DeadlineExceeded, match="GetObject"):
            await content(opened, Deadline(now() + 0.2))


async def test_waiting_ends_at_deadline(stored: ObjectServer, kind: str) -> None:
    async with objects_in(stored, kind, patience=60) as objects:
        (await objects.open(REF)).close()  # loads S3's model, which takes its time
        stored.plan = [Silent(), Stall(300_000)]
        with pytest.raises(DeadlineExceeded, match="GetObject"):
            await objects.open(REF, Deadline(now() + 0.2))
        opened = await objects.open(REF)
        with pytest.raises(DeadlineExceeded, match="GetObject"):
            await content(opened, Deadline(now() + 0.2))


async def test_object_closed_early_frees_its_connection(stored: ObjectServer, kind: str) -> None:
    async with objects_in(stored, kind) as objects:
        for _ in range(MAX_CONNECTIONS + 10):
            opened = await objects.open(REF)
            async for _ in opened.chunks():
                break
            opened.close()
        assert await content(await objects.open(REF)) == BODY


async def test_html_page_of_proxy_is_not_an_object(stored: ObjectServer) -> None:
    stored.plan = lambda request: Page()
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match="UnreadableReply"):
            await objects.open(REF)


async def test_html_page_of_proxy_is_no_other_version_of_the_object(stored: ObjectServer) -> None:
    stored.plan = [Page(), Cut(300_000), Page(), Page()]
    async with objects_in(stored) as objects:
        assert await content(await objects.open(REF)) == BODY
    assert len(stored.requests) == 5


async def test_chunks_go_on_where_an_earlier_call_stopped(stored: ObjectServer) -> None:
    stored.headers = {"x-amz-checksum-crc32": checksum(BODY)}
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        async with aclosing(opened.chunks()) as chunks:
            first = await anext(chunks)
        assert first + await content(opened) == BODY
    assert len(stored.requests) == 1


async def test_chunks_end_before_a_stop(stored: ObjectServer) -> None:
    stored.headers = {"x-amz-checksum-crc32": checksum(BODY)}
    async with objects_in(stored) as objects:
        with closing(await objects.open(REF)) as opened:
            opened.end_before(700_001)
            assert await content(opened) == BODY[:700_001]
        with closing(await objects.open(REF)) as opened:
            opened.end_before(700_001)
            opened.seek(300_000)
            assert await content(opened) == BODY[300_000:700_001]


def checksum(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({"x-amz-checksum-crc32": checksum(BODY), "x-amz-checksum-type": "FULL_OBJECT"}, True),
        ({"x-amz-checksum-crc32": checksum(BODY)}, True),
        ({"x-amz-checksum-crc32": checksum(BODY[:-1])}, False),
        ({"x-amz-checksum-crc32": checksum(b"parts") + "-3"}, True),
        ({"x-amz-checksum-crc32": checksum(b"parts"), "x-amz-checksum-type": "COMPOSITE"}, True),
        ({"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}, True),
    ],
)
async def test_bytes_read_must_match_the_checksum(stored: ObjectServer, headers: dict[str, str], good: bool) -> None:
    stored.headers = headers
    stored.plan = [Cut(300_000)]  # in several reads, too
    async with objects_in(stored) as objects:
        opened = await objects.open(REF)
        if good:
            assert await content(opened) == BODY
        else:
            with pytest.raises(ServiceError, match="CRC32CheckFailed") as caught:
                await content(opened)
            assert caught.value.verdict is Verdict.RETRY
    assert all(request.headers["x-amz-checksum-mode"] == "ENABLED" for request in stored.requests)


def region_of(request: ObjectRequest) -> str:
    return request.headers["authorization"].split("/")[2]


@pytest.mark.parametrize("status", [301, 307, 400])
async def test_bucket_in_another_region_is_read_there(stored: ObjectServer, kind: str, status: int) -> None:
    def plan(request: ObjectRequest) -> ObjectFault | None:
        return None if region_of(request) == "eu-central-1" else Elsewhere("eu-central-1", status)

    stored.plan = plan
    async with objects_in(stored, kind) as objects:
        for _ in range(2):
            assert await content(await objects.open(REF)) == BODY
    # The second time it is known.
    assert [region_of(request) for request in stored.requests] == ["us-east-1", "eu-central-1", "eu-central-1"]


async def test_redirect_is_followed_once(stored: ObjectServer) -> None:
    stored.plan = lambda request: Elsewhere("eu-central-1")
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match="PermanentRedirect"):
            await objects.open(REF)
    assert len(stored.requests) == 2


async def test_credentials_that_expire_while_reading_are_renewed(
    stored: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(request: ObjectRequest) -> ObjectFault | None:
        if request.number == 1:
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NEW")
            return Cut(300_000)
        return S3_EXPIRED if "Credential=NEW/" not in request.headers["authorization"] else None

    stored.plan = plan
    async with objects_in(stored) as objects:
        assert await content(await objects.open(REF)) == BODY
    assert len(stored.requests) == 3


async def test_credentials_that_stay_expired_end_the_attempts(stored: ObjectServer) -> None:
    stored.plan = lambda request: S3_EXPIRED
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match="ExpiredToken"):
            await objects.open(REF)
    assert len(stored.requests) == MAX_EXPIRIES + 1


WRONG = {
    "other start": {"Content-Range": f"bytes 299000-{len(BODY) - 1}/{len(BODY)}"},
    "other size": {"Content-Range": f"bytes 300000-{len(BODY)}/{len(BODY) + 1}"},
    "no range": {"Content-Range": "none"},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG.keys())
async def test_wrong_range_is_refused(stored: ObjectServer, kind: str, headers: dict[str, str]) -> None:
    stored.plan = lambda request: Cut(300_000) if request.start == 0 else Says(headers)
    async with objects_in(stored, kind) as objects:
        with pytest.raises(ServiceError, match="UnreadableReply"):
            await content(await objects.open(REF))
    stored.plan = [Cut(300_000), Says(headers)]
    async with objects_in(stored, kind) as objects:
        assert await content(await objects.open(REF)) == BODY


@pytest.mark.parametrize("fault", [None, Whole()], ids=repr)
async def test_another_version_is_refused_even_if_sent(stored: ObjectServer, kind: str, fault: Whole | None) -> None:
    stored.plan = lambda request: (
        Cut(300_000) if request.number == 1 else Says({"ETag": '"another"'}, fault is not None)
    )
    async with objects_in(stored, kind) as objects:
        with pytest.raises(ObjectSuperseded):
            await content(await objects.open(REF))


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": ""},
        {"Last-Modified": "yesterday"},
        {"Last-Modified": "Sat, 04 Apr 2026 00:00:00 +9999999999999"},
        {"Last-Modified": ""},
    ],
    ids=repr,
)
async def test_reply_without_etag_or_date_is_unreadable(stored: ObjectServer, headers: dict[str, str]) -> None:
    stored.plan = lambda request: Says(headers)
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match="UnreadableReply"):
            await objects.open(REF)


@pytest.mark.parametrize("encoded", ["abc", "!!!!", "größe", "AAAA", ""])
async def test_invalid_checksum_is_ignored(stored: ObjectServer, encoded: str) -> None:
    stored.plan = [Says({"x-amz-checksum-crc32": encoded})]
    async with objects_in(stored) as objects:
        assert await content(await objects.open(REF)) == BODY


async def test_error_body_in_pieces_is_read_whole(stored: ObjectServer, kind: str) -> None:
    stored.plan = lambda request: InPieces(Refuse("NoSuchBucket", 404))
    async with objects_in(stored, kind) as objects:
        with pytest.raises(ServiceError, match="NoSuchBucket") as caught:
            await objects.open(REF)
    assert caught.value.verdict is Verdict.FATAL


async def test_error_body_that_breaks_off_is_a_connection_failure(stored: ObjectServer, kind: str) -> None:
    stored.plan = [InPieces(Refuse("NoSuchKey", 404), cut=True)]
    async with objects_in(stored, kind) as objects:
        assert await content(await objects.open(REF)) == BODY


@pytest.mark.parametrize("status", [404, 405])
async def test_404_of_a_proxy_is_not_a_deleted_object(stored: ObjectServer, status: int) -> None:
    stored.plan = lambda request: Page(status)
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match=f"HTTP{status}") as caught:
            await objects.open(REF)
    assert caught.value.verdict is Verdict.FATAL


async def test_error_text_is_one_short_line(stored: ObjectServer) -> None:
    stored.plan = [Refuse("AccessDenied", 403, "no\naccess " + "x" * 60_000)]
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match="no access xxx") as caught:
            await objects.open(REF)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("region", ["", "no region!", "us-east-1"])
async def test_redirect_to_no_or_the_same_region_is_not_followed(stored: ObjectServer, region: str) -> None:
    stored.plan = [Elsewhere(region)]
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match="PermanentRedirect"):
            await objects.open(REF)
        assert await content(await objects.open(REF)) == BODY
    assert len(stored.requests) == 2


async def test_region_named_only_in_the_body_is_found(stored: ObjectServer) -> None:
    def plan(request: ObjectRequest) -> ObjectFault | None:
        return None if region_of(request) == "eu-central-1" else Elsewhere("eu-central-1", 400, in_body=True)

    stored.plan = plan
    async with objects_in(stored) as objects:
        assert await content(await objects.open(REF)) == BODY


async def test_region_that_fails_is_not_remembered(stored: ObjectServer) -> None:
    def plan(request: ObjectRequest) -> ObjectFault | None:
        return Elsewhere("eu-central-1") if request.number == 1 else S3_DENIED if request.number == 2 else None

    stored.plan = plan
    async with objects_in(stored) as objects:
        with pytest.raises(ServiceError, match="AccessDenied"):
            await objects.open(REF)
        assert await content(await objects.open(REF)) == BODY
    assert [region_of(request) for request in stored.requests] == ["us-east-1", "eu-central-1", "us-east-1"]
