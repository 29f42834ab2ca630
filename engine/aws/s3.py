"""Calls to S3: what reading objects and putting reject files have in common.

Botocore addresses and signs each request; `fetch` sends it. If the bucket is in another region, the request goes there
instead. Errors become `ServiceError`, and expired credentials are renewed before the next attempt.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from engine.aws.session import Session
from engine.aws.types import Exchange, Fetch
from engine.errors import ServiceError, Verdict
from engine.flow.attempts import Attempts, pause, until
from engine.flow.backoff import Backoff, Deadline

MAX_FAILURES = 9
"""Failures in a row without progress after which a call is given up."""

PATIENCE = 30.0
"""Seconds allowed for sending a request and receiving the head of its reply, and for each chunk of the body. S3 answers
in tens of milliseconds: after this long it hangs."""

MAX_ERROR_BYTES = 65_536

MAX_REGIONS = 1_000
"""Buckets whose region is remembered."""

_WITHOUT_ETAG = ("ListObjectsV2",)

_CODE = re.compile(r"<Code>([\w.]{1,64})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_REGION = re.compile(r"<Region>([^<]*)</Region>")
_NAME_OF_REGION = re.compile(r"[a-z0-9-]{1,40}")


class S3:
    """Calls S3: `session` addresses and signs the requests, `fetch` sends them."""

    def __init__(
        self, session: Session, fetch: Fetch, *, backoff: Backoff | None = None, patience: float = PATIENCE
    ) -> None:
        self._session, self._fetch = session, fetch
        self._backoff, self._patience = backoff or Backoff(base=0.1), patience
        self._regions: dict[str, str] = {}  # of buckets outside the session's region

    async def call(self, operation: str, arguments: Mapping[str, Any], deadline: Deadline) -> Exchange:
        """Call S3 once, or twice if the bucket turns out to be in another region; return a successful reply.

        `arguments` are those of botocore's method for `operation`, such as ``GetObject``. Raises `ServiceError` and
        `DeadlineExceeded`.
        """
        bucket = arguments["Bucket"]
        async with until(deadline, operation):
            try:
                try:
                    return await self._ask(operation, arguments, self._regions.get(bucket))
                except _Elsewhere as error:
                    region = error.region
                reply = await self._ask(operation, arguments, region)
            except ServiceError as error:
                if error.verdict is Verdict.EXPIRED:
                    await self._session.credentials(renew=True)
                raise
            if len(self._regions) < MAX_REGIONS:
                self._regions[bucket] = region
            return reply

    async def call_with_retries(self, operation: str, arguments: Mapping[str, Any], deadline: Deadline) -> Exchange:
        """Call S3 until it answers, at most `MAX_FAILURES` times; otherwise like `call`."""
        attempts = self.attempts(operation, deadline)
        while True:
            try:
                return await self.call(operation, arguments, deadline)
            except ServiceError as error:
                attempts.failed(error)
            await attempts.wait()

    def attempts(self, operation: str, deadline: Deadline) -> Attempts:
        """Return attempts that end after `MAX_FAILURES` in a row without progress."""

        async def wait(attempt: int, deadline: Deadline) -> None:
            await pause(self._backoff, attempt, deadline, operation)

        return Attempts(wait, deadline, MAX_FAILURES)

    async def _ask(self, operation: str, arguments: Mapping[str, Any], region: str | None) -> Exchange:
        """Send one request and return a successful reply. Raises `ServiceError`, `_Elsewhere` if S3 names a region."""
        request, used = await self._session.s3_request(operation, arguments, region)
        with connection_errors(operation):
            reply = await self._fetch(request, self._patience)
            if reply.status in (200, 206) and (reply.headers.get("etag") or operation in _WITHOUT_ETAG):
                return reply
            try:
                body = await _text_of(reply)
            finally:
                reply.close()
        if reply.status in (200, 206):
            # S3 names the ETag of what it sends and of what it takes: this is something else, perhaps a proxy's page.
            raise ServiceError(operation, "UnreadableReply", 0, "a reply without ETag")
        named = reply.headers.get("x-amz-bucket-region") or _first(_REGION, body)
        if reply.status in (301, 307, 400) and named != used and _NAME_OF_REGION.fullmatch(named):
            raise _Elsewhere(named, operation, *_error_of(reply.status, body))
        raise ServiceError(operation, *_error_of(reply.status, body))


class _Elsewhere(ServiceError):
    """The bucket is in another region."""

    def __init__(self, region: str, operation: str, code: str, status: int, detail: str) -> None:
        super().__init__(operation, code, status, detail)
        self.region = region


@contextmanager
def connection_errors(operation: str) -> Iterator[None]:
    """Turn exceptions of a `Fetch` and its replies into `ServiceError`."""
    try:
        yield
    except TimeoutError as error:
        raise ServiceError(operation, "CallTimedOut", 0, "no answer in time") from error
    except ConnectionError as error:
        raise ServiceError(operation, "ConnectionFailed", 0, str(error)) from error


async def _text_of(reply: Exchange) -> str:
    """Return the body of an error reply."""
    body = b""
    while len(body) < MAX_ERROR_BYTES and (piece := await reply.read(MAX_ERROR_BYTES)):
        body += piece
    return body.decode("utf-8", "replace")


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _error_of(status: int, body: str) -> tuple[str, int, str]:
    """Return code, status and message of an error in S3's XML; a proxy's HTML has nothing but the status."""
    code = _first(_CODE, body)
    said = html.unescape(_first(_MESSAGE, body)) if code else ""
    return code or f"HTTP{status}", status, said
