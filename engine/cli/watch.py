"""`millpond watch`: follow ingestions until they end, no matter who started them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from engine.cli.account import Target, missing_access
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.ledger import LedgerView, open_ledger
from engine.cli.standing import RUNNING, exit_code
from engine.cli.words import listed
from engine.deployment import stack as stacks

MOST = 100
"""Ingestions that are looked at, the newest: each costs a read or two a second while it runs."""

_POLL_SECONDS = 1.0


def run_watch(display: Display, target: Target, name: str | None, *, as_json: bool) -> int:
    """Show all running ingestions, or the one that `name` names, until none runs; return the exit code."""
    if missing := missing_access(target):
        raise CliError(listed(missing))
    return asyncio.run(_watch(display, target, name, as_json=as_json))


async def _watch(display: Display, target: Target, name: str | None, *, as_json: bool) -> int:
    stack = await stacks.find(target.stack, endpoint_url=target.endpoint_url, region=target.region)
    seconds = target.poll_seconds or _POLL_SECONDS
    documents: list[dict[str, Any]] = []
    async with open_ledger(stack, endpoint_url=target.endpoint_url, region=target.region) as ledger:
        looks = _looks_at_one(ledger, name, seconds) if name else _looks_at_all(ledger, seconds)
        if as_json:
            printed: dict[str, dict[str, Any]] = {}
            async for documents in looks:
                _print_changes(printed, documents)
        else:
            display.heading(f"Ingestions of {stack.name}")
            with display.bars() as show:
                async for documents in looks:
                    show(documents)
            if documents:
                display.ingestions(documents)
            else:
                display.note("Nothing is running.")
            display.line()
    return exit_code(documents)


async def _looks_at_one(ledger: LedgerView, name: str, seconds: float) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the document of one ingestion again and again, until it does not run any more."""
    while True:
        document = ledger.document(await ledger.find(name))
        yield [document]
        if document["status"] not in RUNNING:
            return
        name = document["ingestion"]
        await asyncio.sleep(seconds)


async def _looks_at_all(ledger: LedgerView, seconds: float) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the documents of all that runs or ran before, again and again until nothing runs."""
    over: set[str] = set()
    watched: dict[str, dict[str, Any]] = {}
    while True:
        running = {}
        unknown = [ingestion async for ingestion in _newest(ledger) if ingestion not in over]
        for account in await ledger.accounts(unknown):
            document = ledger.document(account)
            ingestion = document["ingestion"]
            if document["status"] in RUNNING:
                running[ingestion] = document
            else:
                over.add(ingestion)
                if ingestion in watched:
                    watched[ingestion] = document
        # An entry for an object that is not open yet is replaced by another one.
        watched = {ingestion: each for ingestion, each in watched.items() if ingestion in over} | running
        yield list(watched.values())
        if not running:
            return
        await asyncio.sleep(seconds)


async def _newest(ledger: LedgerView) -> AsyncIterator[str]:
    seen = 0
    async for ingestion in ledger.ids():
        yield ingestion
        seen += 1
        if seen == MOST:
            return


def _print_changes(printed: dict[str, dict[str, Any]], documents: list[dict[str, Any]]) -> None:
    """Print each document that is not in `printed`, or has changed since, as a line of JSON."""
    for document in documents:
        before = printed.get(document["ingestion"])
        printed[document["ingestion"]] = document
        if before is None or (before["changed"], before["status"]) != (document["changed"], document["status"]):
            print(json.dumps(document, ensure_ascii=False), flush=True)
