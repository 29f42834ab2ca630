"""How much the stand-in itself can take: requests signed beforehand, sent by what costs next to nothing.

By wrk where it is installed, else by a client process of our own, which takes large replies faster than wrk does.
``python -m benchmarks.load URL`` prints JSON; requests a second by operation, and what is in them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import uvloop
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks import data
from tests.fakeaws.signatures import ACCESS_KEY, REGION, SECRET_KEY

CONNECTIONS = 16


class Signed(NamedTuple):
    """A request that can be sent again and again for 15 minutes; `rows` are in it (or come back for it)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    rows: int


def requests(url: str) -> dict[str, Signed]:
    """Return one request of each hot operation, signed for the stand-in at `url`."""
    credentials = Credentials(ACCESS_KEY, SECRET_KEY)
    rows = 100_000
    return {
        "BatchWriteItem": write_request(url, data.TABLE, credentials, REGION),
        "SendMessageBatch": send_request(url, f"{url}/{data.ACCOUNT}/{data.QUEUE}", credentials, REGION),
        "GetObject": _get(url, f"/{data.BUCKET}/{data.key_of(rows)}", rows, credentials, REGION),
    }


def write_request(url: str, table: str, credentials: Credentials, region: str) -> Signed:
    """Return a BatchWriteItem of 25 rows."""
    puts = []
    for number in range(1, 26):
        name, mail, phone = data.row(number)
        item = {"name": name, "email": mail, "phone": phone, "processedAt": "2026-04-04T00:00:01.234Z"}
        attributes = {key: {"S": value} for key, value in item.items()}
        attributes["createdAt"] = {"N": f"{data.MODIFIED}.{number:012d}"}
        puts.append({"PutRequest": {"Item": attributes}})
    document = {"RequestItems": {table: puts}}
    return _post(url, "dynamodb", "DynamoDB_20120810.BatchWriteItem", document, 25, credentials, region)


def send_request(url: str, queue_url: str, credentials: Credentials, region: str) -> Signed:
    """Return a SendMessageBatch of 10 messages with 500 rows each."""
    number_of = {"records": {"DataType": "Number", "StringValue": "500"}}
    entries = [
        {"Id": str(i), "MessageBody": data.packed_body(1 + i * 500, 500, i), "MessageAttributes": number_of}
        for i in range(10)
    ]
    document = {"QueueUrl": queue_url, "Entries": entries}
    return _post(url, "sqs", "AmazonSQS.SendMessageBatch", document, 5_000, credentials, region)


def _post(
    url: str, service: str, target: str, document: Any, rows: int, credentials: Credentials, region: str
) -> Signed:
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
    request = AWSRequest(method="POST", url=f"{url}/", headers=headers, data=body)
    SigV4Auth(credentials, service, region).add_auth(request)
    return Signed("POST", "/", dict(request.headers.items()), body, rows)


def _get(url: str, path: str, rows: int, credentials: Credentials, region: str) -> Signed:
    request = AWSRequest(method="GET", url=f"{url}{path}")
    S3SigV4Auth(credentials, "s3", region).add_auth(request)
    return Signed("GET", path, dict(request.headers.items()), b"", rows)


def by_wrk(url: str, request: Signed, seconds: float) -> float:
    """Return the requests a second that wrk gets answered. Raises `RuntimeError` if any was refused."""
    lines = [f'wrk.method = "{request.method}"', f'wrk.path = "{request.path}"']
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in request.headers.items()]
    with tempfile.TemporaryDirectory() as folder:
        if request.body:
            body = Path(folder) / "body"
            body.write_bytes(request.body)
            lines += [f'local file = io.open("{body}", "rb")', 'wrk.body = file:read("*a")', "file:close()"]
        script = Path(folder) / "request.lua"
        script.write_text("\n".join(lines), encoding="utf-8")
        command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{max(1, round(seconds))}s"]
        command += ["-s", str(script), f"{url}{request.path}"]
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60 + seconds).stdout
    if "Non-2xx" in output:
        raise RuntimeError(f"the server refused requests of the load generator: {output}")
    found = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    if found is None:
        raise RuntimeError(f"wrk said: {output}")
    return float(found[1])


class _Client(asyncio.Protocol):
    """Sends the same bytes again as soon as the answer to the last ones is there."""

    def __init__(self, message: bytes, tally: list[int], until: float) -> None:
        self._message, self._tally, self._until = message, tally, until
        self._missing = -1
        self._head = b""
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._message)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, received: bytes) -> None:
        if self._missing < 0:
            self._head += received
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            low = self._head[:end].lower()
            if not low.startswith(b"http/1.1 200"):
                self.closed.set_exception(RuntimeError(f"the load generator was answered: {self._head[:200]!r}"))
                return
            at = low.index(b"content-length:") + 15
            stop = low.find(b"\r", at)
            self._missing = int(low[at : stop if stop > 0 else None]) - (len(self._head) - end - 4)
            self._head = b""
        else:
            self._missing -= len(received)
        if self._missing <= 0:
            self._missing = -1
            self._tally[0] += 1
            if time.monotonic() < self._until:
                self._transport.write(self._message)
            else:
                self._transport.close()


async def by_own_client(url: str, request: Signed, seconds: float, authority: str = "") -> float:
    """Return the requests a second that our own client gets answered. Raises `RuntimeError` if one was refused."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    headers = {"Host": parts.netloc, **request.headers, "Content-Length": str(len(request.body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    message = f"{request.method} {request.path} HTTP/1.1\r\n{head}\r\n".encode() + request.body
    context = ssl.create_default_context(cafile=authority or None) if parts.scheme == "https" else None
    loop = asyncio.get_running_loop()
    tally = [0]
    began = time.monotonic()
    clients: list[_Client] = []
    for _ in range(CONNECTIONS):
        _, client = await loop.create_connection(
            lambda: _Client(message, tally, began + seconds), parts.hostname or "", port, ssl=context
        )
        clients.append(client)
    await asyncio.gather(*(client.closed for client in clients))
    return tally[0] / (time.monotonic() - began)


def ceilings(url: str, seconds: float, authority: str = "") -> dict[str, Any]:
    """Measure each operation; returns the rows a second that the server at `url` takes, and by what that was found."""
    wrk = shutil.which("wrk") is not None
    result: dict[str, Any] = {"generator": "wrk" if wrk else "own client", "operations": {}}
    for name, request in requests(url).items():
        rate = by_wrk(url, request, seconds) if wrk else uvloop.run(by_own_client(url, request, seconds, authority))
        result["operations"][name] = {"calls_per_second": rate, "rows_per_second": rate * request.rows}
    return result


def main() -> None:
    """Read the command line, measure, print JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="the ceiling of a stand-in")
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--authority", default="", help="certificate of the authority to trust (PEM)")
    arguments = parser.parse_args()
    print(json.dumps(ceilings(arguments.url, arguments.seconds, arguments.authority)))


if __name__ == "__main__":
    main()
