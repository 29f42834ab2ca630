"""`millpond ingest`: feed a deployed stack, with a file of this machine or an object that is in S3 already."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from botocore.exceptions import ClientError

from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.follow import Follower, count_rows
from engine.cli.words import counted
from engine.config import QuerySettings
from engine.deployment import clients
from engine.errors import BadFile
from engine.local import stack as stacks

_SUFFIX = ".csv"


def run_ingest(display: Display, source: str, *, stack_name: str, endpoint_url: str | None, region: str | None) -> int:
    """Ingest `source`, a path or an `s3://bucket/key`; exit code 0 when each row is accounted for, 1 when not."""
    if not source.lower().endswith(_SUFFIX):
        raise CliError(f"{source} is not a {_SUFFIX} file, and only CSV files are allowed.")
    if address := s3_address(source):
        return asyncio.run(_object(display, *address, stack_name, endpoint_url, region))
    path = Path(source)
    if not path.is_file():
        what = "is a directory, not a file" if path.is_dir() else "does not exist"
        raise CliError(f"{source} {what}.")
    return asyncio.run(_file(display, path, stack_name, endpoint_url, region))


def s3_address(source: str) -> tuple[str, str] | None:
    """Bucket and key of an `s3://` address, None for a path; raises `CliError` when it names no object."""
    if not source.lower().startswith("s3://"):
        return None
    bucket, _, key = source[len("s3://") :].partition("/")
    if not bucket or not key:
        raise CliError(f"{source} does not name an object; it must be s3://BUCKET/KEY.")
    return bucket, key


def _count_rows(path: Path) -> int:
    """The rows of a file that the producer will take; raises `CliError` now rather than wait for it to refuse."""
    # The settings of the query function read SCHEMA, or else the packaged schema, and ask for nothing besides.
    schema = QuerySettings.from_env({"SCHEMA": os.environ.get("SCHEMA", "")}).schema
    try:
        return count_rows(path, schema)
    except BadFile as error:
        raise CliError(f"{path} was not uploaded: {error}.") from None
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror or error}.") from None


async def _file(display: Display, path: Path, stack_name: str, endpoint_url: str | None, region: str | None) -> int:
    rows = await asyncio.to_thread(_count_rows, path)
    stack = await stacks.find(stack_name, endpoint_url=endpoint_url, region=region)
    key = f"uploads/{path.name}"
    display.heading(f"{path.name} to {stack.name}")
    async with Follower(stack, endpoint_url=endpoint_url, region=region) as follower:
        with display.step("uploading", f"uploaded as {key}: {counted(rows, 'row')}"):
            upload = await follower.upload(path, key)
        with display.progress(rows) as report:
            outcome = await follower.follow(upload, rows, report)
    if outcome.complete:
        display.done(f"{counted(outcome.written, 'row')} in table {stack.table}", outcome.seconds)
    display.line()
    display.summary([(path.name, outcome)])
    if outcome.rejects:
        display.line()
        display.reasons(outcome.rejects)
        display.line()
        for reject_key in outcome.reject_keys:
            display.line(f"rejects: s3://{stack.bucket}/{reject_key}", style="cyan")
    display.line()
    if not outcome.complete:
        display.missing(path.name, outcome)
    return 0 if outcome.complete else 1


async def _object(
    display: Display, bucket: str, key: str, stack_name: str, endpoint_url: str | None, region: str | None
) -> int:
    stack = await stacks.find(stack_name, endpoint_url=endpoint_url, region=region)
    display.heading(f"s3://{bucket}/{key} to {stack.name}")
    async with clients.client("s3", endpoint_url=endpoint_url, region=region) as s3:
        try:
            head = await s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"].get("Code") in ("404", "NoSuchKey", "NoSuchBucket", "NotFound"):
                raise CliError(f"There is no object s3://{bucket}/{key}.") from None
            raise
    # The producer may take its whole 900 s, and asking again would start it again.
    patient = clients.client("lambda", endpoint_url=endpoint_url, region=region, attempts=1, read_timeout=905)
    async with patient as functions:
        with display.step("the producer reads it", f"{stack.producer} has answered"):
            reply = await functions.invoke(
                FunctionName=stack.producer, Payload=json.dumps(notification(bucket, key, head)).encode()
            )
            result = json.loads(await reply["Payload"].read())
    if "FunctionError" in reply:
        message = result.get("errorMessage", "") if isinstance(result, dict) else result
        raise CliError(f"The producer failed: {message} (its logs are in /aws/lambda/{stack.producer}).")
    return _show_result(display, result)


def notification(bucket: str, key: str, head: dict[str, Any]) -> dict[str, Any]:
    """What S3 would have sent the producer when the object was put; `head` is the reply to HeadObject."""
    version = head.get("VersionId")
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                    "object": {
                        "key": quote_plus(key, safe="/"),
                        "size": head["ContentLength"],
                        "eTag": head["ETag"].strip('"'),
                        # An object of a bucket without versions has none, or the text "null".
                        **({"versionId": version} if version and version != "null" else {}),
                    },
                },
            }
        ]
    }


def _show_result(display: Display, result: dict[str, Any]) -> int:
    display.line()
    for name in ("totalRows", "validRows", "rejectedRows", "messagesSent", "seconds"):
        value = result.get(name, 0)
        display.pairs([(f"{name:<12}", f"{value:,}" if isinstance(value, int) else f"{value:.2f}")])
    display.line()
    failed = [entry for entry in result.get("objects", []) if entry["status"] != "complete"]
    for entry in failed:
        display.failed(f"s3://{entry['bucket']}/{entry['key']}: {entry['status']}: {entry.get('reason') or ''}")
    return 1 if failed or result["statusCode"] != 200 else 0
