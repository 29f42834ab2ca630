"""Error messages: one line that says what is wrong, and what to do about it."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from engine.errors import MillpondError


class CliError(MillpondError):
    """A mistake that the user can correct; the message says how."""


EXPECTED = (MillpondError, BotoCoreError, ClientError, ResponseParserError)
"""What the command turns into one line on standard error and exit code 2. Anything else is a bug, with a traceback."""


def explain(error: Exception) -> str:
    """Return one line for any of the `EXPECTED` errors."""
    match error:
        case NoCredentialsError() | PartialCredentialsError():
            return (
                "No AWS credentials found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE "
                "(for `millpond local` both keys are `test`)."
            )
        case NoRegionError():
            return "No AWS region set. Give --region, or set AWS_DEFAULT_REGION."
        case EndpointConnectionError():
            return f"Nothing answers at {error.kwargs.get('endpoint_url')}. Is it running, and is the URL right?"
        case ClientError():
            details = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            said = f"{details.get('Code')}: {details.get('Message')}" if details.get("Code") else f"HTTP {status}"
            return f"{error.operation_name} was refused: {said}"
        case ResponseParserError():
            return "The endpoint does not answer as AWS does. Is its URL right?"
        case _:
            return str(error).strip() or type(error).__name__
