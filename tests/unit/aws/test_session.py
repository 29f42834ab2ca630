"""The session: the clients that it keeps."""

from __future__ import annotations

import asyncio
import gc

from botocore.client import BaseClient

from engine.aws.session import MAX_WRITERS, Session


def clients() -> int:
    """Return the number of live S3 clients: botocore makes a class of that name for each."""
    gc.collect()
    return sum(made.__name__ == "S3" for made in BaseClient.__subclasses__())


def test_number_of_clients_is_bounded() -> None:
    # A reply says which region a bucket is in, so a hostile server can name any number of them.
    async def run() -> None:
        session = Session()
        before = clients()
        for number in range(MAX_WRITERS + 4):
            _, used = await session.s3_request("GetObject", {"Bucket": "b", "Key": "k"}, f"eu-north-{number}")
            assert used == f"eu-north-{number}"
        assert clients() - before <= MAX_WRITERS
        # The last region still works.
        assert (await session.s3_request("GetObject", {"Bucket": "b", "Key": "k"}, used)).region == used

    asyncio.run(run())
