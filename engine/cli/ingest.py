"""`millpond ingest`: load a local file, or an object that is already in S3, through a deployed stack."""

from __future__ import annotations

import asyncio
import json
import shlex
import stat
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from engine.cli.account import Target, missing_access
from engine.cli.corrections import corrected_by
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.follow import Upload
from engine.cli.schema import schema_of_stack
from engine.cli.stack_client import StackClient, count_rows
from engine.cli.standing import DONE, NOT_DONE, WITH_REJECTS
from engine.cli.words import command_as_called, counted, listed
from engine.deployment import clients
from engine.deployment import stack as stacks
from engine.deployment.schema_file import SchemaFile
from engine.errors import BadFile
from engine.events import NO_DATA_FILE, is_data_file
from engine.identity import ObjectVersion
from engine.schema.model import Schema
from engine.text import is_text


@dataclass(frozen=True, slots=True)
class Place:
    """Which stack, how many seconds to wait for a change (None: the default), its schema (None: ask the stack)."""

    stack: str
    endpoint_url: str | None
    region: str | None
    timeout: float | None = None
    schema: SchemaFile | None = None


def run_ingest(display: Display, source: str, place: Place, corrects: str | None = None) -> int:
    """Ingest `source`, a path or `s3://bucket/key`; return the exit code: 0 done, 1 rows missing, 3 with rejects.

    `corrects` names the ingestion of which it holds corrected rows; None: as the file's name says.
    """
    address = s3_address(source)
    if address and corrects:
        raise CliError("--corrects is for a file that is uploaded: an object in S3 has it in its metadata, corrects.")
    if address is None:
        check_is_file(source)
    if not is_data_file(source):
        raise CliError(f"{source}: {NO_DATA_FILE}.")
    if missing := missing_access(Target(place.stack, place.region, place.endpoint_url)):
        raise CliError(listed(missing))
    if address is not None:
        return asyncio.run(_object(display, *address, place))
    path = Path(source)
    return asyncio.run(_file(display, path, place, corrects or corrected_by(path.name)))


def check_is_file(source: str) -> None:
    """Raise `CliError` unless `source` is the path of a file whose name can become a key in S3."""
    if not source:
        raise CliError("The file's name is empty: give the path of a file, or s3://BUCKET/KEY.")
    if not is_text(source):
        raise CliError(f"{source!r}: a file's name must be UTF-8 text, since it becomes a key in S3: rename the file.")
    name = source if source.isprintable() else repr(source)
    try:
        mode = Path(source).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise CliError(f"{name} does not exist.") from None
    except OSError as error:
        raise CliError(f"{name} cannot be read: {error.strerror or error}.") from None
    except ValueError:
        raise CliError(f"{name} cannot be read: a path has no null character.") from None
    if stat.S_ISDIR(mode):
        raise CliError(f"{name} is a directory, not a file: name one file in it.")
    if not stat.S_ISREG(mode):
        what = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise CliError(
            f"{name} is {what}, not a file: write its content to a file first, since it is read more than once."
        )


def s3_address(source: str) -> tuple[str, str] | None:
    """Return bucket and key of an `s3://` address, or None for a path. Raises `CliError` if it names no object."""
    if not source.lower().startswith("s3://"):
        return None
    bucket, _, key = source[len("s3://") :].partition("/")
    if not bucket or not key:
        raise CliError(f"{source} does not name an object; it must be s3://BUCKET/KEY.")
    if key.endswith("/"):
        raise CliError(f"{source} names a folder, not an object; it must be s3://BUCKET/KEY.")
    return bucket, key


def rows_of(path: Path, schema: Schema) -> int:
    """Return the number of rows in a file. Raises `CliError` for a file that the producer would refuse."""
    try:
        return count_rows(path, schema)
    except BadFile as error:
        raise CliError(f"{path} was not uploaded: {error}.") from None
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror or error}.") from None


def _client(stack: stacks.Stack, place: Place) -> StackClient:
    return StackClient(stack, endpoint_url=place.endpoint_url, region=place.region, patience=place.timeout)


