"""`millpond check FILE…`: what loading files would write, reject and cost, without sending anything."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from engine import prices
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.ingest import check_is_file, s3_address
from engine.cli.words import counted, shortened
from engine.config import DEFAULT_MESSAGE_BYTES, DEFAULT_RECORDS, DEFAULT_REJECTS, SQS_MAX_BYTES
from engine.deployment import clients
from engine.deployment.schema_file import SchemaFile
from engine.errors import BadFile
from engine.estimate import Estimate, Usage
from engine.events import NO_DATA_FILE, is_data_file
from engine.identity import ObjectVersion
from engine.reading.reader import Found
from engine.reject_limit import RejectLimit

CHUNK_BYTES = 1_048_576

HOT_SHARE = 0.01
"""A partition key with a larger share of the rows is shown. DynamoDB quota: 1,000 write units a second for one key."""

PARTITION_UNITS = 1_000

CAPACITIES = (1_000, 4_000, 40_000)
"""Write units a second: one partition; a new on-demand table; the default quota of a table."""

_RECORD_CHARACTERS = 300
_NAMES = 20


def run_check(
    display: Display,
    sources: Sequence[str],
    schema: SchemaFile,
    *,
    endpoint_url: str | None,
    region: str | None,
    as_json: bool,
) -> int:
    """Check files, here or in S3; return 3 if rows would be rejected.

    Raises `CliError`; for files that would be refused, after all others are shown.
    """
    checked, refused = [], []
    for source in sources:
        try:
            checked.append((source, asyncio.run(_check(source, schema, endpoint_url, region))))
        except BadFile as error:
            refused.append(f"{source} would be refused: {error}")
    usage = reduce(Usage.plus, (each.usage for _, each in checked), Usage())
    if as_json and checked:
        print(json.dumps(_document(checked, usage), indent=2, ensure_ascii=False))
    elif not as_json:
        for source, estimate in checked:
            _show(display, source, estimate)
        _show_use(display, usage)
    if refused:
        raise CliError(
            f"{'; '.join(refused)}. If it is for another schema, name that with --schema; "
            "`millpond schema FILE` proposes one."
        )
    return 3 if usage.rows > usage.valid else 0


async def _check(source: str, schema: SchemaFile, endpoint_url: str | None, region: str | None) -> Estimate:
    """Return the estimate of a file. Raises `BadFile`, with the rows before the fault."""
    address = s3_address(source)
    if address is None:
        check_is_file(source)
    if not is_data_file(source):
        raise CliError(f"{source}: {NO_DATA_FILE}.")
    # Of the date and the ETag only the lengths matter here.
    bucket, key = address or ("b" * 40, f"uploads/{Path(source).name}")
    version = ObjectVersion(bucket, key, None, "0" * 32, 1_000_000_000)
    estimate = Estimate(
        version,
        schema.schema,
        records_per_message=DEFAULT_RECORDS,
        max_message_bytes=DEFAULT_MESSAGE_BYTES,
        max_batch_bytes=SQS_MAX_BYTES,
        max_rejects=RejectLimit.of(DEFAULT_REJECTS),
    )
    async with AsyncExitStack() as stack:
        if address is None:
            size, chunks = await asyncio.to_thread(os.path.getsize, source), _file(Path(source))
        else:
            s3 = await stack.enter_async_context(clients.client("s3", endpoint_url=endpoint_url, region=region))
            reply = await s3.get_object(Bucket=bucket, Key=key)
            size, chunks = reply["ContentLength"], reply["Body"].iter_chunks(CHUNK_BYTES)
        advance = stack.enter_context(_progress(source, size))
        try:
            async for chunk in chunks:
                estimate.feed(chunk)
                advance(len(chunk))
            estimate.finish()
        except BadFile as error:
            estimate.stop()
            if not estimate.usage.items:
                raise
            before = counted(estimate.usage.valid, "valid row")
            raise BadFile(f"{error}; the {before} before that would be loaded") from None
    return estimate


async def _file(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def _progress(source: str, size: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how much is read."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("  {task.description}", markup=False), BarColumn(20), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(shortened(source, 40), total=size)
        yield lambda count: progress.advance(task, count)


def _show(display: Display, source: str, estimate: Estimate) -> None:
    """Print what becomes of one file's rows."""
    usage, found = estimate.usage, estimate.found
    display.heading(source)
    display.line(f"{counted(usage.rows, 'row')}: {usage.valid:,} valid, {estimate.rejected:,} rejected")
    display.line()
    ignored, absent = estimate.columns
    replaced, exact = estimate.replaced
    pairs = [("found", _found_text(found))] if found else []
    pairs += [("columns not in the schema", _names(ignored))] * bool(ignored)
    pairs += [("columns not in the file", _names(absent))] * bool(absent)
    if usage.items:
        pairs.append(("item", f"{estimate.mean_item_bytes:,.0f} bytes in the mean, {estimate.largest:,} at most"))
    if replaced:
        pairs.append(("replaced by a later row", f"{replaced:,}{'' if exact else ' or more'} (same key)"))
    if estimate.fails_after is not None:
        pairs.append(
            (
                "would fail",
                f"after {counted(estimate.fails_after, 'row')}: more rejects than MAX_REJECTS={DEFAULT_REJECTS}, "
                "the default, allows",
            )
        )
    if hot := _hot(estimate):
        key, share = hot
        minutes = usage.write_units * share / PARTITION_UNITS / 60
        pairs.append(
            (
                "hot partition key",
                f"{key!r} has {share:.0%} of the rows: at least {_minutes(minutes)} for that one alone",
            )
        )
    display.pairs(pairs)
    if estimate.reasons:
        display.line()
        by_count = sorted(estimate.reasons.items(), key=lambda each: (-each[1].rows, each[0]))
        for text, reason in by_count:
            display.data(f"{reason.rows:>10,}  rejected: {text}", style="yellow")
            for reject in reason.first:
                display.data(
                    shortened(f"{'':10}  row {reject.row:,}: {reject.record}", _RECORD_CHARACTERS), style="dim"
                )


