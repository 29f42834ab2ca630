"""The store for rejects: small files put into S3, by the general client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from engine.aws.session import Session
from engine.errors import DeadlineExceeded
from engine.flow.attempts import now, until
from engine.flow.backoff import Deadline
from engine.rejects import RejectFile


class RejectStore:
    """Puts files of rejects. Opens S3 when the first one comes: most processes see none, and it costs a start dear."""

    def __init__(self, session: Session, stack: AsyncExitStack) -> None:
        self._session, self._stack = session, stack
        self._client: Any = None

    async def put(self, files: Iterable[RejectFile], bucket: str, deadline: Deadline) -> None:
        """Put each file. Raises `ServiceError` and `DeadlineExceeded`."""
        for file in files:
            if deadline.passed(now()):
                raise DeadlineExceeded("no time left for PutObject")
            from engine.deployment.clients import beside, client, service_errors

            async with until(deadline, "PutObject"):
                with service_errors("PutObject"):
                    if self._client is None:
                        self._client = await self._stack.enter_async_context(client("s3", using=beside(self._session)))
                    await self._client.put_object(
                        Bucket=bucket, Key=file.key, Body=file.body, ContentType="text/csv; charset=utf-8"
                    )


@asynccontextmanager
async def reject_store(session: Session) -> AsyncIterator[RejectStore]:
    """Open a store with the settings of `session`."""
    async with AsyncExitStack() as stack:
        yield RejectStore(session, stack)