async def _stack(place: Place) -> stacks.Stack:
    return await stacks.find(place.stack, endpoint_url=place.endpoint_url, region=place.region)


async def _file(display: Display, path: Path, place: Place, corrects: str | None) -> int:
    stack = await _stack(place)
    file = place.schema or await schema_of_stack(stack.query, endpoint_url=place.endpoint_url, region=place.region)
    rows = await asyncio.to_thread(rows_of, path, file.schema)
    key = stack.uploads_prefix + path.name
    display.heading(f"{path.name} to {stack.name}")
    async with _client(stack, place) as client:
        ingestion = await client.ingestion(corrects) if corrects else None
        with display.step("uploading", f"uploaded as {key}: {counted(rows, 'row')}"):
            upload = await client.upload(path, key, ingestion)
        if ingestion:
            display.note(f"It corrects rows of ingestion {ingestion}.")
        return await _follow(display, client, upload, rows, stack, place)


async def _object(display: Display, bucket: str, key: str, place: Place) -> int:
    stack = await _stack(place)
    display.heading(f"s3://{bucket}/{key} to {stack.name}")
    async with _client(stack, place) as client:
        upload = await client.existing(bucket, key)
        # The producer may take its whole 900 s, and a second request would start it again.
        patient = clients.client(
            "lambda", endpoint_url=place.endpoint_url, region=place.region, attempts=1, read_timeout=905
        )
        async with patient as functions:
            with display.step("the producer reads it", f"{stack.producer} has answered"):
                payload = json.dumps(notification(upload.source)).encode()
                reply = await functions.invoke(FunctionName=stack.producer, Payload=payload)
                result = json.loads(await reply["Payload"].read())
        if "FunctionError" in reply:
            message = result.get("errorMessage", "") if isinstance(result, dict) else result
            raise CliError(f"The producer failed: {message} (its logs are in /aws/lambda/{stack.producer}).")
        (said,) = result["objects"]
        if said["status"] != "complete":
            display.failed(f"s3://{bucket}/{key}: {said['status']}: {said['reason']}")
            return 1
        return await _follow(display, client, upload, said["totalRows"], stack, place)


async def _follow(
    display: Display, client: StackClient, upload: Upload, rows: int, stack: stacks.Stack, place: Place
) -> int:
    """Follow an upload to its end, show the outcome, and return the exit code."""
    name = upload.source.key.rpartition("/")[2]
    with display.bars() as report:
        outcome = await client.follow(upload, rows, report)
    if outcome.complete:
        display.done(f"{counted(outcome.written, 'row')} in table {stack.table}", outcome.seconds)
    display.line()
    display.summary([(name, outcome)])
    if outcome.superseded:
        display.line()
        display.note(f"Rows older than what the table holds, which stays: {outcome.superseded:,}")
    if outcome.document:
        display.remarks(outcome.document)
    if outcome.rejected:
        display.line()
        display.reasons(outcome.reasons)
        display.line()
        for reject_key in outcome.reject_keys:
            display.line(f"rejects: s3://{stack.rejects_bucket}/{reject_key}", style="cyan")
    display.line()
    if not outcome.complete:
        again = ingest_command(place, f"s3://{upload.source.bucket}/{upload.source.key}")
        display.missing(name, outcome, again)
        return NOT_DONE
    return WITH_REJECTS if outcome.rejected else DONE


def ingest_command(place: Place, *arguments: str) -> str:
    """Return the command that ingests a file or an object."""
    options = (("--stack", place.stack), ("--endpoint-url", place.endpoint_url), ("--region", place.region))
    words = ["ingest", *arguments]
    words += [word for name, value in options if value for word in (name, value)]
    return f"{command_as_called(sys.argv[0])} {shlex.join(words)}"


def notification(source: ObjectVersion) -> dict[str, Any]:
    """Return the notification that S3 sends when an object is created."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "bucket": {"name": source.bucket, "arn": f"arn:aws:s3:::{source.bucket}"},
                    "object": {
                        "key": quote_plus(source.key, safe="/"),
                        "eTag": source.etag,
                        **({"versionId": source.version} if source.version else {}),
                    },
                },
            }
        ]
    }
