"""S3 objects read and files of rejects put: whole, from the middle, never another version than the one begun with."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from engine.aws.objects import CHUNK_BYTES, Objects, OpenObject
from engine.aws.reject_store import RejectStore
from engine.aws.s3 import S3
from engine.aws.session import Session
from engine.aws.transports import open_fetch
from engine.errors import ObjectGone, ObjectSuperseded, ServiceError, Verdict
from engine.flow.backoff import NEVER
from engine.identity import ObjectRef
from engine.rejects import RejectFile
from tests.contract.clouds import Cloud

pytestmark = pytest.mark.uses("s3")

BODY = bytes(range(256)) * 4096 + b"the end"
KEYS = [
    "uploads/users.csv",
    "uploads/a b.csv",
    "uploads/a+b%20c.csv",
    "uploads/größe/日本 €.csv",
    "uploads/a&b=c?d#e;f@g:h,i'j(k)!~*.csv",
    "uploads/" + "x" * 1_000 + ".csv",
]


@asynccontextmanager
async def objects_in(cloud: Cloud) -> AsyncIterator[Objects]:
    with cloud.environment():
        session = Session()
        async with open_fetch("lean", session) as fetch:
            yield Objects(S3(session, fetch))


@asynccontextmanager
async def store_in(cloud: Cloud) -> AsyncIterator[RejectStore]:
    with cloud.environment():
        session = Session()
        async with open_fetch("lean", session) as fetch:
            yield RejectStore(S3(session, fetch))


async def content(opened: OpenObject) -> bytes:
    with closing(opened):
        chunks = [chunk async for chunk in opened.chunks()]
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
    return b"".join(chunks)


async def test_object_is_read_in_chunks_with_its_version(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    cloud.put(bucket, "uploads/users.csv", BODY)
    head = cloud.s3.head_object(Bucket=bucket, Key="uploads/users.csv")
    async with objects_in(cloud) as objects:
        opened = await objects.open(ObjectRef(bucket, "uploads/users.csv"))
        assert await content(opened) == BODY
    version = opened.version
    assert (version.bucket, version.key, version.version) == (bucket, "uploads/users.csv", None)
    assert version.etag == hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    assert version.modified == int(head["LastModified"].timestamp())
    assert opened.size == len(BODY)


@pytest.mark.parametrize("offset", [1, CHUNK_BYTES, len(BODY) - 1])
async def test_read_resumes_from_any_byte(cloud: Cloud, offset: int) -> None:
    bucket = cloud.bucket()
    cloud.put(bucket, "k.csv", BODY)
    async with objects_in(cloud) as objects:
        opened = await objects.open(ObjectRef(bucket, "k.csv"))
        opened.close()
        with closing(await objects.resume(opened.version, opened.size, offset)) as body:
            assert await body.read(len(BODY)) == BODY[offset:]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:30])
async def test_any_key_is_put_and_read(cloud: Cloud, key: str) -> None:
    bucket = cloud.bucket()
    async with store_in(cloud) as store, objects_in(cloud) as objects:
        await store.put([RejectFile(key, b"row,reason\r\n")], bucket, NEVER)
        opened = await objects.open(ObjectRef(bucket, key))
        assert await content(opened) == b"row,reason\r\n"
    assert cloud.keys(bucket) == [key]
    assert cloud.s3.head_object(Bucket=bucket, Key=key)["ContentType"] == "text/csv; charset=utf-8"


async def test_empty_object_has_no_chunks(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    cloud.put(bucket, "empty.csv", b"")
    async with objects_in(cloud) as objects:
        opened = await objects.open(ObjectRef(bucket, "empty.csv"))
        assert opened.size == 0
        assert await content(opened) == b""


async def test_object_replaced_before_opening_is_superseded(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    etag = cloud.put(bucket, "k.csv", b"old")["ETag"].strip('"')
    async with objects_in(cloud) as objects:
        opened = await objects.open(ObjectRef(bucket, "k.csv", etag=etag))
        opened.close()
        cloud.put(bucket, "k.csv", b"new")
        with pytest.raises(ObjectSuperseded, match=f"s3://{bucket}/k.csv was replaced"):
            await objects.open(ObjectRef(bucket, "k.csv", etag=etag))


async def test_object_replaced_before_resuming_is_superseded(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    cloud.put(bucket, "k.csv", BODY)
    async with objects_in(cloud) as objects:
        opened = await objects.open(ObjectRef(bucket, "k.csv"))
        opened.close()
        cloud.put(bucket, "k.csv", BODY[::-1])
        with pytest.raises(ObjectSuperseded):
            await objects.resume(opened.version, opened.size, 5)


async def test_deleted_object_is_gone(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    cloud.put(bucket, "k.csv", BODY)
    async with objects_in(cloud) as objects:
        opened = await objects.open(ObjectRef(bucket, "k.csv"))
        opened.close()
        cloud.s3.delete_object(Bucket=bucket, Key="k.csv")
        with pytest.raises(ObjectGone, match=f"s3://{bucket}/k.csv no longer exists"):
            await objects.resume(opened.version, opened.size, 5)
        with pytest.raises(ObjectGone):
            await objects.open(ObjectRef(bucket, "k.csv", etag=opened.version.etag))


async def test_requested_version_is_read_after_later_uploads(cloud: Cloud) -> None:
    bucket = cloud.bucket(versioned=True)
    first = cloud.put(bucket, "k.csv", b"first")
    second = cloud.put(bucket, "k.csv", b"second")
    cloud.s3.delete_object(Bucket=bucket, Key="k.csv")
    async with objects_in(cloud) as objects:
        for put, body in ((first, b"first"), (second, b"second")):
            ref = ObjectRef(bucket, "k.csv", put["VersionId"], put["ETag"].strip('"'))
            opened = await objects.open(ref)
            assert await content(opened) == body
            assert opened.version.version == put["VersionId"]
            with closing(await objects.resume(opened.version, opened.size, 2)) as rest:
                assert await rest.read(100) == body[2:]
        with pytest.raises(ObjectGone):
            await objects.open(ObjectRef(bucket, "k.csv"))


async def test_version_is_found_if_event_omits_it(cloud: Cloud) -> None:
    bucket = cloud.bucket(versioned=True)
    put = cloud.put(bucket, "k.csv", b"first")
    async with objects_in(cloud) as objects:
        opened = await objects.open(ObjectRef(bucket, "k.csv"))
        opened.close()
    assert opened.version.version == put["VersionId"]


async def test_deleted_version_is_gone(cloud: Cloud) -> None:
    bucket = cloud.bucket(versioned=True)
    put = cloud.put(bucket, "k.csv", b"first")
    cloud.put(bucket, "k.csv", b"second")
    cloud.s3.delete_object(Bucket=bucket, Key="k.csv", VersionId=put["VersionId"])
    marker = cloud.s3.delete_object(Bucket=bucket, Key="k.csv")["VersionId"]
    async with objects_in(cloud) as objects:
        for version in (put["VersionId"], marker):
            with pytest.raises(ObjectGone):
                await objects.open(ObjectRef(bucket, "k.csv", version))


async def test_missing_bucket_is_fatal(cloud: Cloud) -> None:
    async with store_in(cloud) as store, objects_in(cloud) as objects:
        reading = objects.open(ObjectRef("no-such-bucket", "k.csv"))
        putting = store.put([RejectFile("k", b"")], "no-such-bucket", NEVER)
        for call in (reading, putting):
            with pytest.raises(ServiceError, match="NoSuchBucket") as caught:
                await call
            assert caught.value.verdict is Verdict.FATAL


async def test_objects_closed_early_do_not_block(cloud: Cloud) -> None:
    bucket = cloud.bucket()
    cloud.put(bucket, "k.csv", BODY)
    async with objects_in(cloud) as objects:
        for read in [True, False] * 35:
            opened = await objects.open(ObjectRef(bucket, "k.csv"))
            if read:
                assert await content(opened) == BODY
            opened.close()
            opened.close()
