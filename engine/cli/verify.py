"""`millpond verify`: the table against an object, row by row."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from engine.cli.display import Display
from engine.cli.ingest import Place
from engine.cli.ingestion import Ingestion, open_ingestion
from engine.cli.standing import DONE, NOT_DONE, WITH_REJECTS
from engine.cli.words import counted
from engine.jobs.verify import BAD, GOOD, Verification, spread
from engine.undone import undone_of

_MEANINGS = {
    "match": "as the file has them",
    "replaced": "replaced by later rows with the same key",
    "rejected": "millpond rejects shows why",
    "undone": "deleted by millpond undo",
    "expired": "not in the table, and their time is over",
    "missing": "not in the table",
    "different": "in the table, but different",
}


def run_verify(display: Display, name: str, place: Place, *, sample: int | None, as_json: bool) -> int:
    """Compare the table with the object of an ingestion; return the exit code.

    0: each row is there or replaced; 3: some are rejected; 1: some are not as they should be.
    """
    return asyncio.run(_verify(display, name, place, sample, as_json))


async def _verify(display: Display, name: str, place: Place, sample: int | None, as_json: bool) -> int:
    async with open_ingestion(name, place) as ingestion:
        source = ingestion.source
        display.heading(f"s3://{source.bucket}/{source.key} and table {ingestion.stack.table}")
        with display.step("comparing", "compared"):
            verification = await _verification(ingestion, sample)
    about = {
        "ingestion": source.ingestion,
        "bucket": source.bucket,
        "key": source.key,
        "sample": sample,
        "sameSchema": ingestion.has_same_schema,
        **verification.document(),
    }
    if as_json:
        print(json.dumps(about))
    _show(display, about)
    if not verification.is_good:
        return NOT_DONE
    return WITH_REJECTS if about["rejected"] else DONE


async def _verification(ingestion: Ingestion, sample: int | None) -> Verification:
    async def modified_of(other: str) -> int | None:
        account = await ingestion.ledger.account(other)
        return account.entry.get("modified") if account else None

    rejected = (await ingestion.reasons()).rows
    verification = Verification(
        ingestion.source,
        ingestion.schema,
        ttl_days=ingestion.ttl_days,
        is_rejected=rejected.__contains__,
        moment=int(time.time()),
        modified_of=modified_of,
        is_undone=undone_of(ingestion.account.entry) is not None,
    )
    chosen = spread(sample, ingestion.document()["read"])
    await verification.run(ingestion.replay(), ingestion.items.whole, chosen)
    return verification


def _show(display: Display, about: dict[str, Any]) -> None:
    display.line()
    rows = [(verdict, f"{about[verdict]:,}  {_MEANINGS[verdict]}") for verdict in (*GOOD, *BAD) if about[verdict]]
    display.pairs([("rows", f"{about['rows']:,}"), *rows])
    display.line()
    for verdict, numbers in about["firstRows"].items():
        display.note(f"First {verdict}: row{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}.")
    if names := about["differentAttributes"]:
        display.note("Attributes that differ: " + ", ".join(f"{name} ({count:,})" for name, count in names.items()))
    if not about["exact"]:
        display.note("Some of the rows that are different may have been replaced by later rows of the file.")
    if not about["sameSchema"]:
        display.note(
            "The file was read by another schema than the one that it is compared by now: name that one with --schema."
        )
    if about["fault"]:
        display.note(f"The object cannot be read to its end: {about['fault']}.")
    wrong = sum(about[verdict] for verdict in BAD)
    if wrong or about["fault"]:
        display.failed(f"{counted(wrong, 'row')} not as the file has them")
    else:
        display.done("every row that was compared is in the table, replaced or rejected")
