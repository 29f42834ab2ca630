"""`millpond status`: what became of the files, from the ledger."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from engine.cli.account import Target, missing_access
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.ledger import open_ledger
from engine.cli.queues import Queues
from engine.cli.standing import exit_code
from engine.cli.words import counted, listed
from engine.deployment import stack as stacks


def run_status(display: Display, target: Target, name: str | None, *, limit: int, as_json: bool) -> int:
    """Show the newest ingestions, or the one that `name` names; return the exit code, 0 for a list."""
    if missing := missing_access(target):
        raise CliError(listed(missing))
    return asyncio.run(_status(display, target, name, limit, as_json=as_json))


async def _status(display: Display, target: Target, name: str | None, limit: int, *, as_json: bool) -> int:
    stack = await stacks.find(target.stack, endpoint_url=target.endpoint_url, region=target.region)
    documents: list[dict[str, Any]] = []
    async with open_ledger(stack, endpoint_url=target.endpoint_url, region=target.region) as ledger:
        if name is not None:
            documents.append(ledger.document(await ledger.find(name)))
        else:
            async for account in ledger.newest():
                documents.append(ledger.document(account))
                if len(documents) == limit:
                    break
        is_stuck = any(document["status"] == "stuck" for document in documents)
        queues = await ledger.queues() if is_stuck else None
    if as_json:
        for document in documents:
            document["queues"] = queues.document if queues and document["status"] == "stuck" else None
        print_json(documents if name is None else documents[0])
    elif name is None:
        _show_list(display, stack.name, documents, queues)
    else:
        _show_one(display, documents[0], queues)
    return 0 if name is None else exit_code(documents)


def print_json(value: Any) -> None:
    """Print a value as JSON for programs: no indentation that depends on the terminal."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def _show_list(display: Display, stack: str, documents: list[dict[str, Any]], queues: Queues | None) -> None:
    display.heading(f"Ingestions of {stack}")
    if documents:
        display.ingestions(documents)
    else:
        display.note("The ledger knows of no file.")
    if queues:
        display.line()
        display.failed("Rows are stuck.")
        display.whereabouts(queues)
    display.line()


def _show_one(display: Display, document: dict[str, Any], queues: Queues | None) -> None:
    display.heading(f"s3://{document['bucket']}/{document['key']}")
    display.ingestion(document)
    display.remarks(document)
    if document["rejectReasons"]:
        display.line()
        display.counts("rejected because", document["rejectReasons"])
    if queues:
        display.line()
        display.failed(
            f"Stuck: {counted(document['inFlight'], 'row')} in flight, no change since {document['changed']}."
        )
        if not document["isRead"]:
            display.note("The producer has not read the file to its end.")
        display.whereabouts(queues)
    display.line()
