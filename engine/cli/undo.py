"""`millpond undo`: delete exactly the items that one ingestion wrote and nothing has replaced since."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from engine.accounts import ENTRY
from engine.aws.table_deleter import TableDeleter, operation_of
from engine.cli.account import asked_for
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.ingest import Place
from engine.cli.ingestion import Ingestion, open_ingestion
from engine.cli.lanes import open_lanes
from engine.cli.proof import own_keys, proof_attribute, proofs_of
from engine.cli.words import counted
from engine.errors import BadFile
from engine.flow.attempts import now
from engine.flow.backoff import Deadline
from engine.item_keys import Key
from engine.outcome import Outcome
from engine.schema.model import Schema
from engine.undone import undone_fact

_PATIENCE = 60.0
"""Seconds without any item deleted, after which deleting is given up."""


def run_undo(display: Display, name: str, place: Place, *, agreed: bool, as_json: bool) -> int:
    """Delete the items of an ingestion, after asking; return 0, or 2 if that was not agreed to."""
    return asyncio.run(_undo(display, name, place, agreed, as_json))


async def _undo(display: Display, name: str, place: Place, agreed: bool, as_json: bool) -> int:
    async with open_ingestion(name, place) as ingestion:
        source, table = ingestion.source, ingestion.stack.table
        _check(display, ingestion)
        display.heading(f"undo s3://{source.bucket}/{source.key}")
        if not agreed:
            with display.step("counting", "counted"):
                count = sum([len(own) async for own in _own(ingestion)])
            # Rows of one key share an item that only the ingestion marks as its own.
            most = "" if _is_one_row(ingestion.schema) else "at most "
            display.note(
                f"{most}{counted(count, 'item')} of this ingestion in table {table}, to be deleted permanently."
            )
            if count and not asked_for(ingestion.stack.name):
                display.failed("nothing was deleted")
                return 2
        note = partial(_note, ingestion, int(time.time() * 1000))
        schema, proof = ingestion.schema, proof_attribute(ingestion.schema) or ""
        async with open_lanes(ingestion.dynamodb, operation_of(schema, proof)) as (lane,):
            deletion = Deletion(TableDeleter(table, schema, proof, lane), table, note)
            with display.step(f"deleting from {table}", "all of them are deleted"):
                await deletion.run(_own(ingestion))
        display.done(f"{counted(deletion.count, 'item')} deleted")
        if as_json:
            about = {"ingestion": source.ingestion, "bucket": source.bucket, "key": source.key}
            print(json.dumps({**about, "deleted": deletion.count}))
    return 0


def _check(display: Display, ingestion: Ingestion) -> None:
    """Raise `CliError` if it cannot be known which items are the ingestion's own, or more of them are on their way."""
    if proof_attribute(ingestion.schema) is None:
        raise CliError(
            "The schema generates neither a version nor an ingestion, so items do not show which file they are from, "
            "and none can be deleted safely."
        )
    if not ingestion.has_same_schema:
        raise CliError(
            "The file was read by another schema than the stack has now, by which its items would not be found: name "
            "the one it was read by with --schema."
        )
    document = ingestion.document()
    if document["status"] == "stuck":
        display.note(
            f"{counted(document['inFlight'], 'row')} in flight: if they are written later, undo the ingestion again."
        )
    elif document["inFlight"] or document["status"] in ("reading", "writing"):
        raise CliError(
            f"The ingestion is not complete ({document['status']}, {counted(document['inFlight'], 'row')} in flight): "
            "wait until it is, or rows that are written later would stay."
        )


def _is_one_row(schema: Schema) -> bool:
    """Return whether an item shows which row of a file it is from."""
    return schema.tells_rows_apart or schema.generated[proof_attribute(schema) or ""] == "version"


async def _own(ingestion: Ingestion) -> AsyncIterator[dict[Key, str]]:
    """Yield the items that the ingestion has in the table, some hundred at a time: key -> proof."""
    schema = ingestion.schema
    try:
        async for part in ingestion.replay():
            for message in part.messages:
                wanted = proofs_of(message, schema)
                yield own_keys(wanted, await ingestion.items.proofs(key for key, _ in wanted), schema)
    except BadFile:
        return  # nothing after the damage was ever written


async def _note(ingestion: Ingestion, began: int, items: int) -> None:
    """Note in the ledger that a run that `began` then, in ms, has deleted so many items."""
    entry = ingestion.account.entry
    name, value = undone_fact(began, items, entry["changed"])
    await ingestion.dynamodb.update_item(
        TableName=ingestion.stack.ledger,
        Key={"ingestion": {"S": entry["ingestion"]}, "part": {"S": ENTRY}},
        UpdateExpression="SET #u = :u",
        ConditionExpression="attribute_exists(ingestion)",
        ExpressionAttributeNames={"#u": name},
        ExpressionAttributeValues={":u": {"S": value}},
    )


class Deletion:
    """Deletes items, each only if it is still the ingestion's own. `count`: how many it has deleted.

    `note` notes a count in the ledger: before the first item is deleted, and at the end, even if that is a failure.
    """

    def __init__(self, deleter: TableDeleter, table: str, note: Callable[[int], Awaitable[None]]) -> None:
        self._deleter, self._table, self._note = deleter, table, note
        self.count = 0

    async def run(self, groups: AsyncIterator[dict[Key, str]]) -> None:
        """Delete all of them."""
        is_noted = False
        try:
            async for group in groups:
                if group and not is_noted:
                    await self._note(0)
                    is_noted = True
                left = list(group.items())
                while left:
                    left = await self._delete(left)
        finally:
            if is_noted:
                await self._note(self.count)

    async def _delete(self, items: list[tuple[Key, str]]) -> list[tuple[Key, str]]:
        """Delete what can be deleted in some time; return the others. Raises `CliError` if that was none."""
        outcome = Outcome(bytearray(len(items)))
        try:
            await self._deleter.delete(items, outcome, Deadline(now() + _PATIENCE))
        finally:
            self.count += sum(outcome.written) - len(outcome.superseded)
        if outcome.refused:
            raise CliError(f"Table {self._table} does not delete an item: {next(iter(outcome.refused.values()))}")
        left = outcome.unwritten(range(len(items)))
        if len(left) == len(items):
            raise CliError(
                f"Table {self._table} throttles writes, or fails: raise its write capacity, and run the same command "
                "again to go on."
            )
        return [items[index] for index in left]
