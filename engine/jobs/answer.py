"""Answer an API request from the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from engine.accounts import Account, iso, listed_ingestion
from engine.aws.ledger_list import MOST_TOGETHER, LedgerList
from engine.aws.table_reader import Page, TableReader
from engine.errors import BadRequest
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.http_events import HttpRequest
from engine.pages import Conditions, HistoryPage, IngestionsPage, ListPage, latest
from engine.queries import (
    Attributes,
    History,
    Ingestion,
    Ingestions,
    Latest,
    Listing,
    Options,
    Rejects,
    parse_ingestions,
    parse_request,
)
from engine.schema.model import INGESTIONS, Schema

if TYPE_CHECKING:
    from engine.jobs.answer_rejects import RejectFolders
    from engine.reject_pages import RejectsPage

MAX_READ_ITEMS = 1_000
"""Items asked of one Query or Scan; DynamoDB itself stops at 1 MB."""

LATEST_READS = (1, 10, 100, *[MAX_READ_ITEMS] * 5)
"""Items asked of one Query after the other while all that came have expired. Almost always the first is enough; all of
them read 8 MB at most, of a key with thousands of versions that DynamoDB has not deleted yet."""

FEWEST_TOGETHER = 16
"""Ingestions of a list that are read at a time at least: filters may leave most of them out."""


@dataclass(frozen=True, slots=True)
class Query:
    """What an invocation works with: the schema, as text too, and open readers of the table and the ledger.

    `patience`: seconds without a change after which the rows of an ingestion are stuck. `rejects` tells
    where reject files are, if there is a ledger.
    """

    schema: Schema
    schema_text: str
    reader: TableReader
    ledger: LedgerList | None = None
    patience: int = 0
    rejects: Callable[[], RejectFolders] | None = None


async def answer(query: Query, request: HttpRequest, moment: int, deadline: Deadline, last: Deadline) -> bytes:
    """Return the JSON document for a request, empty for OPTIONS.

    `moment`: the time in seconds since the epoch; what has expired by then is not answered. No further page of the
    table is read after `deadline`, and none is waited for after `last`. Raises `BadRequest`, `ServiceError` and
    `DeadlineExceeded`.
    """
    if query.ledger and request.segments[:1] == (INGESTIONS,):
        return await _answer_ingestions(query, query.ledger, request, moment, deadline, last)
    conditions = Conditions(query.schema, moment, request.front_end.max_bytes)
    match parse_request(request, query.schema):
        case Options():
            return b""
        case Latest() as wanted:
            return await _latest(query.reader, wanted, conditions, last)
        case History() as wanted:
            return await _history(query.reader, wanted, conditions, deadline, last)
        case Listing() as wanted:
            return await _listing(query.reader, wanted, conditions, deadline, last)


async def _answer_ingestions(
    query: Query, ledger: LedgerList, request: HttpRequest, moment: int, deadline: Deadline, last: Deadline
) -> bytes:
    def document(account: Account) -> dict[str, Any]:
        return account.document(moment * 1000, query.patience * 1000)

    match parse_ingestions(request):
        case Options():
            return b""
        case Ingestion() as wanted:
            account = await ledger.shown(wanted.ingestion, last)
            if not account.entry:
                raise BadRequest(404, "no such ingestion")
            return orjson.dumps(document(account))
        case Ingestions() as wanted:
            page = IngestionsPage(wanted, request.front_end.max_bytes)
            await _fill_ingestions(page, ledger, document, wanted.start or iso(moment * 1000), deadline, last)
            return _document(page)
        case Rejects() as wanted:
            account = await ledger.account(wanted.ingestion, last, tallies=False)
            if not account.entry or query.rejects is None:
                raise BadRequest(404, "no such ingestion")
            from engine.jobs.answer_rejects import rejects_page  # few ask for it, and importing it slows cold starts

            max_bytes = request.front_end.max_bytes
            return _document(await rejects_page(query.rejects(), account, wanted, max_bytes, deadline, last))


async def _fill_ingestions(
    page: IngestionsPage,
    ledger: LedgerList,
    document: Callable[[Account], dict[str, Any]],
    start: str,
    deadline: Deadline,
    last: Deadline,
) -> None:
    """Feed a page with ingestions, month by month, until it is complete or `deadline` has passed.

    `start`: the place before the first, or a time in the month of the newest.
    """
    # One more than the page may have shows whether anything follows.
    together = min(max(FEWEST_TOGETHER, page.limit + 1), MOST_TOGETHER)
    async for places in ledger.months(start, last, limit=together):
        accounts = await ledger.shown_all([listed_ingestion(place) for place in places], last)
        for place, account in zip(places, accounts, strict=True):
            # What has just expired is in the index still.
            if account.entry and not page.add(place, document(account)):
                return
        if deadline.passed(now()) and page.stop():
            return


async def _latest(reader: TableReader, request: Latest, conditions: Conditions, last: Deadline) -> bytes:
    start = None
    for limit in LATEST_READS:
        found = await reader.query(request.partition, last, newest_first=True, limit=limit, start_key=start)
        document = latest(found.items, conditions)
        if document is not None:
            return document
        start = found.last_key
        if start is None:
            raise BadRequest(404, f"no such {conditions.schema.partition_key}")
    raise BadRequest(
        503,
        f"the newest versions of this {conditions.schema.partition_key} have expired and are not deleted yet: "
        "try again later, or page through its history",
    )


async def _history(
    reader: TableReader, request: History, conditions: Conditions, deadline: Deadline, last: Deadline
) -> bytes:
    page = HistoryPage(request, conditions)

    async def read(limit: int, start: Attributes | None) -> Page:
        return await reader.query(request.partition, last, newest_first=True, limit=limit, start_key=start)

    await _fill(page, read, request.start, deadline)
    if not page.items and page.cursor is None and request.start is None:
        raise BadRequest(404, f"no such {conditions.schema.partition_key}")
    return _document(page)


async def _listing(
    reader: TableReader, request: Listing, conditions: Conditions, deadline: Deadline, last: Deadline
) -> bytes:
    page = ListPage(request, conditions)

    async def read(limit: int, start: Attributes | None) -> Page:
        return await reader.scan(last, limit=limit, start_key=start)

    await _fill(page, read, request.start, deadline)
    return _document(page)


async def _fill(
    page: HistoryPage | ListPage,
    read: Callable[[int, Attributes | None], Awaitable[Page]],
    start: Attributes | None,
    deadline: Deadline,
) -> None:
    """Feed a page of the API with pages of the table until it is complete, or `deadline` has passed."""
    limit = 0
    while True:
        # One more than is missing shows whether anything follows. Where most of what comes is not answered, old
        # versions or expired ones, the reads grow.
        limit = min(max(page.missing + 1, 2 * limit), MAX_READ_ITEMS)
        found = await read(limit, start)
        start = found.last_key
        if page.feed(found.items, at_end=start is None):
            return
        if deadline.passed(now()) and page.stop():
            return


def _document(page: HistoryPage | ListPage | IngestionsPage | RejectsPage) -> bytes:
    items: list[Any] = list(map(orjson.Fragment, page.items))
    return orjson.dumps({"items": items, "count": len(items), "nextToken": page.cursor})
