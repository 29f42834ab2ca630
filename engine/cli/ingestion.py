"""The ingestion that a command is about: its account, its object, and the stack that loaded it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from engine.accounts import Account
from engine.cli.account import Target, missing_access
from engine.cli.errors import CliError
from engine.cli.ingest import Place
from engine.cli.ledger import LedgerView, open_ledger
from engine.cli.object_bytes import chunks_of
from engine.cli.observe import RejectsView
from engine.cli.reasons import Reasons
from engine.cli.schema import schema_of_stack
from engine.cli.table_items import TableItems
from engine.cli.words import listed
from engine.deployment import clients
from engine.deployment import stack as stacks
from engine.deployment.stacks import Stacks
from engine.identity import ObjectVersion
from engine.jobs.replay import Replayed, replay
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
    s3: Any
    dynamodb: Any
    items: TableItems

    def document(self) -> dict[str, Any]:
        """Return what the ledger tells of it now."""
        return self.ledger.document(self.account)

    def replay(self) -> AsyncIterator[Replayed]:
        """Yield what its object became; see `engine.jobs.replay`."""
        return replay(self.chunks(), self.source, self.schema)

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of its object. Raises `CliError` if that is gone."""
        return chunks_of(self.s3, self.source, self.account.entry["size"])

    async def reject_files(self) -> list[str]:
        """Return the keys of its reject files, without those of an earlier ingestion of the same object."""
        return await RejectsView(self.stack, self.s3).reject_files(self.source, self.account.rejects_since)

    async def reasons(self) -> Reasons:
        """Return which of its rows are in reject files, and why."""
        # Of an ingestion that failed, not all rows need be counted; a row has a byte at least.
        reasons = Reasons(max(int(self.document()["read"]), int(self.account.entry["size"])))
        view = RejectsView(self.stack, self.s3)
        for key in await self.reject_files():
            reasons.add(await view.rejects(key))
        return reasons


@asynccontextmanager
async def open_ingestion(name: str, place: Place) -> AsyncIterator[Ingestion]:
    """Open the ingestion that `name` means: its id, or the key of its object, of which the newest is taken.

    Raises `CliError` if there is none, or nothing was read of its object.
    """
    if missing := missing_access(Target(place.stack, place.region, place.endpoint_url)):
        raise CliError(listed(missing))
    url, region = place.endpoint_url, place.region
    stack = await stacks.find(place.stack, endpoint_url=url, region=region)
    async with (
        open_ledger(stack, endpoint_url=url, region=region) as ledger,
        clients.client("s3", endpoint_url=url, region=region) as s3,
        clients.client("dynamodb", endpoint_url=url, region=region) as dynamodb,
    ):
        account = await ledger.find(name)
        entry, source = account.entry, account.source
        if source is None:
            said = ledger.document(account)
            why = f"{said['status']}: {said['reason']}" if said["reason"] else said["status"]
            raise CliError(f"Nothing was read of s3://{entry['bucket']}/{entry['key']} ({why}).")
        file = place.schema or await schema_of_stack(stack.query, endpoint_url=url, region=region)
        yield Ingestion(
            stack,
            file.schema,
            hashlib.sha256(file.text.encode()).hexdigest()[:20] == entry["schema"],
            await _ttl_days(place),
            ledger,
            account,
            source,
            s3,
            dynamodb,
            TableItems(dynamodb, stack.table, file.schema),
        )


async def _ttl_days(place: Place) -> int | None:
    """Return the days after which the stack's items expire, or None."""
    async with clients.client("cloudformation", endpoint_url=place.endpoint_url, region=place.region) as cloudformation:
        days = (await Stacks(cloudformation).parameters(place.stack)).get("RecordTtlDays")
    return int(days) if days else None
