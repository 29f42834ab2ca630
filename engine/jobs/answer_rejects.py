"""Answer a request for the rejects of an ingestion from its reject files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.accounts import Account
from engine.aws.reject_store import RejectReader
from engine.errors import BadFile, BadRequest
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.queries import Rejects
from engine.reject_pages import RejectsPage
from engine.rejects import each_reject, folder_of, part_and_last_row


@dataclass(frozen=True, slots=True)
class RejectFolders:
    """Where reject files are: their prefix, and what opens a reader of the bucket (None: the bucket of the object).

    Opening it loads the model of S3, which most invocations do not need.
    """

    prefix: str
    bucket: str | None
    reader: Callable[[str], RejectReader]


async def rejects_page(
    folders: RejectFolders, account: Account, wanted: Rejects, max_bytes: int, deadline: Deadline, last: Deadline
) -> RejectsPage:
    """Return a page of the rejects of an ingestion.

    No further file is read after `deadline`, and none is waited for after `last`. Raises `BadRequest` for a file that
    the functions did not write, `ServiceError` and `DeadlineExceeded`.
    """
    page = RejectsPage(wanted, max_bytes)
    source = account.source
    if source is None:
        return page  # nothing was read of the object
    reader, folder = folders.reader(folders.bucket or source.bucket), folder_of(folders.prefix, source)
    # All before the last character of a name is before the name itself: the file at which a page begins comes first.
    after, is_all = wanted.start.name[:-1] if wanted.start else "", False
    while not is_all:
        files, is_all = await reader.listed(folder, after, last)
        for file in files:
            after = file.name
            if part_and_last_row(file.name) is None or file.modified < account.rejects_since:
                continue
            if deadline.passed(now()) and page.stop():
                return page
            try:
                if page.feed(file.name, each_reject(await reader.read(folder + file.name, last))):
                    return page
            except BadFile as error:
                raise BadRequest(500, f"{file.name}: {error}") from None
    return page
