"""The schema of a deployed stack, as its own query function reads it."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from engine.cli.errors import CliError, explain
from engine.deployment import clients
from engine.deployment.schema_file import SchemaFile
from engine.queries import SCHEMA_EVENT

_REMEDY = "Name the stack's schema file with --schema."


async def schema_of_stack(function: str, *, endpoint_url: str | None, region: str | None) -> SchemaFile:
    """Ask the query function of a stack for its schema: what it has read is what the other functions have read too.

    Whatever deployed the stack, and from which file, does not matter. Raises `CliError` if the function cannot tell.
    """
    async with clients.client("lambda", endpoint_url=endpoint_url, region=region, attempts=2) as functions:
        try:
            reply = await functions.invoke(FunctionName=function, Payload=json.dumps(SCHEMA_EVENT).encode())
            answer: Any = json.loads(await reply["Payload"].read())
        except ClientError as error:
            raise CliError(f"The stack's schema is unknown: {explain(error)}. {_REMEDY}") from None
    if "FunctionError" in reply:
        reason = answer.get("errorMessage") if isinstance(answer, dict) else answer
        raise CliError(f"The stack's schema is unknown: function {function} failed: {reason}. {_REMEDY}")
    text = answer.get("schema") if isinstance(answer, dict) else None
    if not isinstance(text, str):
        # A stack that was deployed before its function knew this question.
        raise CliError(f"The stack's schema is unknown: function {function} is of an earlier version. {_REMEDY}")
    return SchemaFile.of(text, f"the schema of {function}")
