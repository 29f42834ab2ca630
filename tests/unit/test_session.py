"""The session: what it keeps, and for how many regions."""

from __future__ import annotations

import asyncio
import gc

from engine.aws.session import MAX_WRITERS, Session


def clients() -> int:
    """S3 clients that are alive: botocore makes a class of that name for each."""
    gc.collect()
    return sum(
        type(found).__module__ == "botocore.client" and type(found).__name__ == "S3" for found in gc.get_objects()
    )


def test_regions_without_end_keep_no_clients_without_end() -> None:
    # Which region a bucket is in is what a reply says.
    async def run() -> None:
        session = Session()
        before = clients()
        for number in range(MAX_WRITERS + 4):
            _, used = await session.s3_request("GetObject", {"Bucket": "b", "Key": "k"}, f"eu-north-{number}")
            assert used == f"eu-north-{number}"
        assert clients() - before <= MAX_WRITERS
        # The last one is still at hand.
        assert (await session.s3_request("GetObject", {"Bucket": "b", "Key": "k"}, used)).region == used

    asyncio.run(run())
