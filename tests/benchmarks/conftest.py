"""The stand-in of the benchmarks, in a thread, with real clients."""

import asyncio
import json
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from benchmarks import data
from benchmarks.contents import CONTENTS
from tests.fakeaws.fast.server import Connection, StandIn
from tests.fakeaws.signatures import ACCESS_KEY, REGION, SECRET_KEY


class Stand:
    """A stand-in that runs, and clients for it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.s3, self.sqs, self.dynamodb = (self.client(service) for service in ("s3", "sqs", "dynamodb"))

    def client(self, service: str, secret: str = SECRET_KEY, access: str = ACCESS_KEY) -> Any:
        """A client that tries once and checks no parameters, so that limits are the stand-in's to see."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
        )

    def control(self, path: str, document: dict[str, Any] | None = None) -> Any:
        """Ask the stand-in itself."""
        body = None if document is None else json.dumps(document).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, body), timeout=10) as reply:  # noqa: S310
            return json.load(reply)

    def counts(self) -> Any:
        """What it has seen."""
        return self.control("/_stats")

    def put(self, *keys: str) -> Any:
        """Write items with these mail addresses."""
        items = [{"email": {"S": key}, "createdAt": {"N": "1"}} for key in keys]
        return self.dynamodb.batch_write_item(RequestItems={data.TABLE: [{"PutRequest": {"Item": i}} for i in items]})


@pytest.fixture(scope="module")
def running() -> Iterator[Stand]:
    """One stand-in for the tests of a file."""
    loop = asyncio.new_event_loop()
    stand_in = StandIn(CONTENTS)
    opened: list[asyncio.BaseTransport] = []

    class Noted(Connection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            opened.append(transport)
            super().connection_made(transport)

    server = loop.run_until_complete(loop.create_server(lambda: Noted(stand_in), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stand = Stand(server.sockets[0].getsockname()[1])
    yield stand
    for client in (stand.s3, stand.sqs, stand.dynamodb):
        client.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    for transport in opened:
        transport.abort() if isinstance(transport, asyncio.Transport) else transport.close()
    loop.run_until_complete(server.wait_closed())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.fixture
def stand(running: Stand) -> Stand:
    """The stand-in, which checks every call and has counted nothing."""
    running.control("/_config", {"sample": 1, "keys": True})
    return running
