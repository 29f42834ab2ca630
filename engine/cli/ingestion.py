"""The ingestion that a command is about: its account, its object, and the stack that loaded it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from engine.accounts import Account
from engine.cli.account import Target, missing_access
from engine.cli.accounts import Accounts, Reasons, RowSet
from engine.cli.errors import CliError
from engine.cli.expected import converter_of
from engine.cli.ingest import Place
from engine.cli.ledger import LedgerView, open_ledger
from engine.cli.observe import StackView
from engine.cli.schema import schema_of_stack
from engine.cli.stack_client import StackClient
from engine.cli.words import listed
from engine.deployment import clients
from engine.deployment import stack as stacks
from engine.deployment.stacks import Stacks
from engine.identity import ObjectVersion
from engine.replay import Replayed, replay
from engine.schema.model import Schema


@dataclass(frozen=True, slots=True)
class Ingestion:
    """One ingestion, with open clients. `has_same_schema`: the schema's text is the one it was read by."""

    stack: stacks.Stack
    schema: Schema
    has_same_schema: bool
    ttl_days: int | None
    ledger: LedgerView
    account: Account
    source: ObjectVersion
    client: StackClient

    @property
    def view(self) -> StackView:
        """What is seen of the stack."""
        return self.client.view

    def document(self) -> dict[str, Any]:
        """Return what the ledger tells of it now."""
        return self.ledger.document(self.account)

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of its object. Raises `CliError` if that is gone."""
        return self.client.chunks(self.source, self.account.entry["size"])

    def replay(self) -> AsyncIterator[Replayed]:
        """Yield what its object became; see `engine.replay`."""
        return replay(self.chunks(), converter_of(self.source, self.schema), self.schema)

    async def reject_files(self) -> list[str]:
        """Return the keys of its reject files."""
        return list(await self.view.reject_files(self.source, 0))

    @property
    def _most_rows(self) -> int:
        # Of an ingestion that failed, not all rows need be counted; a row has a byte at least.
        return max(int(self.document()["read"]), int(self.account.entry["size"]))

    async def refused(self) -> RowSet:
        """Return which of its rows are in reject files. One bit a row."""
        rows = RowSet(self._most_rows)
        for key in await self.reject_files():
            for reject in await self.view.rejects(key):
                rows.add(reject.row)
        return rows

    async def rejects(self) -> tuple[Accounts, Reasons]:
        """Return which of its rows are in reject files, and why. Three bits a row."""
        accounts = Accounts(self._most_rows)
        reasons = Reasons(accounts)
        for key in await self.reject_files():
            rejects = await self.view.rejects(key)
            accounts.reject(reject.row for reject in rejects)
            reasons.add(rejects)
        return accounts, reasons


@asynccontextmanager
async def open_ingestion(name: str, place: Place) -> AsyncIterator[Ingestion]:
    """Open the ingestion that `name` means: its id, or the key of its object, of which the newest is taken.

    Raises `CliError` if there is none, or nothing was read of its object.
    """
    if missing := missing_access(Target(place.stack, place.region, place.endpoint_url)):
        raise CliError(listed(missing))
    where = {"endpoint_url": place.endpoint_url, "region": place.region}
    stack = await stacks.find(place.stack, **where)
    async with open_ledger(stack, **where) as ledger:
        account = await ledger.find(name)
        if account is None:
            raise CliError(f"The ledger of stack {stack.name} has no ingestion {name}: give an id, or an object's key.")
        entry = account.entry
        if "modified" not in entry:
            said = ledger.document(account)
            why = f"{said['status']}: {said['reason']}" if said.get("reason") else said["status"]
            raise CliError(f"Nothing was read of s3://{entry['bucket']}/{entry['key']} ({why}).")
        source = ObjectVersion(entry["bucket"], entry["key"], entry.get("versionId"), entry["etag"], entry["modified"])
        file = place.schema or await schema_of_stack(stack.query, **where)
        async with StackClient(stack, file.schema, patience=place.timeout, **where) as client:
            yield Ingestion(
                stack,
                file.schema,
                hashlib.sha256(file.text.encode()).hexdigest()[:20] == entry["schema"],
                await _ttl_days(place),
                ledger,
                account,
                source,
                client,
            )


async def _ttl_days(place: Place) -> int | None:
    """Return the days after which the stack's items expire, or None."""
    async with clients.client("cloudformation", endpoint_url=place.endpoint_url, region=place.region) as cloudformation:
        days = (await Stacks(cloudformation).parameters(place.stack)).get("RecordTtlDays")
    return int(days) if days else None