def _show_use(display: Display, usage: Usage) -> None:
    """Print what the load uses, takes and costs."""
    if not usage.items:
        return
    cost = prices.cost_of(usage)
    age = (date.today() - prices.AS_OF).days
    display.heading(f"Loading {counted(usage.items, 'item')}")
    display.pairs(
        [
            (
                "table",
                f"{counted(usage.write_units, 'write unit')} in {counted(usage.write_calls, 'call')}; "
                "secondary indexes cost more",
            ),
            ("queue", f"{counted(usage.messages, 'message')} in {counted(usage.send_calls, 'call')}"),
            *(
                (
                    f"at {capacity:,} units/s",
                    f"{_minutes(usage.write_units / capacity / 60)}, {_capacity_cost(usage, capacity)}",
                )
                for capacity in CAPACITIES
            ),
            (
                "on demand",
                f"{_dollars(cost.total)}: table {_dollars(cost.writes)}, all else {_dollars(cost.total - cost.writes)}",
            ),
            (
                "DynamoDB's own import",
                f"{_dollars(cost.native_import)}, into a new table only; it takes the file as it is",
            ),
        ]
    )
    display.line()
    display.note(f"Prices of {prices.REGION}, {counted(max(age, 0), 'day')} old; other regions have others.")


def _capacity_cost(usage: Usage, capacity: int) -> str:
    return f"{_dollars(prices.provisioned(usage, capacity))} provisioned, billed by the hour"


def _hot(estimate: Estimate) -> tuple[Any, float] | None:
    """Return the most frequent partition key and its share, if it is too frequent for its partition."""
    keys = estimate.partition_keys
    for key, count in keys.top(1):
        if count > 1 and count / keys.total > HOT_SHARE:
            return key, count / keys.total
    return None


def _document(checked: Sequence[tuple[str, Estimate]], usage: Usage) -> dict[str, Any]:
    cost = prices.cost_of(usage)
    return {
        "rows": usage.rows,
        "valid": usage.valid,
        "rejected": usage.rows - usage.valid,
        "items": usage.items,
        "messages": usage.messages,
        "writeUnits": usage.write_units,
        "calls": {"send": usage.send_calls, "write": usage.write_calls},
        "dollars": round(cost.total, 6),
        "dollarsBy": {
            "table": round(cost.writes, 6),
            "ledger": round(cost.ledger, 6),
            "queue": round(cost.sqs, 6),
            "functions": round(cost.lambda_, 6),
        },
        "nativeImportDollars": round(cost.native_import, 6),
        "prices": {"region": prices.REGION, "asOf": prices.AS_OF.isoformat(), "sources": list(prices.SOURCES)},
        "minutes": {str(capacity): round(usage.write_units / capacity / 60, 3) for capacity in CAPACITIES},
        "files": [_file_document(source, estimate) for source, estimate in checked],
    }


def _file_document(source: str, estimate: Estimate) -> dict[str, Any]:
    usage, (ignored, absent), (replaced, exact), hot = (
        estimate.usage,
        estimate.columns,
        estimate.replaced,
        _hot(estimate),
    )
    return {
        "file": source,
        "bytes": usage.bytes,
        "rows": usage.rows,
        "valid": usage.valid,
        "rejected": estimate.rejected,
        "failsAfterRow": estimate.fails_after,
        "found": estimate.found.result() if estimate.found else None,
        "ignoredColumns": list(ignored),
        "absentColumns": list(absent),
        "itemBytes": {"mean": round(estimate.mean_item_bytes, 1), "largest": estimate.largest},
        "replaced": replaced,
        "replacedExact": exact,
        "hotPartitionKey": {"key": hot[0], "share": round(hot[1], 4)} if hot else None,
        "rejects": [
            {
                "reason": text,
                "rows": reason.rows,
                "first": [{"row": reject.row, "record": reject.record} for reject in reason.first],
            }
            for text, reason in sorted(estimate.reasons.items(), key=lambda each: (-each[1].rows, each[0]))
        ],
    }


def _found_text(found: Found) -> str:
    parts = [found.type, *([found.compression] if found.compression != "none" else []), found.encoding]
    if found.type == "csv":
        parts += [f"delimiter {found.delimiter!r}", f"quote {found.quote!r}", counted(found.columns or 0, "column")]
    return ", ".join(parts)


def _names(names: Sequence[str | int]) -> str:
    shown = ", ".join(map(str, names[:_NAMES]))
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES:,} more"


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{minutes * 60:,.0f} s" if minutes * 60 >= 1 else "under a second"
    return f"{minutes:,.0f} min" if minutes < 120 else f"{minutes / 60:,.1f} h"


def _dollars(dollars: float) -> str:
    if dollars >= 0.1:
        return f"${dollars:,.2f}"
    return f"${dollars:.4f}" if dollars >= 0.0001 else "under $0.0001"
