"""The error that a model answers with."""

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """The service's error reply."""

    def __init__(self, code: str, message: str, status: int = 400, members: Mapping[str, Any] | None = None) -> None:
        """Name the error as the service does; `members` are what it says besides code and message."""
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.members = code, message, status, members or {}


def not_modelled(what: str) -> Refusal:
    """Return the answer to a request that the stand-in does not know: an error that no service gives."""
    return Refusal("NotModelled", f"the stand-in for AWS has no {what}")
