"""`millpond rejects`: why rows of an ingestion were rejected, and a file of these rows to correct and load again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from engine.cli.corrections import corrected_by, marked_name
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.ingest import Place, ingest_command
from engine.cli.ingestion import Ingestion, open_ingestion
from engine.cli.originals import Originals
from engine.cli.reasons import RowSet
from engine.cli.words import counted
from engine.errors import BadFile
from engine.events import NO_DATA_FILE, is_data_file
from engine.identity import ObjectVersion


def run_rejects(display: Display, name: str, place: Place, *, out: Path | None, as_json: bool) -> int:
    """Show why rows were rejected, and write them to `out` as they are in the object; return 0."""
    if out and not out.is_dir():
        _check(out)
    return asyncio.run(_rejects(display, name, place, out, as_json))


def _file(out: Path, source: ObjectVersion) -> Path:
    """Return the new file that `out` names, or that is to be in the folder `out`. Raises `CliError` if it exists."""
    file = out / marked_name(source.key, source.ingestion) if out.is_dir() else out
    _check(file)
    return file


def _check(out: Path) -> None:
    """Raise `CliError` unless this can be a new file that can be ingested."""
    if not is_data_file(out.name):
        raise CliError(f"{out}: {NO_DATA_FILE}.")
    if out.exists():
        raise CliError(f"{out} exists: give another name, or remove it first.")


async def _rejects(display: Display, name: str, place: Place, out: Path | None, as_json: bool) -> int:
    async with open_ingestion(name, place) as ingestion:
        source = ingestion.source
        if out:
            out = await asyncio.to_thread(_file, out, source)
        display.heading(f"rejects of s3://{source.bucket}/{source.key}")
        reasons = await ingestion.reasons()
        found, rows = reasons.by_count(), reasons.rows
        files = await ingestion.reject_files()
        written = await _write(display, ingestion, rows, out, place) if out and len(rows) else 0
        if as_json:
            about = {
                "ingestion": source.ingestion,
                "bucket": source.bucket,
                "key": source.key,
                "rejected": len(rows),
                "reasons": [{"reason": each.text, "rows": each.rows, "firstRow": each.first.row} for each in found],
                "rejectsBucket": ingestion.stack.rejects_bucket,
                "rejectFiles": files,
                "rowsWritten": written,
            }
            print(json.dumps(about))
            return 0
        if not found:
            display.done("no row was rejected")
            return 0
        display.examples([(each.rows, each.text, each.first.row, each.first.record) for each in found])
        display.line()
        for key in files:
            display.line(f"s3://{ingestion.stack.rejects_bucket}/{key}", style="cyan")
    return 0


async def _write(display: Display, ingestion: Ingestion, rows: RowSet, out: Path, place: Place) -> int:
    """Write the rejected rows to a new file; return how many."""
    originals = Originals(ingestion.schema, rows.__contains__, rows.last)
    fault = ""
    with display.step("looking for the rows in the object", f"{out} is written"):
        try:
            await _save(out, originals.read(ingestion.chunks()))
        except BadFile as error:
            fault = str(error)
    if fault:
        display.note(f"The object cannot be read to its end, so rows may be absent from the file: {fault}.")
    compression = ingestion.schema.format.compression
    if compression not in (None, "none"):
        display.note(f"The schema wants files to be compressed with {compression}: compress it before loading it.")
    display.note(f"{counted(originals.count, 'row')} to be corrected there; then load it:")
    corrected = ingestion.source.ingestion
    link = () if corrected_by(out.name) == corrected else ("--corrects", corrected)
    display.data(ingest_command(place, str(out), *link), style="cyan")
    return originals.count


async def _save(out: Path, pieces: AsyncIterator[bytes]) -> None:
    try:
        with out.open("xb") as file:
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
    except OSError as error:
        raise CliError(f"{out} cannot be written: {error.strerror or error}.") from None
